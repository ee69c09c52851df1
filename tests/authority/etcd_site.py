"""Something that speaks as etcd does, in this process: three members and one store."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

import grpc
import grpc.aio

from kvnode._pb import etcd_pb2 as pb
from kvnode.authority.etcd.access import Access
from kvnode.authority.etcd.etcd_authority import EtcdAuthority
from kvnode.authority.etcd.wire import (
    LOGIN,
    RANGE,
    STATUS,
    TRANSACTION,
    Method,
    ReplyT,
    RequestT,
)

PREFIX = "/kvnode/test/shards/"
USER, PASSWORD = "kvnode", "secret"

Context = grpc.aio.ServicerContext[object, object]


class Refusal(NamedTuple):
    """A status with which a member answers in place of a reply."""

    code: grpc.StatusCode
    details: str


NO_LEADER = Refusal(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
TIMED_OUT = Refusal(grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out")
BAD_TOKEN = Refusal(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")
NO_USER = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: user name is empty")
NO_AUTH = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION,
    "etcdserver: authentication is not enabled",
)
WRONG_PASSWORD = Refusal(
    grpc.StatusCode.INVALID_ARGUMENT,
    "etcdserver: authentication failed, invalid user ID or password",
)


class FakeStore:
    """
    What all members hold.

    Attributes:
        pairs: By key.
        revision: Grows with each change.
        tokens: Those that count, if `asks_who`.
        asks_who: Whether only those who have logged in may ask.
        logins: How many there were.
    """

    def __init__(self) -> None:
        self.pairs: dict[bytes, pb.EtcdPair] = {}
        self.revision = 1
        self.asks_who = False
        self.tokens: set[str] = set()
        self.logins = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Change a key."""
        self.revision += 1
        before = self.pairs.get(key)
        created = before.create_revision if before is not None else self.revision
        self.pairs[key] = pb.EtcdPair(
            key=key,
            value=value,
            create_revision=created,
            mod_revision=self.revision,
        )

    def range(self, request: pb.EtcdRange) -> pb.EtcdRangeReply:
        """Read a key."""
        pair = self.pairs.get(request.key)
        return pb.EtcdRangeReply(pairs=[pair] if pair is not None else [])

    def transact(self, request: pb.EtcdTransaction) -> pb.EtcdTransactionReply:
        """Compare, and do one thing or the other."""
        holds = all(map(self._holds, request.comparisons))
        replies = []
        for each in request.success if holds else request.failure:
            if each.WhichOneof("kind") == "put":
                self.put(each.put.key, each.put.value)
                replies.append(pb.EtcdOperationReply(put=pb.EtcdPutReply()))
            else:
                replies.append(pb.EtcdOperationReply(range=self.range(each.range)))
        return pb.EtcdTransactionReply(succeeded=holds, replies=replies)

    def _holds(self, each: pb.EtcdComparison) -> bool:
        pair = self.pairs.get(each.key, pb.EtcdPair())
        if each.target == pb.EtcdComparison.MOD_REVISION:
            return pair.mod_revision == each.mod_revision
        assert each.target == pb.EtcdComparison.CREATE_REVISION
        return pair.create_revision == each.create_revision


class FakeMember:
    """
    One member, and what is wrong with it.

    Attributes:
        asked: The methods that were called, in order.
        peers: Who called them: the other end of each connection.
        refusal: What it answers everything with, having done nothing.
        is_silent: Whether it does nothing and answers nothing.
        is_cut_off: Whether it reaches no leader, which it says if it is to.
        loses_answers: Whether it does what is asked, and never says so.
        late: Set when transactions are to be done that are not answered any more.
        behind: Those transactions.
        holds_back: Set when it is to answer what it was asked.
        forgets_tokens: Whether it knows none that was given out.
        before_transaction: Is done before the next transaction.
    """

    def __init__(self, store: FakeStore) -> None:
        self.store = store
        self.asked: list[str] = []
        self.refusal: Refusal | None = None
        self.peers: list[str] = []
        self.is_silent = False
        self.is_cut_off = False
        self.loses_answers = False
        self.late: asyncio.Event | None = None
        self.before_transaction: Callable[[], None] | None = None
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self.behind: set[asyncio.Task[None]] = set()
        self.forgets_tokens = False
        self.holds_back: asyncio.Event | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, where it did before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._serve(RANGE, self._range)
        self._serve(TRANSACTION, self._transact)
        self._serve(LOGIN, self._log_in)
        self._serve(STATUS, self._status)
        self.port = self._server.add_insecure_port(self.endpoint)
        await self._server.start()

    def _serve(
        self,
        method: Method[RequestT, ReplyT],
        handle: Callable[[RequestT, Context], Awaitable[ReplyT]],
    ) -> None:
        assert self._server is not None
        _, service, name = method.path.split("/")
        handler: grpc.RpcMethodHandler[RequestT, ReplyT]
        handler = grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=method.request.FromString,
            response_serializer=method.reply.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {name: handler}),)
        )

    async def end(self) -> None:
        """Listen no more."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _check(self, method: str, context: Context, *, is_open: bool) -> None:
        self.asked.append(method)
        self.peers.append(context.peer())
        said = dict(context.invocation_metadata() or ())
        if self.is_cut_off and said.get("hasleader") == "true":
            await context.abort(*NO_LEADER)
        if self.holds_back is not None:
            await self.holds_back.wait()
        if self.is_silent or self.is_cut_off:
            await asyncio.Event().wait()
        if self.refusal is not None:
            await context.abort(*self.refusal)
        if self.store.asks_who and not is_open:
            if "token" not in said:
                await context.abort(*NO_USER)
            if self.forgets_tokens or said["token"] not in self.store.tokens:
                await context.abort(*BAD_TOKEN)

    async def _range(
        self, request: pb.EtcdRange, context: Context
    ) -> pb.EtcdRangeReply:
        await self._check("Range", context, is_open=False)
        return self.store.range(request)

    async def _transact(
        self, request: pb.EtcdTransaction, context: Context
    ) -> pb.EtcdTransactionReply:
        if self.late is not None:
            behind = asyncio.create_task(self._transact_late(request, self.late))
            self.behind.add(behind)
            await asyncio.Event().wait()
        await self._check("Txn", context, is_open=False)
        if self.before_transaction is not None:
            before, self.before_transaction = self.before_transaction, None
            before()
        reply = self.store.transact(request)
        if self.loses_answers:
            await asyncio.Event().wait()
        return reply

    async def _transact_late(
        self, request: pb.EtcdTransaction, late: asyncio.Event
    ) -> None:
        await late.wait()
        self.store.transact(request)

    async def _log_in(
        self, request: pb.EtcdLogin, context: Context
    ) -> pb.EtcdLoginReply:
        await self._check("Authenticate", context, is_open=True)
        if not self.store.asks_who:
            await context.abort(*NO_AUTH)
        if (request.name, request.password) != (USER, PASSWORD):
            await context.abort(*WRONG_PASSWORD)
        self.store.logins += 1
        token = f"token {self.store.logins}"
        self.store.tokens.add(token)
        return pb.EtcdLoginReply(token=token)

    async def _status(
        self, request: pb.EtcdStatus, context: Context
    ) -> pb.EtcdStatusReply:
        del request
        await self._check("Status", context, is_open=True)
        return pb.EtcdStatusReply(version="3.4.23", leader=1)


class EtcdSite:
    """
    Three members, and the authorities that ask them, for one event loop.

    Attributes:
        store: What the members hold.
        members: In the order in which they are asked first.
    """

    def __init__(self) -> None:
        self.store = FakeStore()
        self.members = [FakeMember(self.store) for _ in range(3)]
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for member in self.members:
            await member.start()
            self._opened.push_async_callback(member.end)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def authority(
        self,
        *,
        user: str = "",
        password: str = PASSWORD,
        answer_seconds: float = 1.8,
    ) -> EtcdAuthority:
        """Return that of a process that has just started; closed with the site."""
        access = Access(
            tuple(member.endpoint for member in self.members),
            user=user,
            password=password if user else "",
        )
        authority = EtcdAuthority(access, PREFIX, answer_seconds=answer_seconds)
        self._opened.push_async_callback(authority.close)
        return authority
