"""
Telling the authority of shards that nobody has told it of, and beginning with them.

The first configuration of a shard names the replicas of those who found it, which have
to have met: a replica is known by the identity of its disk.  All of them try, and one
comes first; which one does not matter, for whatever the authority holds then is so.
The shards are led by one after another of them, so that all have work.

Shards of a region are founded when the first object is placed there
(kvnode.runtime.objects.homes).  Whoever has begun with one may have died before it had
anything on its disk: so nodes of the region ask at their start which there are.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Suspected
from kvnode.core.objects.homes import region_of
from kvnode.errors import CorruptRecordError, IndeterminateError, UnavailableError
from kvnode.runtime.objects.homes import FORGOTTEN
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 0.2
"""Before founders are looked for again: as soon as a stream to one is there."""

AGAIN_SECONDS_MAX: Final = 2.0

AT_ONCE: Final = 4
"""Shards that the authority is asked about at once: starting must not flood it."""


class Founding:
    """The beginning of one node's shards."""

    def __init__(
        self,
        parts: ObjectParts,
        shards: Sequence[str],
        at_home: Sequence[str],
        host: ShardHost,
    ) -> None:
        """
        Begin with nothing known.

        Args:
            parts: What the objects stand on.
            shards: All that there are to be of no region.
            at_home: Those that there can be of this node's region.
            host: Where they are kept.
        """
        self._own = parts.store.replica
        self._founders = parts.founders
        self._authority = parts.authority
        self._peers = parts.peers
        self._shards = (*shards, *at_home)
        self._host = host

    async def run(self) -> None:
        """Found what nobody has founded, and begin with what is to be here; return."""
        waiting = {shard: place for place, shard in enumerate(self._shards)}
        pause, told = AGAIN_SECONDS, ""
        while waiting:
            begun = await self._begin_with(waiting)
            for shard, trouble in zip(tuple(waiting), begun, strict=True):
                if not trouble:
                    del waiting[shard]
            trouble = next(filter(None, begun), "")
            if trouble and trouble != told:
                logger.info("%d shards wait: %s", len(waiting), trouble)
                told = trouble
            if waiting:
                await asyncio.sleep(pause)
                pause = min(AGAIN_SECONDS_MAX, 2 * pause)

    async def _begin_with(self, places: Mapping[str, int]) -> list[str]:
        """Begin with shards; return why that is not possible yet, or empty, of each."""
        room = asyncio.Semaphore(AT_ONCE)
        tasks = [
            asyncio.create_task(self._begin(shard, place, room))
            for shard, place in places.items()
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # one has failed, or this was cancelled
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, shard: str, place: int, room: asyncio.Semaphore) -> str:
        """Begin with one shard; return why that is not possible yet, if so."""
        is_placed = bool(region_of(shard))
        if is_placed and self._host.has_replica(shard):
            return ""
        async with room:
            try:
                held = await self._authority.read(shard)
                if held is None:
                    if is_placed:
                        return ""
                    if self._host.has_replica(shard):
                        return f"{shard} {FORGOTTEN}"
                    first = self._first(place)
                    if first is None:
                        return f"not all of {', '.join(self._founders)} were met yet"
                    held = await self._authority.swap(shard, None, first)
            except (
                UnavailableError,
                IndeterminateError,
                CorruptRecordError,
            ) as error:
                return str(error)
        if self._own in held.replicas:
            self._host.replica(shard)
            if held.leader == self._own:
                self._host.tell(shard, Suspected())
        return ""

    def _first(self, place: int) -> Configuration | None:
        """Return how shard number *place* begins; None if somebody is missing."""
        met: Mapping[str, ReplicaId] = self._peers.replicas()
        if any(name not in met for name in self._founders):
            return None
        leaders = [met[name] for name in self._founders]
        return Configuration(
            1, leaders[place % len(leaders)], tuple(sorted(set(leaders)))
        )
