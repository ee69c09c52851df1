"""
Operations: one request in, one result out, whichever road it came by.

Reads that need not wait are answered at once.  Everything else ends in a
callback: writes when their turn is durable, waiting reads when the node has what
the session has seen (rules S2, S3).
"""

import asyncio
from collections.abc import Callable
from typing import assert_never

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import (
    checked_amount,
    checked_deadline,
    checked_members,
    checked_metadata,
    checked_patience,
    checked_replicas,
    checked_update,
    checked_value,
)
from kvnode.api.port import NodePort
from kvnode.api.reads import (
    Reader,
    Reading,
)
from kvnode.api.status_map import to_message
from kvnode.api.tokens import (
    decode_session,
    decode_version,
    encode_version,
)
from kvnode.api.write_replies import DataRequest, fill_write
from kvnode.core.node.commands import (
    LOCAL,
    AddToCounter,
    Command,
    Delete,
    Put,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.node.events import Reply
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    NotCoveredError,
)
from kvnode.limits import BATCH_BYTES_MAX, BATCH_STEPS_MAX

NO_OPTIONS = pb.Options()

Sink = Callable[[pb.OperationResult], None]
"""Takes a finished result; called once for each operation."""


class Operations:
    """Runs the operations of one node."""

    def __init__(self, node: NodePort, reader: Reader) -> None:
        self._node = node
        self._reader = reader
        self._tasks: set[asyncio.Task[None]] = set()

    def run(
        self, operation: pb.Operation, view: StoreView, sink: Sink, *, unary: bool
    ) -> None:
        """
        Run *operation*; its result goes to *sink*, now or later.

        Args:
            operation: As the client sent it.
            view: A snapshot that stays open during this call.
            sink: Takes the result.
            unary: Alone in its call: the reply always carries a token.
        """
        result = pb.OperationResult(id=operation.id)
        try:
            kind = operation.WhichOneof("kind")
            if kind is None:
                msg = f"operation {operation.id} says nothing to do"
                raise InvalidArgumentError(msg)
            if kind == "conflicts":
                at = self._reading(view, NEW_SESSION, want_session=False, stale=False)
                result.conflicts.SetInParent()
                self._reader.conflicts(operation.conflicts, result.conflicts, at)
                sink(result)
                return
            request: DataRequest = getattr(operation, kind)
            options = request.options if request.HasField("options") else NO_OPTIONS
            self._start(request, options, view, result, sink, unary=unary)
        except KvError as error:
            sink(_failed(result, error))

    def _start(  # noqa: PLR0913 -- one operation's context, handed on whole
        self,
        request: DataRequest,
        options: pb.Options,
        view: StoreView,
        result: pb.OperationResult,
        sink: Sink,
        *,
        unary: bool,
    ) -> None:
        want_session = unary or options.want_session
        session = decode_session(options.session)
        behind = self._too_far_behind(options)
        if (not session.seen or self._node.covers(session)) and not behind:
            self._go(request, options, session, view, result, sink, want_session, False)  # noqa: FBT003 -- positional on the hot path
        elif options.stale_ok:
            self._go(request, options, session, view, result, sink, want_session, True)  # noqa: FBT003 -- positional on the hot path
        else:
            self._later(request, options, session, result, sink, want_session)

    def _later(  # noqa: PLR0913, PLR0917 -- one operation's context, handed on whole
        self,
        request: DataRequest,
        options: pb.Options,
        session: Session,
        result: pb.OperationResult,
        sink: Sink,
        want_session: bool,  # noqa: FBT001 -- handed on
    ) -> None:
        patience = checked_patience(options.deadline_ms)

        async def wait() -> None:
            try:
                await self._until_ready(options, session, patience / 1000)
                with self._node.snapshot() as view:
                    self._go(
                        request,
                        options,
                        session,
                        view,
                        result,
                        sink,
                        want_session,
                        False,  # noqa: FBT003 -- positional on the hot path
                    )
            except KvError as error:
                sink(_failed(result, error))

        task = asyncio.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_ready(
        self, options: pb.Options, session: Session, patience_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        if not await self._node.wait_covered(session, patience_s):
            clock = self._node.clock()
            lacking = [d for d in session.seen if not clock.covers(d)]
            shown = ", ".join(
                f"{encode_version(d)} (has {clock.newest(d.replica)})"
                for d in lacking[:4]
            )
            msg = (
                f"this node lacks {len(lacking)} of what the session has seen:"
                f" {shown}; wait longer, ask another node, or say stale_ok"
            )
            raise NotCoveredError(msg)
        while behind := self._too_far_behind(options):
            if loop.time() >= deadline:
                raise NotCoveredError(behind)
            await asyncio.sleep(0.05)

    def _too_far_behind(self, options: pb.Options) -> str:
        """Return why the node is staler than allowed; empty if it is not (S3)."""
        bound = options.max_staleness_ms
        if not bound:
            return ""
        staleness, now = self._node.staleness(), self._node.now()
        for peer in self._node.known_peers():
            behind = staleness.behind(peer.replica, now)
            if behind is None:
                return f"this node has not heard from {peer.name} since it started"
            if behind > bound:
                return (
                    f"this node is up to {behind} ms behind {peer.name};"
                    f" at most {bound} ms were asked for"
                )
        return ""

    def _reading(
        self, view: StoreView, session: Session, *, want_session: bool, stale: bool
    ) -> Reading:
        node = self._node
        return Reading(
            view,
            node.now(),
            node.clock(),
            node.pending() if want_session else node.clock(),
            session,
            want_session,
            stale,
        )

    def _go(  # noqa: PLR0913, PLR0917 -- one operation's context, handed on whole
        self,
        request: DataRequest,
        options: pb.Options,
        session: Session,
        view: StoreView,
        result: pb.OperationResult,
        sink: Sink,
        want_session: bool,  # noqa: FBT001 -- handed on
        stale: bool,  # noqa: FBT001 -- handed on
    ) -> None:
        """Answer a read, or queue a write."""
        at = self._reading(view, session, want_session=want_session, stale=stale)
        reader = self._reader
        # An empty reply must still say which kind it is: hence SetInParent.
        match request:
            case pb.GetRequest():
                result.get.SetInParent()
                reader.get(request, result.get, at)
            case pb.ListRequest():
                result.list.SetInParent()
                reader.list(request, result.list, at)
            case pb.CounterRequest() if not request.delta:
                result.counter.SetInParent()
                reader.counter(request, result.counter, at)
            case pb.SetRequest() if not (request.add or request.remove):
                result.set.SetInParent()
                reader.set(request, result.set, at)
            case pb.DocumentRequest() if not request.update:
                result.document.SetInParent()
                reader.document(request, result.document, at)
            case _:
                self._write(request, options, at, result, sink)
                return
        sink(result)

    # -- writes --------------------------------------------------------------

    def _write(
        self,
        request: DataRequest,
        options: pb.Options,
        at: Reading,
        result: pb.OperationResult,
        sink: Sink,
    ) -> None:
        commands = self._commands(request, at, result)
        replicas = LOCAL
        if options.w > 1 or options.w_each_region:
            replicas = checked_replicas(
                options.w,
                each_region=options.w_each_region,
                patience=checked_patience(options.deadline_ms),
            )
        if not commands:
            result.batch.SetInParent()
            sink(result)
            return
        # What the node lacks of the session cannot be a dependency here (S2).
        seen = at.session
        if at.stale:
            seen = Session(
                tuple(d for d in seen.seen if at.covered.covers(d)), seen.hlc
            )

        def on_reply(reply: Reply | KvError) -> None:
            try:
                if isinstance(reply, KvError):
                    raise reply
                fill_write(request, result, reply, at)
                sink(result)
            except KvError as error:
                sink(_failed(result, error))

        self._node.write(commands, on_reply, session=seen, replicas=replicas)

    def _commands(
        self, request: DataRequest, at: Reading, result: pb.OperationResult
    ) -> tuple[Command, ...]:
        key_of = self._reader.key_of
        match request:
            case pb.PutRequest():
                return (self._put(request, at),)
            case pb.DeleteRequest():
                key = key_of(request.namespace, request.key)
                return (Delete(key, decode_version(request.if_version)),)
            case pb.CounterRequest():
                amount = checked_amount(request.delta)
                return (AddToCounter(key_of(request.namespace, request.key), amount),)
            case pb.SetRequest():
                key = key_of(request.namespace, request.key)
                add = checked_members(list(request.add))
                remove = checked_members(list(request.remove))
                return (UpdateSet(key, add, remove),)
            case pb.DocumentRequest():
                key = key_of(request.namespace, request.key)
                return (UpdateDocument(key, checked_update(request.update)),)
            case pb.BatchRequest():
                return self._batch(request, at, result.batch)
            case pb.GetRequest() | pb.ListRequest():
                msg = "reads do not get here"
                raise AssertionError(msg)
            case _:
                assert_never(request)

    def _put(self, request: pb.PutRequest, at: Reading) -> Put:
        key = self._reader.key_of(request.namespace, request.key)
        if request.if_absent and request.if_version:
            msg = "give if_absent or if_version, not both"
            raise InvalidArgumentError(msg)
        return Put(
            key,
            checked_value(request.value),
            checked_metadata(request.metadata),
            checked_deadline(request.ttl_ms, request.expires_at_ms, at.now),
            request.if_absent,
            decode_version(request.if_version),
        )

    def _batch(
        self, request: pb.BatchRequest, at: Reading, reply: pb.BatchReply
    ) -> tuple[Command, ...]:
        """Return the writes of a batch; its reads are answered here."""
        if len(request.steps) > BATCH_STEPS_MAX:
            msg = f"the batch has {len(request.steps)} steps; at most {BATCH_STEPS_MAX}"
            raise InvalidArgumentError(msg)
        if (size := request.ByteSize()) > BATCH_BYTES_MAX:
            msg = f"the batch has {size} bytes; at most {BATCH_BYTES_MAX} are allowed"
            raise InvalidArgumentError(msg)
        commands: list[Command] = []
        for number, step in enumerate(request.steps):
            try:
                command = self._step(step, reply.results.add(), at)
            except InvalidArgumentError as error:
                msg = f"step {number} of the batch: {error}"
                raise InvalidArgumentError(msg) from error
            if command:
                commands.append(command)
        return tuple(commands)

    def _step(
        self, step: pb.BatchRequest.Step, slot: pb.BatchReply.Result, at: Reading
    ) -> Command | None:
        """Return the write of one step, or answer its read."""
        match step.WhichOneof("kind"):
            case "put":
                slot.write.SetInParent()
                return self._put(step.put, at)
            case "delete":
                slot.write.SetInParent()
                key = self._reader.key_of(step.delete.namespace, step.delete.key)
                return Delete(key, decode_version(step.delete.if_version))
            case "get":
                slot.get.SetInParent()
                self._reader.get(step.get, slot.get, at)
                return None
            case _:
                msg = "says nothing to do"
                raise InvalidArgumentError(msg)


def _failed(result: pb.OperationResult, error: KvError) -> pb.OperationResult:
    result.error.CopyFrom(to_message(error))
    return result
