"""How shards begin: founded once, by nodes that have met, with leaders spread."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Event, Suspected
from kvnode.errors import CorruptRecordError, IndeterminateError, UnavailableError
from kvnode.runtime.objects.founding import AGAIN_SECONDS_MAX, AT_ONCE, Founding
from kvnode.runtime.objects.ports import Alone, ObjectParts
from kvnode.runtime.shards.host import ShardHost
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.types import ReplicaId

SHARDS = tuple(f"s{number:03}" for number in range(6))
FOUNDERS = ("a", "b", "c")
IDENTITIES = {"a": ReplicaId(30), "b": ReplicaId(10), "c": ReplicaId(20)}
STRANGER = ReplicaId(99)


class Authority:
    """Registers that may be silent, and that all founders share."""

    def __init__(self) -> None:
        self.held: dict[str, Configuration] = {}
        self.failures: list[Exception] = []
        self.before_swap: Callable[[str], None] = lambda _shard: None
        self.swaps = 0
        self.at_once = 0
        self.at_once_max = 0

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held."""
        await self._takes_a_while()
        return self.held.get(shard)

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired* if *expected* is held; return what is held."""
        self.swaps += 1
        self.before_swap(shard)
        await self._takes_a_while()
        if self.held.get(shard) == expected:
            self.held[shard] = desired
        return self.held[shard]

    async def close(self) -> None:
        """Do nothing."""

    async def _takes_a_while(self) -> None:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)


class Host:
    """What founding asks of a host of shards."""

    def __init__(self) -> None:
        self.replicas: list[str] = []
        self.told: list[tuple[str, Event]] = []

    def has_replica(self, shard: str) -> bool:
        """Tell whether one was made."""
        return shard in self.replicas

    def replica(self, shard: str) -> None:
        """Make a replica."""
        self.replicas.append(shard)

    def tell(self, shard: str, event: Event) -> None:
        """Take in an event."""
        assert shard in self.replicas, "a replica is made before it is told of anything"
        self.told.append((shard, event))


class Peers(Alone):
    """Other nodes, of which some were met."""

    def __init__(self, name: str) -> None:
        super().__init__(name, IDENTITIES[name])
        self.met: dict[str, ReplicaId] = dict(IDENTITIES)

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return who was met."""
        return self.met


class Founder:
    """One node that founds."""

    def __init__(
        self, name: str, authority: Authority, at_home: Sequence[str] = ()
    ) -> None:
        self.host, self.peers = Host(), Peers(name)
        parts = ObjectParts(
            MemoryLogStore(IDENTITIES[name]),
            MemoryShardStates(),
            authority,
            self.peers,
            founders=FOUNDERS,
        )
        self.founding = Founding(parts, SHARDS, at_home, cast("ShardHost", self.host))
        self.own = IDENTITIES[name]

    @property
    def leads(self) -> set[str]:
        """Return the shards that it is to take over at once."""
        assert {event for _, event in self.host.told} <= {Suspected()}
        return {shard for shard, _ in self.host.told}


def simulated(main: Callable[[Authority], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on virtual time."""

    async def whole(_cluster: object) -> None:
        before = asyncio.all_tasks()
        await main(Authority())
        assert asyncio.all_tasks() <= before

    run_simulated(whole)


def test_first_configurations_name_all_founders_and_spread_the_lead() -> None:
    """Each leads as many, and all begin in epoch 1, with replicas in order."""

    async def main(authority: Authority) -> None:
        founder = Founder("a", authority)
        await founder.founding.run()
        assert tuple(sorted(authority.held)) == SHARDS
        assert {(held.epoch, held.replicas) for held in authority.held.values()} == {
            (1, tuple(sorted(IDENTITIES.values())))
        }
        leaders = Counter(held.leader for held in authority.held.values())
        assert leaders == dict.fromkeys(IDENTITIES.values(), 2)
        assert sorted(founder.host.replicas) == list(SHARDS)

    simulated(main)


def test_all_founders_begin_the_same_whoever_comes_first() -> None:
    """Each shard is taken over at once by the node that leads it, and by no other."""

    async def main(authority: Authority) -> None:
        founders = [Founder(name, authority) for name in FOUNDERS]
        await asyncio.gather(*(founder.founding.run() for founder in founders))
        for founder in founders:
            assert sorted(founder.host.replicas) == list(SHARDS)
            assert founder.leads == {
                shard
                for shard, held in authority.held.items()
                if held.leader == founder.own
            }
            assert len(founder.leads) == 2

    simulated(main)


def test_node_that_restarts_begins_with_what_was_founded_in_its_region() -> None:
    """It may have died before it had anything of that on its disk; nothing else is."""

    async def main(authority: Authority) -> None:
        own, other = IDENTITIES["a"], IDENTITIES["b"]
        authority.held["r.west.000"] = Configuration(4, own, (other, own))
        authority.held["r.west.001"] = Configuration(1, other, (other, own))
        authority.held["r.west.002"] = Configuration(1, other, (other,))
        authority.held["r.west.003"] = Configuration(7, own, (other, own))
        at_home = [f"r.west.{number:03}" for number in range(5)]
        founder = Founder("a", authority, at_home)
        founder.host.replicas.append("r.west.003")  # it has a log of that one
        await founder.founding.run()
        begun = [each for each in founder.host.replicas if each.startswith("r")]
        assert sorted(begun) == ["r.west.000", "r.west.001", "r.west.003"]
        assert {each for each in founder.leads if each.startswith("r")} == {
            "r.west.000"
        }
        assert "r.west.004" not in authority.held

    simulated(main)


def test_nobody_founds_before_all_founders_were_met() -> None:
    """A replica is known by the identity of its disk; then it founds within a while."""

    async def main(authority: Authority) -> None:
        founder = Founder("a", authority)
        del founder.peers.met["c"]
        running = asyncio.create_task(founder.founding.run())
        await asyncio.sleep(60)
        assert not running.done()
        assert authority.swaps == 0
        assert founder.host.replicas == []

        founder.peers.met["c"] = IDENTITIES["c"]
        async with asyncio.timeout(AGAIN_SECONDS_MAX + 1):
            await running
        assert tuple(sorted(authority.held)) == SHARDS

    simulated(main)


def test_what_another_has_founded_is_begun_with_before_all_were_met() -> None:
    """A node that starts again need not wait for those that are down."""

    async def main(authority: Authority) -> None:
        await Founder("b", authority).founding.run()
        held = dict(authority.held)
        founder = Founder("a", authority)
        founder.peers.met = {"a": IDENTITIES["a"]}
        async with asyncio.timeout(1):
            await founder.founding.run()
        assert authority.held == held
        assert sorted(founder.host.replicas) == list(SHARDS)
        assert len(founder.leads) == 2

    simulated(main)


def test_what_another_has_founded_meanwhile_is_kept() -> None:
    """Though it is not what this node would have founded."""
    own, other = IDENTITIES["a"], IDENTITIES["b"]

    async def main(authority: Authority) -> None:
        theirs = Configuration(5, own, tuple(sorted((own, STRANGER))))

        def comes_first(shard: str) -> None:
            authority.held.setdefault(shard, theirs)

        authority.before_swap = comes_first
        founder = Founder("a", authority)
        await founder.founding.run()
        assert authority.held == dict.fromkeys(SHARDS, theirs)
        assert founder.leads == set(SHARDS)

        second = Founder("b", authority)
        await second.founding.run()
        assert other not in theirs.replicas
        assert second.host.replicas == []
        assert second.leads == set()

    simulated(main)


@pytest.mark.parametrize("kind", [UnavailableError, IndeterminateError])
def test_authority_that_is_silent_at_first_is_asked_again(
    kind: type[Exception],
) -> None:
    """Whether its answer was lost or its voters are not there yet."""

    async def main(authority: Authority) -> None:
        authority.failures = [kind("too few voters") for _ in range(30)]
        founder = Founder("a", authority)
        async with asyncio.timeout(60):
            await founder.founding.run()
        assert tuple(sorted(authority.held)) == SHARDS
        assert sorted(founder.host.replicas) == list(SHARDS)

    simulated(main)


def test_one_shard_that_fails_holds_up_no_other() -> None:
    """And only that one is asked about again."""

    async def main(authority: Authority) -> None:
        authority.failures = [UnavailableError("too few voters")]
        founder = Founder("a", authority)
        running = asyncio.create_task(founder.founding.run())
        await asyncio.sleep(0.15)
        assert len(founder.host.replicas) == len(SHARDS) - 1
        await running
        assert sorted(founder.host.replicas) == list(SHARDS)

    simulated(main)


def test_authority_is_asked_about_few_shards_at_once() -> None:
    """All founders start together, and the voters are among them."""

    async def main(authority: Authority) -> None:
        await Founder("a", authority).founding.run()
        assert authority.at_once_max == AT_ONCE

    simulated(main)


def test_unforeseen_failure_ends_the_founding_as_a_whole() -> None:
    """With the error, and nothing goes on behind it."""

    async def main(authority: Authority) -> None:
        authority.failures = [AssertionError("nobody has thought of this")]
        with pytest.raises(AssertionError, match="nobody has thought"):
            await Founder("a", authority).founding.run()

    simulated(main)


def test_damaged_register_holds_up_no_other_shard() -> None:
    """It is mended by whoever runs the authority, and looked at again until then."""

    async def main(authority: Authority) -> None:
        authority.failures = [CorruptRecordError("no configuration")]
        founder = Founder("a", authority)
        running = asyncio.create_task(founder.founding.run())
        await asyncio.sleep(0.15)
        assert len(founder.host.replicas) == len(SHARDS) - 1
        await running
        assert sorted(founder.host.replicas) == list(SHARDS)

    simulated(main)


def test_shard_whose_log_is_here_is_not_founded_again() -> None:
    """Whoever keeps the authority has lost what it held: the node says so and waits."""

    async def main(authority: Authority) -> None:
        founder = Founder("a", authority)
        founder.host.replicas = [SHARDS[0]]
        running = asyncio.create_task(founder.founding.run())
        await asyncio.sleep(5)
        running.cancel()
        await asyncio.wait([running])
        assert SHARDS[0] not in authority.held
        assert sorted(authority.held) == list(SHARDS[1:])

    simulated(main)


def test_founding_that_is_cancelled_leaves_nothing_behind() -> None:
    """A node may be stopped before it has begun."""

    async def main(authority: Authority) -> None:
        running = asyncio.create_task(Founder("a", authority).founding.run())
        await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running])
        assert authority.held == {}

    simulated(main)
