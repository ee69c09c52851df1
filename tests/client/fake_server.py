"""
A node that keeps the protocol on the outside and a few dicts on the inside.

Faults are switches that a test sets: replies held back, a stream cut, an error for
the operations that a test picks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from kvnode._pb import admin_pb2, kv_pb2
from kvnode.errors import ERROR_TRAILER
from kvnode.limits import FRAME_BYTES_MAX
from tests.client.fake_operations import FakeStore

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Faults:
    """What goes wrong, until a test says otherwise."""

    error: Callable[[kv_pb2.Operation], kv_pb2.Error | None] = lambda _: None
    hold: asyncio.Event | None = None  # no reply before it is set
    cut_after_frames: int | None = None  # the one after those is served, unanswered
    cut_watch_after: int | None = None  # steps of a watch
    hold_watch: asyncio.Event | None = None  # no step before it is set
    admin_error: kv_pb2.Error | None = None
    admin_status: grpc.StatusCode | None = None


class FakeNode:
    """One node, which listens while its context lasts."""

    def __init__(self, store: FakeStore | None = None) -> None:
        self.store = store or FakeStore()
        self.faults = Faults()
        self.frames: list[kv_pb2.Frame] = []
        self.watches: list[kv_pb2.WatchRequest] = []
        self.frame_arrived = asyncio.Event()
        self.watch_arrived = asyncio.Event()
        self.clock_settings: list[tuple[int, int]] = []
        self.stream_count = 0
        self.leave_calls = 0
        self.address = "127.0.0.1:0"
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def operations(self) -> list[kv_pb2.Operation]:
        """All operations that have arrived, in order."""
        return [one for frame in self.frames for one in frame.operations]

    async def start(self) -> None:
        """Listen, at the address of before if there was one."""
        options = (
            ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
            ("grpc.max_send_message_length", FRAME_BYTES_MAX),
            ("grpc.so_reuseport", 0),
        )
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((self._kv(), self._admin()))
        port = server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Cut all streams and stop listening."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    def _kv(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "kvnode.v1.Kv",
            {
                "Execute": grpc.stream_stream_rpc_method_handler(
                    self._execute,
                    kv_pb2.Frame.FromString,
                    kv_pb2.FrameReply.SerializeToString,
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._watch,
                    kv_pb2.WatchRequest.FromString,
                    kv_pb2.WatchReply.SerializeToString,
                ),
            },
        )

    def _admin(self) -> grpc.GenericRpcHandler:
        unary: dict[str, tuple[type[Message], Callable[[Any], Message]]] = {
            "Status": (admin_pb2.StatusRequest, self._status),
            "Digest": (admin_pb2.DigestRequest, self._digest),
            "ListNamespaces": (admin_pb2.ListNamespacesRequest, self._list_namespaces),
            "CreateNamespace": (admin_pb2.NamespaceRequest, self._create_namespace),
            "DeleteNamespace": (admin_pb2.NamespaceRequest, self._delete_namespace),
            "Repair": (admin_pb2.RepairRequest, self._repair),
            "SetLink": (admin_pb2.SetLinkRequest, lambda _: admin_pb2.SetLinkReply()),
            "SetClock": (admin_pb2.SetClockRequest, self._set_clock),
            "RemoveMember": (admin_pb2.RemoveMemberRequest, self._remove_member),
            "Leave": (admin_pb2.LeaveRequest, self._leave),
            "Lag": (admin_pb2.LagRequest, self._lag),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._unary(serve), request.FromString, _serialized
            )
            for name, (request, serve) in unary.items()
        }
        handlers["Backup"] = grpc.unary_stream_rpc_method_handler(
            self._backup, admin_pb2.BackupRequest.FromString, _serialized
        )
        return grpc.method_handlers_generic_handler("kvnode.v1.Admin", handlers)

    async def _execute(
        self, frames: AsyncIterator[kv_pb2.Frame], context: Context
    ) -> AsyncIterator[kv_pb2.FrameReply]:
        self.stream_count += 1
        served = 0
        async for frame in frames:
            self.frames.append(frame)
            self.frame_arrived.set()
            reply = kv_pb2.FrameReply(
                results=[self._result(operation) for operation in frame.operations]
            )
            if self.faults.cut_after_frames == served:
                self.faults.cut_after_frames = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
            served += 1
            if self.faults.hold is not None:
                await self.faults.hold.wait()
            yield reply

    def _result(self, operation: kv_pb2.Operation) -> kv_pb2.OperationResult:
        error = self.faults.error(operation)
        if error is not None:
            return kv_pb2.OperationResult(id=operation.id, error=error)
        return self.store.run(operation)

    async def _watch(
        self, request: kv_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[kv_pb2.WatchReply]:
        """Send the numbers after the token, one a step, for ever."""
        self.watches.append(request)
        self.watch_arrived.set()
        if self.faults.hold_watch is not None:
            await self.faults.hold_watch.wait()
        if request.prefix == b"forbidden":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        number = int(request.resume_token or b"0")
        for sent in range(1_000_000):
            if self.faults.cut_watch_after == sent:
                self.faults.cut_watch_after = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
            number += 1
            key = b"%d" % number
            entry = kv_pb2.GetReply(type=kv_pb2.VALUE_TYPE_REGISTER, value=key)
            change = kv_pb2.WatchReply.Change(key=key, entry=entry)
            yield kv_pb2.WatchReply(changes=[change], resume_token=key)

    def _unary(
        self, serve: Callable[[Any], Message]
    ) -> Callable[[Message, Context], Any]:
        async def handle(request: Message, context: Context) -> Message:
            if self.faults.admin_error is not None:
                trailer = self.faults.admin_error.SerializeToString()
                context.set_trailing_metadata(((ERROR_TRAILER, trailer),))
                await context.abort(grpc.StatusCode.UNAVAILABLE, "see the trailer")
            if self.faults.admin_status is not None:
                await context.abort(self.faults.admin_status, "set by the test")
            return serve(request)

        return handle

    def _status(self, _: admin_pb2.StatusRequest) -> admin_pb2.StatusReply:
        return admin_pb2.StatusReply(
            name="fake",
            uptime_ms=1500,
            clock=[admin_pb2.ClockEntry(replica=1, covered=2, newest=3)],
            peers=[admin_pb2.PeerStatus(name="other", heard_ms_ago=-1)],
            digests=admin_pb2.DigestStatus(total=0xAB, known=True, alarms=["other"]),
            members=[
                admin_pb2.MemberStatus(
                    name="other",
                    standing=admin_pb2.STANDING_LEFT,
                    heard_ms_ago=-1,
                    rtt_us=1500,
                )
            ],
            floor=admin_pb2.FloorStatus(age_ms=-1),
            filling=admin_pb2.FillingStatus(done=1, expected=4, percent=25),
            rescued=[admin_pb2.RescueFile(name="a.jsonl", written_at_ms=2500)],
        )

    def _repair(self, request: admin_pb2.RepairRequest) -> admin_pb2.RepairReply:
        return admin_pb2.RepairReply(
            peer=request.peer, differing_keys=3, bytes=99, duration_ms=1500
        )

    def _remove_member(
        self, request: admin_pb2.RemoveMemberRequest
    ) -> admin_pb2.RemoveMemberReply:
        gone = admin_pb2.MemberStatus(
            name=request.member, standing=admin_pb2.STANDING_REMOVED
        )
        return admin_pb2.RemoveMemberReply(removed=[gone])

    def _leave(self, request: admin_pb2.LeaveRequest) -> admin_pb2.LeaveReply:
        self.leave_calls += 1
        if request.patience_ms < 1000:
            return admin_pb2.LeaveReply(refused_because="2 writes are here alone")
        return admin_pb2.LeaveReply(told=1, members=2)

    def _lag(self, _: admin_pb2.LagRequest) -> admin_pb2.LagReply:
        known = admin_pb2.OriginLag(
            name="other",
            standing=admin_pb2.STANDING_MEMBER,
            missing=3,
            behind_ms=1500,
            holders=["third"],
        )
        return admin_pb2.LagReply(name="fake", origins=[known, admin_pb2.OriginLag()])

    def _digest(self, request: admin_pb2.DigestRequest) -> admin_pb2.DigestReply:
        digest = request.namespace.encode().ljust(32, b".")
        return admin_pb2.DigestReply(digest=digest, entry_count=2, live_count=1)

    def _set_clock(self, request: admin_pb2.SetClockRequest) -> admin_pb2.SetClockReply:
        self.clock_settings.append((request.offset_ms, request.drift_ppm))
        return admin_pb2.SetClockReply()

    def _list_namespaces(
        self, _: admin_pb2.ListNamespacesRequest
    ) -> admin_pb2.ListNamespacesReply:
        return admin_pb2.ListNamespacesReply(names=sorted(self.store.namespaces))

    def _create_namespace(
        self, request: admin_pb2.NamespaceRequest
    ) -> admin_pb2.NamespaceReply:
        changed = request.name not in self.store.namespaces
        self.store.namespaces.add(request.name)
        return admin_pb2.NamespaceReply(changed=changed)

    def _delete_namespace(
        self, request: admin_pb2.NamespaceRequest
    ) -> admin_pb2.NamespaceReply:
        changed = request.name in self.store.namespaces
        self.store.namespaces.discard(request.name)
        return admin_pb2.NamespaceReply(changed=changed)

    async def _backup(
        self, _: admin_pb2.BackupRequest, __: Context
    ) -> AsyncIterator[admin_pb2.BackupChunk]:
        for part in (b"first ", b"second"):
            yield admin_pb2.BackupChunk(data=part)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
