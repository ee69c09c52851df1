"""What operators ask of a node: thin calls to kvnode.v1.Admin."""

from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from kvnode._pb import admin_pb2, kv_pb2
from kvnode.client.arguments import deadline_seconds
from kvnode.client.attempts import guarded
from kvnode.client.connection import Connection
from kvnode.client.dispatcher import Dispatcher
from kvnode.client.replies import (
    departure_of,
    digest_of,
    lag_of,
    member_of,
    repair_of,
    status_of,
)
from kvnode.client.store import Store
from kvnode.client.values import (
    Departure,
    Digest,
    Lag,
    MemberStatus,
    NodeStatus,
    RepairResult,
)
from kvnode.errors import InvalidArgumentError, UnavailableError
from kvnode.limits import CLOCK_BEND_MILLIS_MAX, CLOCK_BEND_PPM_MAX

Reply = TypeVar("Reply")

_UINT32_MAX = 2**32 - 1

_LEAVE_SECONDS = 60.0
_LEAVE_REPLY_SECONDS = 10.0  # to tell the others, and for the reply, once it has left


class AdminStore(Store):
    """
    The data methods and the operators' methods.

    The latter go to the endpoint in use: a client of one endpoint asks that node.
    """

    def _dispatcher(self) -> Dispatcher:
        """Return the road to the nodes, which also does unary calls."""
        raise NotImplementedError

    async def status(self, *, deadline: float | None = None) -> NodeStatus:
        """Return the node's account of itself."""
        reply = await self._admin(
            "Status",
            admin_pb2.StatusRequest(),
            admin_pb2.StatusReply.FromString,
            deadline=deadline,
        )
        return status_of(reply)

    async def digest(
        self, namespace: str | None = None, *, deadline: float | None = None
    ) -> Digest:
        """Return a fingerprint of all entries, or of those in *namespace*."""
        reply = await self._admin(
            "Digest",
            admin_pb2.DigestRequest(namespace=namespace or ""),
            admin_pb2.DigestReply.FromString,
            namespace=namespace,
            deadline=deadline,
        )
        return digest_of(reply)

    async def repair(self, peer: str, *, deadline: float | None = None) -> RepairResult:
        """
        Find in what the node and its peer called *peer* differ, and mend both.

        Goes on at the node if no reply comes in time: `status` tells.
        """
        reply = await self._admin(
            "Repair",
            admin_pb2.RepairRequest(peer=peer),
            admin_pb2.RepairReply.FromString,
            deadline=deadline,
            writes=True,
        )
        return repair_of(reply)

    async def namespaces(self, *, deadline: float | None = None) -> tuple[str, ...]:
        """Return the names of the namespaces known at the node."""
        reply = await self._admin(
            "ListNamespaces",
            admin_pb2.ListNamespacesRequest(),
            admin_pb2.ListNamespacesReply.FromString,
            deadline=deadline,
        )
        return tuple(reply.names)

    async def create_namespace(
        self, name: str, *, deadline: float | None = None
    ) -> bool:
        """Create a namespace everywhere; False: it was there already."""
        reply = await self._admin(
            "CreateNamespace",
            admin_pb2.NamespaceRequest(name=name),
            admin_pb2.NamespaceReply.FromString,
            namespace=name,
            deadline=deadline,
            writes=True,
        )
        return reply.changed

    async def delete_namespace(
        self, name: str, *, deadline: float | None = None
    ) -> bool:
        """Delete a namespace and all in it, everywhere; False: there was none."""
        reply = await self._admin(
            "DeleteNamespace",
            admin_pb2.NamespaceRequest(name=name),
            admin_pb2.NamespaceReply.FromString,
            namespace=name,
            deadline=deadline,
            writes=True,
        )
        return reply.changed

    async def remove_member(
        self,
        member: str,
        *,
        former: bool = False,
        force: bool = False,
        deadline: float | None = None,
    ) -> tuple[MemberStatus, ...]:
        """
        Declare a member gone for good, at all nodes; return who is gone by this.

        What only it had is lost, or comes back as a recovery file if it ever does.

        Args:
            member: A name, or an identity in 16 hex digits.
            former: All identities that had the name before the present one.
            force: Even one that is connected right now.
            deadline: Seconds, >= 0.001.
        """
        reply = await self._admin(
            "RemoveMember",
            admin_pb2.RemoveMemberRequest(member=member, former=former, force=force),
            admin_pb2.RemoveMemberReply.FromString,
            deadline=deadline,
            writes=True,
        )
        return tuple(map(member_of, reply.removed))

    async def leave(self, *, patience: float = _LEAVE_SECONDS) -> Departure:
        """
        Take the node out of the cluster for good; it stops after that.

        It takes no writes meanwhile.  If the others do not have all it has within
        *patience* seconds, UnavailableError says so, and it goes on.
        """
        patience_ms = round(patience * 1000) if 0 < patience <= _UINT32_MAX else 0
        if not 1 <= patience_ms <= _UINT32_MAX:
            msg = f"patience is {patience} s: it must be 0.001 to {_UINT32_MAX // 1000}"
            raise InvalidArgumentError(msg)
        reply = await self._admin(
            "Leave",
            admin_pb2.LeaveRequest(patience_ms=patience_ms),
            admin_pb2.LeaveReply.FromString,
            deadline=patience + _LEAVE_REPLY_SECONDS,
            writes=True,
        )
        if reply.refused_because:
            raise UnavailableError(reply.refused_because)
        return departure_of(reply)

    async def lag(self, *, deadline: float | None = None) -> Lag:
        """Return how far the node is behind every other one."""
        reply = await self._admin(
            "Lag",
            admin_pb2.LagRequest(),
            admin_pb2.LagReply.FromString,
            deadline=deadline,
        )
        return lag_of(reply)

    async def set_link(
        self,
        peer: str,
        *,
        delay: float = 0.0,
        blocked: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Emulate *delay* seconds to the peer of that name, or a cut."""
        delay_ms = round(delay * 1000) if 0 <= delay <= _UINT32_MAX / 1000 else None
        if delay_ms is None:
            msg = f"delay is {delay} s: it must be 0 to {_UINT32_MAX // 1000} s"
            raise InvalidArgumentError(msg)
        await self._admin(
            "SetLink",
            admin_pb2.SetLinkRequest(peer=peer, delay_ms=delay_ms, blocked=blocked),
            admin_pb2.SetLinkReply.FromString,
            deadline=deadline,
            writes=True,
        )

    async def set_clock(
        self,
        *,
        offset: float = 0.0,
        drift_ppm: int = 0,
        deadline: float | None = None,
    ) -> None:
        """
        Make the node's wall clock wrong, or right again (no arguments).

        Args:
            offset: Seconds ahead of true time from now on; negative = behind.
            drift_ppm: Microseconds gained each second.
            deadline: Seconds, >= 0.001.
        """
        offset_max = CLOCK_BEND_MILLIS_MAX // 1000
        if not abs(offset) <= offset_max or abs(drift_ppm) > CLOCK_BEND_PPM_MAX:
            msg = (
                f"offset is {offset} s and drift_ppm {drift_ppm}: they must be within"
                f" {offset_max} s and {CLOCK_BEND_PPM_MAX} either way"
            )
            raise InvalidArgumentError(msg)
        await self._admin(
            "SetClock",
            admin_pb2.SetClockRequest(
                offset_ms=round(offset * 1000), drift_ppm=drift_ppm
            ),
            admin_pb2.SetClockReply.FromString,
            deadline=deadline,
            writes=True,
        )

    async def backup(
        self, *, deadline: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield the chunks of a consistent snapshot, each of at most 1 MiB.

        *deadline* is for finding a node; the transfer takes as long as it takes.  A
        transfer that fails is not repeated: what was yielded is of no use.
        """
        dispatcher = self._dispatcher()
        seconds = self._deadline if deadline is None else deadline_seconds(deadline)
        connection = await dispatcher.pool.connect(dispatcher.now() + seconds)
        call: grpc.aio.UnaryStreamCall[Message, admin_pb2.BackupChunk] = (
            connection.channel.unary_stream(
                "/kvnode.v1.Admin/Backup",
                request_serializer=admin_pb2.BackupRequest.SerializeToString,
                response_deserializer=admin_pb2.BackupChunk.FromString,
            )(admin_pb2.BackupRequest())
        )
        try:
            while True:
                chunk = await guarded(
                    call.read(), namespace="", address=connection.address, writes=False
                )
                if not isinstance(chunk, admin_pb2.BackupChunk):
                    return
                yield chunk.data
        finally:
            call.cancel()

    async def _admin(  # noqa: PLR0913 - a method, its two messages, and how to call
        self,
        method: str,
        request: Message,
        parse: Callable[[bytes], Reply],
        *,
        namespace: str | None = None,
        deadline: float | None,
        writes: bool = False,
    ) -> Reply:
        async def invoke(
            connection: Connection[kv_pb2.OperationResult], remaining: float
        ) -> Reply:
            channel = connection.channel
            call: grpc.aio.UnaryUnaryCall[Message, Reply] = channel.unary_unary(
                f"/kvnode.v1.Admin/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=parse,
            )(request, timeout=remaining)
            return await call

        dispatcher = self._dispatcher()
        return await dispatcher.unary(
            invoke,
            namespace=namespace or "",
            writes=writes,
            deadline=self._deadline if deadline is None else deadline_seconds(deadline),
        )
