"""
Who keeps the objects: looking at it, and changing it.

A shard moves from its leader, which stays the leader.  Where that is not to keep it, a
node that is to takes the lead first; and if none of those keeps it yet, the shard moves
to some of them and the leader before that.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from kvnode.api.objects_admin_port import (
    LedShard,
    ObjectsOverview,
    ReplicaStatus,
    VoterView,
)
from kvnode.authority.embedded_authority import EmbeddedAuthority, Role
from kvnode.authority.etcd.etcd_authority import EndpointStatus, EtcdAuthority
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Reconfigure, TakeLead
from kvnode.core.objects.homes import region_of
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.spreading import Step, may_take
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    NotLeaderError,
    RejectedError,
)
from kvnode.runtime.objects.homes import Homes
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.runtime.objects.router import Router
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId

LOOK_SECONDS: Final = 0.05
"""Between two looks at whether something has happened: as often as replicas tick."""

SUSPECT_SECONDS: Final = 0.5
"""Before a lead is claimed again that another has taken meanwhile."""

LEADERLESS_SECONDS_MAX: Final = 5.0
"""A leader that moves its shard takes over from itself, which lasts about a second."""


class Administration:
    """
    See kvnode.api.objects_admin_port.ObjectsAdminPort.

    Attributes:
        is_stopping: The node takes no lead any more.
    """

    def __init__(
        self,
        parts: ObjectParts,
        homes: Homes,
        shards: ShardHost,
        router: Router,
        *,
        next_step: Callable[[], Step | None],
    ) -> None:
        """
        Look after shards.

        Args:
            parts: What they stand on.
            homes: Knows which there can be.
            shards: Those that are here.
            router: Knows who leads others.
            next_step: Returns which lead this node gives away next.
        """
        self._parts = parts
        self._homes = homes
        self._shards = shards
        self._router = router
        self._next_step = next_step
        self._taking = False
        self.is_stopping = False

    # -- looking -----------------------------------------------------------------

    async def overview(self) -> ObjectsOverview:
        """Return what this node knows."""
        own, step = self._parts.store.replica, self._next_step()
        return ObjectsOverview(
            self._parts.peers.name_of(own),
            self._parts.peers.nodes(),
            tuple(
                self._led(shard, leading, step)
                for shard in self._shards.shards
                if (leading := self._leading(shard)) is not None
            ),
            await self._voters(),
        )

    def _leading(self, shard: str) -> Leadership | None:
        if not self._shards.has_replica(shard):
            return None
        leading = self._shards.replica(shard).leadership
        return leading if leading is not None and leading.is_open else None

    def _led(self, shard: str, leading: Leadership, step: Step | None) -> LedShard:
        name_of = self._parts.peers.name_of
        last = self._shards.replica(shard).log.last.number
        replicas = [
            ReplicaStatus(name_of(each), each, *leading.lag_of(each, last))
            for each in leading.configuration.replicas
        ]
        moving_to = tuple(name_of(each) for each in leading.moving_to)
        heir = step.heir if step is not None and step.shard == shard else ""
        return LedShard(shard, leading.epoch, tuple(replicas), moving_to, heir)

    async def _voters(self) -> tuple[VoterView, ...]:
        authority = self._parts.authority
        if isinstance(authority, EtcdAuthority):
            return tuple(map(_view_of, await authority.status()))
        if not isinstance(authority, EmbeddedAuthority):
            return ()
        status = await authority.status()
        return tuple(
            VoterView(each.name, each.role.value, each.voter, each.trouble)
            for each in status.voters
        )

    # -- changing ----------------------------------------------------------------

    async def move(
        self, shard: str, nodes: tuple[str, ...], *, is_forwarded: bool
    ) -> None:
        """Let *nodes* keep *shard*; see the port."""
        self._homes.check(shard)
        if self._leading(shard) is None:
            router = self._router
            leader = router.leader(shard) or await router.named_leader(shard)
            if is_forwarded or not leader:
                msg = f"this node does not lead shard {shard}"
                raise NotLeaderError(msg, leader=leader)
            await self._parts.peers.move(leader, shard, nodes)
            return
        target = self._replicas_of(nodes)
        own = self._shards.own
        if own in target:
            await self._reconfigure(shard, target)
            return
        held = self._configuration(shard).replicas
        if not set(held) & set(target):
            await self._reconfigure(shard, (*target[: max(1, len(target) - 1)], own))
            held = self._configuration(shard).replicas
        heir = next(each for each in target if each in held)
        name = self._parts.peers.name_of(heir)
        await self._parts.peers.lead(name, shard)
        await self._parts.peers.move(name, shard, nodes)

    async def lead(self, shard: str, *, giver_leads: int = 0) -> None:
        """Let this node lead *shard*; see the port."""
        self._homes.check(shard)
        if self.is_stopping:
            msg = "this node is stopping, and takes no lead"
            raise RejectedError(msg)
        if giver_leads:
            await self._take_one(shard, giver_leads)
        else:
            await self._lead(shard)

    async def found(self, shard: str) -> None:
        """Let a shard of this node's region begin; see the port."""
        await self._homes.found(shard)

    async def _take_one(self, shard: str, giver_leads: int) -> None:
        """Lead *shard* if the giver still leads more then; one at a time."""
        region = region_of(shard)
        own_leads = sum(
            self._shards.leads(each)
            for each in self._shards.shards
            if region_of(each) == region
        )
        if self._taking or not may_take(gives=giver_leads, takes=own_leads):
            kind = f"shards of region {region}" if region else "shards"
            msg = f"this node leads {own_leads} {kind}, which is its share for now"
            raise RejectedError(msg)
        self._taking = True
        try:
            await self._lead(shard)
        finally:
            self._taking = False

    async def _lead(self, shard: str) -> None:
        looks, keeps = 0, self._shards.has_replica(shard)
        while not self._shards.leads(shard):
            if looks % round(SUSPECT_SECONDS / LOOK_SECONDS) == 0:
                if not keeps:
                    await self._check_kept(shard)
                keeps = False  # it may have kept the shard once: ask before the next
                self._shards.tell(shard, TakeLead())
            looks += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def _check_kept(self, shard: str) -> None:
        held = await self._parts.authority.read(shard)
        if held is None or self._shards.own not in held.replicas:
            msg = f"this node does not keep shard {shard}: move it here first"
            raise RejectedError(msg)

    async def replace_voter(self, node: str, newcomer: str) -> tuple[str, ...]:
        """Let one vote in place of another; see the port."""
        authority = self._parts.authority
        if not isinstance(authority, EmbeddedAuthority):
            msg = "no nodes vote here: objects_voters is not set"
            raise RejectedError(msg)
        return (await authority.replace(node, newcomer)).names

    async def _reconfigure(self, shard: str, target: tuple[ReplicaId, ...]) -> None:
        """Move *shard*, which this node leads, and wait until it has arrived."""
        wanted = tuple(sorted(target))
        leaderless = 0.0
        while leaderless < LEADERLESS_SECONDS_MAX:
            leading = self._leading(shard)
            if leading is None:
                leaderless += LOOK_SECONDS
            else:
                leaderless = 0.0
                held = leading.configuration
                if held.replicas == wanted and not held.former:
                    return
                if leading.moving_to != wanted:
                    self._shards.tell(shard, Reconfigure(wanted))
            await asyncio.sleep(LOOK_SECONDS)
        msg = f"this node has lost the lead of shard {shard} while it moved: ask again"
        raise IndeterminateError(msg)

    def _configuration(self, shard: str) -> Configuration:
        leading = self._leading(shard)
        if leading is None:
            msg = f"this node has lost the lead of shard {shard}: ask again"
            raise NotLeaderError(msg)
        return leading.configuration

    def _replicas_of(self, nodes: tuple[str, ...]) -> tuple[ReplicaId, ...]:
        met = self._parts.peers.replicas()
        for name in nodes:
            if name not in met:
                known = ", ".join(sorted(met))
                msg = f"no node {name!r} serves objects here; reachable are {known}"
                raise InvalidArgumentError(msg)
        return tuple(met[name] for name in nodes)


def _view_of(endpoint: EndpointStatus) -> VoterView:
    """Return an endpoint of etcd as the voter that it stands for."""
    role = "is not well" if endpoint.trouble else Role.VOTES.value
    return VoterView(endpoint.endpoint, role, None, endpoint.trouble)
