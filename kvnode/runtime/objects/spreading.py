"""
Leads spread again: one after another, and only while all is well.

After a failure one node leads more than its share, and nobody has a reason to change
that.  So each node looks at what it leads, and if it leads the most, gives one to the
node that leads the fewest (kvnode.core.objects.spreading) by the same way as before a
stop.  Callers of that shard wait for some messages and syncs.

A move costs more than it gains while anything fails.  So all must have been well here
for half a minute: all shards that are kept here have a leader that can be reached, and
all replicas of those that are led here answer and are up to date.  A lead that has
changed, for whatever reason, is let be for some seconds before the next one moves, at
all nodes that keep the shard.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from kvnode.core.objects.homes import region_of
from kvnode.core.objects.spreading import Lead, Step, next_step, step_home
from kvnode.errors import KvError
from kvnode.runtime.objects.handing_over import HandingOver
from kvnode.runtime.objects.ports import ObjectPeers
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0

WELL_SECONDS_MIN: Final = 30.0
"""A node that restarts over and over is back for less, most often."""

BETWEEN_SECONDS_MIN: Final = 5.0
"""Between two leads: the first is opened by then, and its callers have found it."""


class Spreading:
    """One node's part in it."""

    def __init__(
        self, handing: HandingOver, shards: ShardHost, peers: ObjectPeers
    ) -> None:
        """
        Give nothing yet.

        Args:
            handing: Knows what is led here, and gives it away.
            shards: Where it is led.
            peers: Who leads the others, by name.
        """
        self._handing = handing
        self._shards = shards
        self._peers = peers
        self._well_since: float | None = None
        self._changed_at = 0.0
        self._leaders: Mapping[str, ReplicaId] = {}
        self._giving = asyncio.Lock()
        self._has_ended = False

    def next_step(self) -> Step | None:
        """Return which lead goes to whom next, once all has been well for a while."""
        own, leads = self._peers.name_of(self._shards.own), self._handing.leads()
        step = step_home(leads, self._handing.counts())
        if step is not None:
            return step
        by_region: dict[str, list[Lead]] = {}
        for lead in leads:
            if lead.is_home:
                by_region.setdefault(region_of(lead.shard), []).append(lead)
        steps = (
            next_step(own, some, self._handing.counts(region))
            for region, some in sorted(by_region.items())
        )
        return next(filter(None, steps), None)

    async def run(self) -> None:
        """Give leads away until `end`."""
        while not self._has_ended:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._may_give(asyncio.get_running_loop().time()):
                continue
            step = self.next_step()
            async with self._giving:
                if step is not None and not self._has_ended:
                    await self._give(step)

    async def end(self) -> None:
        """Give nothing more; return when nothing is being given."""
        self._has_ended = True
        async with self._giving:
            pass

    def _may_give(self, now: float) -> bool:
        """Look around; tell whether all has been well for long."""
        leaders = {shard: self._shards.leader(shard) for shard in self._shards.shards}
        if leaders != self._leaders:
            self._leaders, self._changed_at = leaders, now
        if not self._is_well(leaders):
            self._well_since = None
            return False
        if self._well_since is None:
            self._well_since = now
        return (
            now - self._well_since >= WELL_SECONDS_MIN
            and now - self._changed_at >= BETWEEN_SECONDS_MIN
        )

    def _is_well(self, leaders: Mapping[str, ReplicaId]) -> bool:
        for shard, leader in leaders.items():
            if not self._peers.name_of(leader) or self._shards.fault(shard):
                return False
            leading = self._shards.replica(shard).leadership
            if leading is not None and (not leading.is_open or leading.moving_to):
                return False
        return all(
            follower.may_lead
            for lead in self._handing.leads()
            for follower in lead.followers
        )

    async def _give(self, step: Step) -> None:
        """Take a step; if that fails, all is not well."""
        try:
            await self._handing.give(step.shard, step.heir, leads=step.gives)
        except KvError as error:
            self._well_since = None
            logger.info("%s does not lead %s: %s", step.heir, step.shard, error)
