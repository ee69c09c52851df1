"""The Admin service: what operators see and do."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
import psutil

from kvnode._pb import admin_pb2 as pb
from kvnode._pb import admin_pb2_grpc
from kvnode.api.clock_entries import clock_entries
from kvnode.api.digest import digest
from kvnode.api.digest_status import digest_status, repair_reply
from kvnode.api.lag import lag
from kvnode.api.limits import checked_namespace
from kvnode.api.members import member_status, member_statuses, members_to_remove
from kvnode.api.namespaces import Namespaces, registration
from kvnode.api.node_status import (
    filling_status,
    floor_status,
    forgetting_status,
)
from kvnode.api.port import AdminPort, Departures
from kvnode.api.status_map import abort, to_message, unary
from kvnode.api.writing import write_and_wait
from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.node.commands import Command, Delete, Put
from kvnode.core.versions.version import Kind
from kvnode.errors import InvalidArgumentError, KvError, UnavailableError
from kvnode.types import (
    DEFAULT_NAMESPACE,
    EntryKey,
    Namespace,
)

Context = grpc.aio.ServicerContext[Any, Any]

DELETES_PER_WRITE = 1000
"""Keys of a deleted namespace go in batches, so that others get their turns."""


LEAVE_SECONDS = 60.0
"""To hand over, if the caller does not say: many times what a busy node takes."""


class LinkConditions(Protocol):
    """The emulated state of the road to one peer."""

    delay_ms: int
    blocked: bool


class Links(Protocol):
    """What the transport lets an operator see and change."""

    def conditions(self, name: str) -> LinkConditions:
        """Return the emulated conditions toward the peer called *name*."""


class AdjustableClock(Protocol):
    """The node's clock, as far as tests may put it wrong."""

    def bend(self, *, offset_ms: int, drift_ppm: int) -> None:
        """Be wrong by so much from now on; ValueError if it is out of range."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while the node runs."""

    name: str
    region: str
    cluster: str
    version: str
    durability: str
    data_directory: str
    started_at_ms: int
    fault_injection: bool


class AdminServicer(admin_pb2_grpc.AdminServicer):
    """Serves operators."""

    def __init__(  # noqa: PLR0913 -- the ports of the service
        self,
        node: AdminPort,
        namespaces: Namespaces,
        links: Links,
        clock: AdjustableClock,
        facts: Facts,
        *,
        departures: Departures,
        rescued: Callable[[], Iterable[tuple[str, int, int]]],
    ) -> None:
        """
        Make the service.

        Args:
            node: The node itself.
            namespaces: Those known here.
            links: To peers, as far as tests may change them.
            clock: As far as tests may change it.
            facts: About the node.
            departures: Ends memberships.
            rescued: Lists recovery files: name, bytes, written when (ms since 1970).
        """
        self._node = node
        self._namespaces = namespaces
        self._links = links
        self._clock = clock
        self._facts = facts
        self._departures = departures
        self._rescued = rescued
        self._process = psutil.Process()

    async def Status(  # noqa: N802 -- the name is the protocol's
        self, request: pb.StatusRequest, context: Context
    ) -> pb.StatusReply:
        """Describe this node and its peers."""
        del request, context
        node, facts, usage = self._node, self._facts, self._node.usage()
        refusal = node.refusal()
        reply = pb.StatusReply(
            name=facts.name,
            region=facts.region,
            replica=node.replica(),
            version=facts.version,
            cluster=facts.cluster,
            uptime_ms=max(0, node.now() - facts.started_at_ms),
            entry_count=usage.entry_count,
            disk_bytes=usage.used_bytes,
            disk_free_bytes=usage.free_bytes,
            resident_bytes=self._process.memory_info().rss,
            durability=facts.durability,
            accepting_writes=not refusal,
            refusing_because=refusal,
            clock=clock_entries(node.clock()),
            conflicts_ever=node.conflicts_ever(),
            uncovered_batches=node.uncovered_batches(),
            namespaces=self._namespaces.names(),
            data_directory=facts.data_directory,
            hlc=node.hlc(),
            digests=digest_status(node),
            members=member_statuses(node),
            floor=floor_status(node),
            forgetting=forgetting_status(node),
            filling=filling_status(node),
        )
        self._add_peers(reply)
        for name, size_bytes, written_at in self._rescued():
            reply.rescued.add(
                name=name, size_bytes=size_bytes, written_at_ms=written_at
            )
        return reply

    def _add_peers(self, reply: pb.StatusReply) -> None:
        node, clock = self._node, self._node.clock()
        connected = node.peers()
        for address in node.known_peers():
            peer = connected.get(address.replica)
            theirs = peer.clock if peer else EMPTY
            conditions = self._links.conditions(address.name)
            reply.peers.add(
                name=address.name,
                address=address.address,
                replica=address.replica,
                region=address.region,
                connected=peer is not None,
                missing_there=clock.count_missing_from(theirs) if peer else 0,
                missing_here=theirs.count_missing_from(clock),
                outbox_bytes=peer.outbox.size_bytes if peer else 0,
                delay_ms=conditions.delay_ms,
                blocked=conditions.blocked,
                heard_ms_ago=node.heard_ms_ago(address.replica),
                protocol=peer.protocol if peer else 0,
            )

    @unary
    async def RemoveMember(  # noqa: N802 -- the name is the protocol's
        self, request: pb.RemoveMemberRequest
    ) -> pb.RemoveMemberReply:
        """Declare a member gone for good; durable here when this returns."""
        members = members_to_remove(self._node, request)
        await self._departures.remove(member.replica for member in members)
        gone = (self._node.roster().get(member.replica) for member in members)
        removed = [member_status(self._node, member) for member in gone if member]
        return pb.RemoveMemberReply(removed=removed)

    async def Leave(  # noqa: N802 -- the name is the protocol's
        self, request: pb.LeaveRequest, context: Context
    ) -> pb.LeaveReply:
        """Take this node out of the cluster for good; it stops after that."""
        patience_s = request.patience_ms / 1000 or LEAVE_SECONDS
        try:
            told, members = await self._departures.leave(patience_s)
        except UnavailableError as error:
            # No error to the client, which would try again by itself.
            return pb.LeaveReply(refused_because=str(error))
        except KvError as error:
            await abort(context, to_message(error))
        return pb.LeaveReply(told=told, members=members)

    async def Lag(  # noqa: N802 -- the name is the protocol's
        self, request: pb.LagRequest, context: Context
    ) -> pb.LagReply:
        """Tell how far behind every other node this one is."""
        del request, context
        return lag(self._node, self._facts.name)

    @unary
    async def CreateNamespace(  # noqa: N802 -- the name is the protocol's
        self, request: pb.NamespaceRequest
    ) -> pb.NamespaceReply:
        """Create a namespace, everywhere in time."""
        name = checked_namespace(request.name)
        if name in self._namespaces:
            return pb.NamespaceReply(changed=False)
        await write_and_wait(self._node, (Put(registration(name), b"{}"),))
        return pb.NamespaceReply(changed=True)

    @unary
    async def DeleteNamespace(  # noqa: N802 -- the name is the protocol's
        self, request: pb.NamespaceRequest
    ) -> pb.NamespaceReply:
        """Delete a namespace and every key of it that is known here."""
        name = checked_namespace(request.name)
        if name == DEFAULT_NAMESPACE:
            msg = "the default namespace cannot be deleted"
            raise InvalidArgumentError(msg)
        known = name in self._namespaces
        if known:
            await write_and_wait(self._node, (Delete(registration(name)),))
        # Keys are left if an earlier call broke off, or came from elsewhere.
        deleted = await self._delete_keys(name)
        return pb.NamespaceReply(changed=known or deleted)

    async def _delete_keys(self, name: Namespace) -> bool:
        """Delete all keys of a namespace; tell whether there were any."""
        start, deleted = b"", False
        while True:
            commands: list[Command] = []
            with self._node.snapshot() as view:
                for key, entry in view.scan(name, start=start):
                    start = key + b"\0"
                    if entry.version.kind is not Kind.TOMBSTONE:
                        commands.append(Delete(EntryKey(name, key)))
                    if len(commands) >= DELETES_PER_WRITE:
                        break
            if not commands:
                return deleted
            await write_and_wait(self._node, tuple(commands))
            deleted = True

    async def ListNamespaces(  # noqa: N802 -- the name is the protocol's
        self, request: pb.ListNamespacesRequest, context: Context
    ) -> pb.ListNamespacesReply:
        """Name the namespaces known here."""
        del request, context
        return pb.ListNamespacesReply(names=self._namespaces.names())

    @unary
    async def Digest(  # noqa: N802 -- the name is the protocol's
        self, request: pb.DigestRequest
    ) -> pb.DigestReply:
        """Return a fingerprint of what this node holds."""
        with self._node.snapshot() as view:
            clock = view.state().clock
            if request.namespace:
                chosen = Namespace(request.namespace)
                self._namespaces.check(chosen)
                names = [chosen]
            else:
                names = list(view.namespaces())
            reply = await digest(view, names, self._node.now())
        reply.clock.extend(clock_entries(clock))
        return reply

    async def Backup(  # noqa: N802 -- the name is the protocol's
        self, request: pb.BackupRequest, context: Context
    ) -> AsyncIterator[pb.BackupChunk]:
        """Send a consistent backup, taken while serving."""
        del request
        try:
            async for data in self._node.backup():
                yield pb.BackupChunk(data=data)
        except KvError as error:
            await abort(context, to_message(error))

    async def SetLink(  # noqa: N802 -- the name is the protocol's
        self, request: pb.SetLinkRequest, context: Context
    ) -> pb.SetLinkReply:
        """Emulate distance or a cut to a peer."""
        await self._refuse_unless_injecting(context)
        known = {peer.name for peer in self._node.known_peers()}
        # A cut may have to be undone for one that was removed meanwhile.
        known |= {member.name for member in self._node.roster()} - {self._facts.name}
        if request.peer not in known:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{request.peer!r} is no peer of {self._facts.name}; it knows"
                f" {', '.join(sorted(known)) or 'none'}",
            )
        conditions = self._links.conditions(request.peer)
        conditions.delay_ms = request.delay_ms
        conditions.blocked = request.blocked
        return pb.SetLinkReply()

    async def SetClock(  # noqa: N802 -- the name is the protocol's
        self, request: pb.SetClockRequest, context: Context
    ) -> pb.SetClockReply:
        """Put the node's wall clock wrong, or right again."""
        await self._refuse_unless_injecting(context)
        try:
            self._clock.bend(offset_ms=request.offset_ms, drift_ppm=request.drift_ppm)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.SetClockReply()

    @unary
    async def Repair(  # noqa: N802 -- the name is the protocol's
        self, request: pb.RepairRequest
    ) -> pb.RepairReply:
        """Find in what this node's store and a peer's differ, and mend both."""
        return repair_reply(await self._node.repair(request.peer))

    async def _refuse_unless_injecting(self, context: Context) -> None:
        if not self._facts.fault_injection:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                "this node was not started with fault_injection = true",
            )
