"""Hosts of shards on virtual time: their stores, states, network and authority."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any

from cluster.simulated.running import run as run_simulated
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Persist
from kvnode.core.objects.map_change import encode_changes
from kvnode.core.objects.messages import PagesTaken, PeerMessage
from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.state_reader import Row
from kvnode.errors import StoreFullError, UnavailableError
from kvnode.runtime.shards.host import ShardHost
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.storage.shards.memory_shard_state import (
    MemoryShardState,
    MemoryShardStates,
)
from kvnode.types import Millis, ReplicaId
from tests.storage.shards.states import all_rows, put

SHARD = "eu-1"
MEMBERS = tuple(map(ReplicaId, (1, 2, 3)))
STRANGER = ReplicaId(4)


def change(key: bytes, value: bytes = b"v") -> bytes:
    """Return the data of an entry that puts *value* under *key*."""
    return encode_changes([put(key, value)])


class MemoryAuthority:
    """An authority in memory, which may be out of reach."""

    def __init__(self, held: Configuration) -> None:
        self.held = held
        self.is_up = True
        self.takes = 0.005
        self.swaps = 0

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held."""
        await self._reach()
        return self.held if shard == SHARD else None

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired* if *expected* is held."""
        assert shard == SHARD
        self.swaps += 1
        await self._reach()
        if self.held == expected:
            self.held = desired
        return self.held

    async def close(self) -> None:
        """Do nothing."""

    async def _reach(self) -> None:
        await asyncio.sleep(self.takes)
        if not self.is_up:
            msg = "the authority cannot be reached"
            raise UnavailableError(msg)


class Line:
    """The way from one host to the authority, which is cut like others."""

    def __init__(self, site: "Site", own: ReplicaId) -> None:
        self._site = site
        self._own = own

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held."""
        self._pass()
        return await self._site.authority.read(shard)

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired* if *expected* is held."""
        self._pass()
        return await self._site.authority.swap(shard, expected, desired)

    async def close(self) -> None:
        """Do nothing."""

    def _pass(self) -> None:
        if self._own in self._site.cut:
            msg = "the authority cannot be reached"
            raise UnavailableError(msg)


class Store(MemoryLogStore):
    """A store of logs that may be full, and takes a while."""

    def __init__(self, replica: ReplicaId) -> None:
        super().__init__(replica)
        self.is_full = False
        self.refused = 0

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable, if there is room."""
        await asyncio.sleep(0.001)
        if self.is_full:
            self.refused += 1
            msg = "the disk is full"
            raise StoreFullError(msg)
        await super().persist(turns)


class State(MemoryShardState):
    """A state that may fail, and whose disk may stand still."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.may_apply = asyncio.Event()
        self.may_apply.set()
        self.times_closed = 0

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """Do what *entries* say, unless something is wrong."""
        await self.may_apply.wait()
        if self.failure is not None:
            raise self.failure
        await super().apply(entries)

    def close(self) -> None:
        """Count."""
        self.times_closed += 1


class States(MemoryShardStates):
    """States of one node, which may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, State] = {}

    def open(self, shard: str) -> State:
        """Return the state of *shard*."""
        return self.states.setdefault(shard, State())

    def lose_power(self) -> None:
        """Take back what was applied since the last checkpoint, of each."""
        for state in self.states.values():
            state.lose_power()


class Site:
    """Hosts, and the network between them."""

    def __init__(self, members: tuple[ReplicaId, ...] = MEMBERS) -> None:
        self.authority = MemoryAuthority(Configuration(1, members[0], members))
        self.cut: set[ReplicaId] = set()
        self.log: list[tuple[ReplicaId, str]] = []
        self.heard: list[tuple[ReplicaId, ReplicaId]] = []  # who of which leader
        self.sent: list[tuple[ReplicaId, ReplicaId, PeerMessage]] = []
        self.random = Random(7)
        self.loss = 0.0
        self.doubled = 0.0
        self.slow_pages = 0.002
        self.stores: dict[ReplicaId, Store] = {}
        self.states: dict[ReplicaId, States] = {}
        self.hosts: dict[ReplicaId, ShardHost] = {}
        self.running: dict[ReplicaId, asyncio.Task[None]] = {}
        for own in members:
            self.start(own)

    def start(self, own: ReplicaId, *, has_shard: bool = True) -> None:
        """Start a host with what its store has."""
        site = self
        loop = asyncio.get_running_loop()
        self.stores.setdefault(own, Store(own))
        self.states.setdefault(own, States())

        class Transport:
            def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
                site.sent.append((own, peer, message))
                site.send(own, peer, shard, message)

            def flush(self) -> None:
                """Do nothing: what is sent is on its way."""

        class Listener:
            def opened(self, shard: str, epoch: int, number: int) -> None:
                state = site.states[own].open(shard)
                assert state.applied.number >= number, "the state has everything"
                site.log.append((own, f"opened {shard} in {epoch} at {number}"))

            def closed(self, shard: str, epoch: int) -> None:
                site.log.append((own, f"closed {shard} in {epoch}"))

            def committed(self, shard: str, number: int) -> None:
                site.log.append((own, f"committed {shard} to {number}"))

            def led(self, shard: str, leader: ReplicaId) -> None:
                assert shard == SHARD
                site.heard.append((own, leader))

            def applied(self, shard: str, number: int) -> None:
                assert site.states[own].open(shard).applied.number == number
                site.log.append((own, f"applied {shard} to {number}"))

        host = self.hosts[own] = ShardHost(
            self.stores[own],
            self.states[own],
            Line(self, own),
            Transport(),
            Listener(),
            settings=ShardSettings(),
            uniform=Random(own).randint,
            steady=lambda: Millis(int(loop.time() * 1000)),
        )
        if has_shard:
            host.replica(SHARD)
        self.running[own] = asyncio.create_task(host.run())

    def send(
        self, sender: ReplicaId, peer: ReplicaId, shard: str, message: PeerMessage
    ) -> None:
        """Let a message be on its way, or get lost, or come twice."""
        if self.random.random() < self.loss or not {sender, peer}.isdisjoint(self.cut):
            return
        loop = asyncio.get_running_loop()
        takes = self.slow_pages if isinstance(message, PagesTaken) else 0.002
        for _ in range(2 if self.random.random() < self.doubled else 1):
            loop.call_later(takes, self.deliver, sender, peer, shard, message)

    def deliver(
        self, sender: ReplicaId, peer: ReplicaId, shard: str, message: PeerMessage
    ) -> None:
        """Let a message arrive, if somebody is there."""
        if peer in self.hosts and {sender, peer}.isdisjoint(self.cut):
            self.hosts[peer].receive(sender, shard, message)

    async def end(self, own: ReplicaId) -> None:
        """End a host."""
        self.hosts.pop(own).stop()
        await self.running.pop(own)

    async def crash(self, own: ReplicaId) -> None:
        """End a host at once, with the power of its machine."""
        del self.hosts[own]
        task = self.running.pop(own)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.states[own].lose_power()

    @staticmethod
    async def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 -- in virtual time
                await asyncio.sleep(0.001)

    async def leader(self) -> ReplicaId:
        """Wait until one leads, of those that can be reached."""

        def leaders() -> list[ReplicaId]:
            return [
                own
                for own, host in self.hosts.items()
                if own not in self.cut and host.leads(SHARD)
            ]

        await self.until(lambda: bool(leaders()))
        return leaders()[0]

    async def write(self, count: int, *, first: int = 1, together: int = 50) -> int:
        """Write so many keys through whoever leads; return the last one's number."""
        number = 0
        host = self.hosts[await self.leader()]
        for start in range(first, first + count, together):
            keys = range(start, min(start + together, first + count))
            numbers = await asyncio.gather(
                *(host.propose(SHARD, change(b"%06d" % key)) for key in keys)
            )
            number = max(numbers)
        return number

    def rows(self, own: ReplicaId) -> list[Row]:
        """Return all that the state of a host has."""
        return all_rows(self.states[own].open(SHARD))

    def base(self, own: ReplicaId) -> Position:
        """Return behind which entry a host's log begins."""
        return self.hosts[own].replica(SHARD).log.base

    async def settled(self, *members: ReplicaId, seconds: float = 60.0) -> None:
        """Wait until the states of *members* are equal to the leader's log."""
        leader = await self.leader()
        last = self.hosts[leader].replica(SHARD).log.last
        await self.until(
            lambda: all(
                self.states[own].open(SHARD).applied >= last for own in members
            ),
            seconds=seconds,
        )

    async def close(self) -> None:
        """End all hosts."""
        for own in list(self.hosts):
            await self.end(own)


def simulated(
    main: Callable[[Site], Coroutine[Any, Any, None]], log: deque[str] | None = None
) -> None:
    """Run *main* on three hosts, on virtual time; *log* takes what they log."""

    async def whole(_cluster: object) -> None:
        site = Site()
        await main(site)
        await site.close()

    run_simulated(whole, log=log)
