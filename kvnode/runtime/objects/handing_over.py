"""
Giving leads away: to a node that is caught up, without a call that is in doubt.

    hold     new calls of the shard's objects wait, wherever they came in
    drain    those under way come to an end, for half a second
    lead     the heir takes the lead over, as if somebody had asked it to
    go on    calls that waited find the new leader

A method that lasts longer than the pause is cut off as by any loss of a lead: whoever
called is told whether it may have happened.  If the heir does not take the lead, this
node goes on as if nothing had been.

Before a node stops it gives away all leads, in a bounded time; what is left then is
taken over by others, a second after it has gone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from kvnode.core.objects.homes import region_of
from kvnode.core.objects.spreading import Follower, Lead, heirs_of
from kvnode.errors import KvError, UnavailableError
from kvnode.objects.running.object_host import ObjectHost
from kvnode.runtime.looking import looked_for
from kvnode.runtime.objects.homes import Homes
from kvnode.runtime.objects.ports import ObjectPeers
from kvnode.runtime.shards.host import ShardHost

logger = logging.getLogger(__name__)

DRAIN_SECONDS_MAX: Final = 0.5
"""Most methods end sooner; the calls that wait meanwhile are patient for 3 s."""

LEAD_SECONDS_MAX: Final = 2.5
"""Eight round trips of 0.3 s, as around the world; it takes 0.1 s on a site."""

LOOK_SECONDS: Final = 0.005

AT_ONCE: Final = 4
"""Leads that are given away at the same time: each costs the authority three syncs."""

ALL_SECONDS_MAX: Final = 3.0
"""For all of a node's: 0.1 s each on a site, four at a time; or one that is held up."""


class HandingOver:
    """The leads of one node, and giving them away."""

    def __init__(
        self,
        objects: ObjectHost,
        shards: ShardHost,
        peers: ObjectPeers,
        homes: Homes,
        leader: Callable[[str], str],
    ) -> None:
        """
        Give nothing yet.

        Args:
            objects: Those that live here.
            shards: Where they are led.
            peers: Who may lead instead.
            homes: Knows which shards there are.
            leader: Returns the name of the node that leads a shard; may be empty.
        """
        self._homes = homes
        self._objects = objects
        self._shards = shards
        self._peers = peers
        self._leader = leader

    # -- who leads -----------------------------------------------------------------

    def leads(self) -> list[Lead]:
        """Return what is led here, by name, and who follows."""
        regions, own = self._regions(), self._peers.name_of(self._shards.own)
        return [
            Lead(
                shard,
                self._followers(shard, regions),
                is_home=_is_home(region_of(shard), regions.get(own, "")),
            )
            for shard in self._shards.shards
            if self._shards.leads(shard)
        ]

    def counts(self, region: str | None = None) -> Mapping[str, int]:
        """
        Return how many shards each other node leads, as far as is known here.

        Args:
            region: Of the shards and the nodes that count; None = all.  Shards that
                have none are of all nodes.
        """
        own = self._peers.name_of(self._shards.own)
        counts = Counter(
            {
                name: 0
                for name, where in self._regions().items()
                if name != own and _is_home(region or "", where)
            }
        )
        led = (
            self._leader(shard)
            for shard in self._homes.known
            if region is None or region_of(shard) == region
        )
        counts.update(name for name in led if name in counts)
        return counts

    def _regions(self) -> Mapping[str, str]:
        """Return where each node is that can be reached, and this one, by name."""
        return {each.name: each.region for each in self._peers.nodes()}

    def _followers(
        self, shard: str, regions: Mapping[str, str]
    ) -> tuple[Follower, ...]:
        replica = self._shards.replica(shard)
        leading = replica.leadership
        if leading is None:
            return ()
        last = replica.log.last.number
        others = {
            self._peers.name_of(each): leading.lag_of(each, last)
            for each in leading.configuration.replicas
            if each != self._shards.own
        }
        region = region_of(shard)
        return tuple(
            Follower(name, *lag, is_home=_is_home(region, regions.get(name, "")))
            for name, lag in others.items()
        )

    # -- giving --------------------------------------------------------------------

    async def give(self, shard: str, heir: str, *, leads: int = 0) -> None:
        """
        Let the node *heir* lead *shard*, which is led here.

        Args:
            shard: Which.
            heir: The name of a node that keeps it.
            leads: How many are led here, if the heir may refuse to lead more than its
                share; 0 = it may not.

        Raises:
            KvError: It does not, as far as is known; if it may be, calls find out.
        """
        async with self._quiet(shard):
            await self._let_lead(heir, shard, leads=leads)

    async def give_all(self, seconds_max: float = ALL_SECONDS_MAX) -> tuple[str, ...]:
        """
        Give away all that is led here; return what could not be, by name.

        Args:
            seconds_max: How long that may take, > 0.
        """
        given: Counter[str] = Counter(self.counts())
        room = asyncio.Semaphore(AT_ONCE)
        tasks = [
            asyncio.create_task(self._give_to_any(lead, given, room))
            for lead in self.leads()
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds_max)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return tuple(lead.shard for lead in self.leads())

    async def _give_to_any(
        self, lead: Lead, counts: "Counter[str]", room: asyncio.Semaphore
    ) -> None:
        """Give *lead* to the first that takes it, and count it in *counts*."""
        async with room, self._quiet(lead.shard):
            await self._let_any_lead(lead, counts)

    async def _let_any_lead(self, lead: Lead, counts: "Counter[str]") -> None:
        """Let the first that takes it have *lead*."""
        for heir in heirs_of(lead, counts):
            counts[heir] += 1
            try:
                await self._let_lead(heir, lead.shard)
            except KvError as error:
                counts[heir] -= 1
                logger.info("%s does not lead %s: %s", heir, lead.shard, error)
            else:
                return

    async def _let_lead(self, heir: str, shard: str, *, leads: int = 0) -> None:
        try:
            async with asyncio.timeout(LEAD_SECONDS_MAX):
                await self._peers.lead(heir, shard, leads=leads)
        except TimeoutError as error:
            msg = f"{heir} has not taken the lead of shard {shard} in time"
            raise UnavailableError(msg) from error
        logger.info("%s leads shard %s now", heir, shard)

    @asynccontextmanager
    async def _quiet(self, shard: str) -> AsyncIterator[None]:
        """Hold new calls of *shard*, and wait a little for those under way."""
        with self._objects.held(shard):
            await looked_for(
                lambda: not self._objects.is_busy(shard),
                seconds_max=DRAIN_SECONDS_MAX,
                look_seconds=LOOK_SECONDS,
            )
            yield


def _is_home(region: str, node_region: str) -> bool:
    """Tell whether a node may count as at home for shards of *region*."""
    return region in {"", node_region}
