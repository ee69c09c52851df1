"""
Where objects live, as far as one node has heard; and beginning with shards of regions.

A node that is told that an object lives in a region remembers it: that is so for ever
(kvnode.objects.running.claims).  Of others it asks where their names fall.

A region's shards begin when the first object is placed in each: whoever leads where the
object's name falls asks the authority, and if nobody has told it of the shard, a node
of the region founds it, since that knows which other nodes are near.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from kvnode.authority.port import Authority
from kvnode.completion import begun, ended
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Suspected
from kvnode.core.objects.homes import (
    KEEPERS,
    Keeper,
    number_of,
    placed,
    region_of,
    shard_name,
)
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    RejectedError,
    UnavailableError,
)
from kvnode.objects.object_id import ObjectId
from kvnode.runtime.objects.ports import ObjectPeers
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId

OBJECTS_MAX: Final = 100_000
"""Whose regions are remembered, some 20 MB of them; the eldest is asked for again."""

FIRST_EPOCH: Final = 1
"""Of a shard of which the authority was told, and that nobody has led yet."""

FORGOTTEN: Final = (
    "has a log here, and the authority knows nothing of it: it has lost what it held,"
    " or another one is asked; to begin anew would give epochs out twice"
)
"""
Of a shard that is not founded.

Seen for a moment, too, when another founder came first while this one asked.
"""


class Homes:
    """What one node knows of where objects live."""

    def __init__(
        self,
        shards: int,
        host: ShardHost,
        authority: Authority,
        peers: ObjectPeers,
    ) -> None:
        """
        Know nothing yet.

        Args:
            shards: How many there are of a region, and of none; the same at all nodes.
            host: The shards that are kept here.
            authority: Knows who keeps which.
            peers: The other nodes.
        """
        self._count = shards
        self._placeless = tuple(map(shard_name, range(shards)))
        self._host = host
        self._authority = authority
        self._peers = peers
        self._regions: OrderedDict[bytes, str] = OrderedDict()
        self._begun: set[str] = set()  # shards of regions, which never end
        self._founding: dict[str, asyncio.Task[None]] = {}

    @property
    def placeless(self) -> tuple[str, ...]:
        """Return the names of the shards that have no region, ascending."""
        return self._placeless

    @property
    def at_home(self) -> tuple[str, ...]:
        """Return the names that shards of this node's region can have, ascending."""
        own = self._host.own
        region = "".join(
            each.region for each in self._peers.nodes() if each.replica == own
        )
        numbers = range(self._count if region else 0)
        return tuple(shard_name(number, region) for number in numbers)

    @property
    def known(self) -> tuple[str, ...]:
        """Return the names of all shards of which this node knows, ascending."""
        return tuple(sorted({*self.placeless, *self._host.shards, *self._begun}))

    def check(self, shard: str) -> None:
        """
        Do nothing if there can be such a shard.

        Raises:
            InvalidArgumentError: There cannot.
        """
        number = number_of(shard)
        if number is None or number >= self._count:
            names = self.placeless
            msg = (
                f"there is no shard {shard!r}; there are {names[0]} to {names[-1]}, and"
                f" {shard_name(0, 'REGION')} and so on of each region"
            )
            raise InvalidArgumentError(msg)

    # -- objects -------------------------------------------------------------------

    def shard_of(self, target: ObjectId, home: str | None = None) -> str:
        """
        Return where to ask for an object.

        Args:
            target: Which.
            home: The region where whoever asks seeks it, empty for none, which knows
                less than this node, maybe; None = this node asks.
        """
        region = self._regions.get(target.body, "") if home is None else home
        number = target.shard(self._count)
        return shard_name(number, region) if region else self._placeless[number]

    def learn(self, target: ObjectId, region: str) -> None:
        """Remember that an object lives in *region*."""
        self._regions[target.body] = region
        if len(self._regions) > OBJECTS_MAX:
            self._regions.popitem(last=False)

    # -- shards of regions -----------------------------------------------------------

    async def ensure(self, shard: str) -> None:
        """
        Let a shard of a region begin, if it has not; return when the authority knows.

        Raises:
            InvalidArgumentError: No node is in that region.
            UnavailableError: It is not possible just now.
        """
        self._check_region(region_of(shard))
        if shard in self._begun:
            return
        task = self._founding.get(shard)
        if task is None:
            task = begun(self._ensure(shard), self._founding, shard)
        await ended(task)
        if task.cancelled():
            msg = "this node has stopped: ask another"
            raise UnavailableError(msg)
        task.result()

    async def _ensure(self, shard: str) -> None:
        try:
            if not self._host.has_replica(shard):
                held = await self._authority.read(shard)
                if held is not None:
                    self.begin(shard, held)
                if held is None or not _has_begun(held):
                    await self._begin_at_one_of(self._asked(shard), shard)
        except UnavailableError:
            raise
        except KvError as error:
            # Whatever it says of the call that waits: that has not begun.
            msg = f"shard {shard} could not begin: {error}"
            raise UnavailableError(msg) from error
        self._begun.add(shard)

    def _check_region(self, region: str) -> None:
        """
        Do nothing if a node could be in *region*.

        Anybody can name one, and voters keep a row of each shard that they are asked
        about, for ever: so they are asked about none of a region that is not there.

        Raises:
            InvalidArgumentError: No member is there.
        """
        regions = self._peers.regions()
        if region not in regions:
            known = ", ".join(sorted(filter(None, regions))) or "none"
            msg = f"no member is in region {region!r}; there are {known}"
            raise InvalidArgumentError(msg)

    def may_have_begun(self, shard: str) -> bool:
        """Tell whether *shard*, of which somebody has told this node, can be one."""
        region = region_of(shard)
        return not region or shard in self.known or region in self._peers.regions()

    def _there(self, shard: str) -> list[str]:
        """Return the nodes of the region of *shard*, ascending."""
        region = region_of(shard)
        return sorted(
            each.name for each in self._peers.nodes() if each.region == region
        )

    def _asked(self, shard: str) -> list[str]:
        """Return who is asked to begin with *shard*, one after another."""
        there, own = self._there(shard), self._peers.name_of(self._host.own)
        if own in there:
            return [own]
        turn = (number_of(shard) or 0) % max(1, len(there))
        return [*there[turn:], *there[:turn]]

    async def _begin_at_one_of(self, there: Sequence[str], shard: str) -> None:
        """Let one of *there* begin with *shard*."""
        if not there:
            msg = (
                f"no node of region {region_of(shard)} that serves objects can be"
                " reached"
            )
            raise UnavailableError(msg)
        trouble: KvError | None = None
        for name in there:
            try:
                if name == self._peers.name_of(self._host.own):
                    await self.found(shard)
                else:
                    await self._peers.found(name, shard)
            except (UnavailableError, IndeterminateError) as error:
                trouble = error
            else:
                return
        assert trouble is not None, "somebody was asked"
        raise trouble

    async def found(self, shard: str) -> None:
        """
        Tell the authority of a shard of this node's region, and begin with it.

        If another has told it before, whoever keeps the shard begins.

        Raises:
            InvalidArgumentError: It is none of this node's region.
            UnavailableError: The authority does not answer.
            RejectedError: It has forgotten the shard.
            IndeterminateError: It may have been told.
        """
        self.check(shard)
        if not region_of(shard):
            msg = f"shard {shard} is of no region: it begins by itself"
            raise InvalidArgumentError(msg)
        self._check_at_home(shard)
        held = await self._authority.read(shard)
        if held is None:
            if self._host.has_replica(shard):
                msg = f"{shard} {FORGOTTEN}"
                raise RejectedError(msg)
            first = await self._first(shard)
            held = await self._authority.swap(shard, None, first)
        self.begin(shard, held)
        if self._host.own not in held.replicas and not _has_begun(held):
            keepers = {self._peers.name_of(each) for each in held.replicas}
            at_home = [name for name in self._there(shard) if name in keepers]
            await self._begin_at_one_of(at_home, shard)
        self._begun.add(shard)

    def begin(self, shard: str, held: Configuration) -> None:
        """Begin with *shard* if this node keeps it, and lead it if it should."""
        if self._host.own not in held.replicas:
            return
        is_new = not self._host.has_replica(shard)
        self._host.replica(shard)
        if held.leader == self._host.own and is_new:
            self._host.tell(shard, Suspected())

    def _check_at_home(self, shard: str) -> None:
        own, region = self._peers.name_of(self._host.own), region_of(shard)
        if not any(
            (own, region) == (each.name, each.region) for each in self._peers.nodes()
        ):
            msg = f"{own} is not in the region of shard {shard}, and does not found it"
            raise InvalidArgumentError(msg)

    async def _first(self, shard: str) -> Configuration:
        """Return how a shard of this node's region begins."""
        region, number = region_of(shard), number_of(shard)
        assert number is not None, "it was checked"
        distances: Mapping[str, int] = self._peers.distances()
        nodes = [
            Keeper(each.name, each.region, distances.get(each.name))
            for each in self._peers.nodes()
        ]
        met = self._peers.replicas()
        keepers = [met[name] for name in placed(region, number, nodes) if name in met]
        if len(keepers) < KEEPERS:
            away = await self._away(number, {*met.values()})
            keepers += away[: KEEPERS - len(keepers)]
        return Configuration(FIRST_EPOCH, keepers[0], tuple(sorted(keepers)))

    async def _away(self, number: int, met: set[ReplicaId]) -> list[ReplicaId]:
        """
        Return who is to keep a shard, too, and cannot be reached just now.

        Nobody adds a replica to a shard but by hand, so one that was founded while a
        node restarts would have two for ever, and stand still without either.  Those
        who keep the shard of no region that has the same number are known by the
        identities of their disks.
        """
        like = await self._authority.read(shard_name(number))
        replicas = like.replicas if like is not None else ()
        return [each for each in replicas if each not in met]

    async def close(self) -> None:
        """End what is under way."""
        tasks = tuple(self._founding.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _has_begun(held: Configuration) -> bool:
    """
    Tell whether a node that keeps the shard has begun with it, by what is held.

    Who has told the authority of the shard may have died before that.  Whoever leads it
    has raised the epoch; after that, its keepers may be elsewhere, or out of reach.
    """
    return held.epoch > FIRST_EPOCH
