"""Hosts of shards: entries committed on three nodes, on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import Message, Seal
from kvnode.core.objects.settings import ShardSettings
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    UnavailableError,
)
from kvnode.runtime import shard_host
from kvnode.runtime.shard_host import ShardHost
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.types import Millis, ReplicaId

SHARD = "eu/1"
MEMBERS = tuple(map(ReplicaId, (1, 2, 3)))
FIRST = Configuration(1, MEMBERS[0], MEMBERS)


class MemoryAuthority:
    """An authority in memory, which may be out of reach."""

    def __init__(self, held: Configuration) -> None:
        self.held = held
        self.is_up = True

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held."""
        await self._reach()
        return self.held if shard == SHARD else None

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired* if *expected* is held."""
        assert shard == SHARD
        await self._reach()
        if self.held == expected:
            self.held = desired
        return self.held

    async def close(self) -> None:
        """Do nothing."""

    async def _reach(self) -> None:
        await asyncio.sleep(0.005)
        if not self.is_up:
            msg = "the authority cannot be reached"
            raise UnavailableError(msg)


class Site:
    """Three hosts, and the network between them."""

    def __init__(self) -> None:
        self.authority = MemoryAuthority(FIRST)
        self.cut: set[ReplicaId] = set()
        self.log: list[tuple[ReplicaId, str]] = []
        self.stores = {own: MemoryLogStore(own) for own in MEMBERS}
        self.hosts: dict[ReplicaId, ShardHost] = {}
        self.running: dict[ReplicaId, asyncio.Task[None]] = {}
        for own in MEMBERS:
            self.start(own)

    def start(self, own: ReplicaId) -> None:
        """Start a host with what its store has."""
        site = self
        loop = asyncio.get_running_loop()

        class Transport:
            def send(self, peer: ReplicaId, shard: str, message: Message) -> None:
                if {own, peer}.isdisjoint(site.cut):
                    loop.call_later(0.002, site.deliver, own, peer, shard, message)

        class Listener:
            def opened(self, shard: str, epoch: int, number: int) -> None:
                site.log.append((own, f"opened {shard} in {epoch} at {number}"))

            def closed(self, shard: str, epoch: int) -> None:
                site.log.append((own, f"closed {shard} in {epoch}"))

            def committed(self, shard: str, number: int) -> None:
                site.log.append((own, f"committed {shard} to {number}"))

        host = self.hosts[own] = ShardHost(
            self.stores[own],
            self.authority,
            Transport(),
            Listener(),
            settings=ShardSettings(),
            uniform=Random(own).randint,
            steady=lambda: Millis(int(loop.time() * 1000)),
        )
        host.replica(SHARD)
        self.running[own] = asyncio.create_task(host.run())

    def deliver(
        self, sender: ReplicaId, peer: ReplicaId, shard: str, message: Message
    ) -> None:
        """Let a message arrive, if somebody is there."""
        if peer in self.hosts and {sender, peer}.isdisjoint(self.cut):
            self.hosts[peer].receive(sender, shard, message)

    async def end(self, own: ReplicaId) -> None:
        """End a host."""
        self.hosts.pop(own).stop()
        await self.running.pop(own)

    async def leader(self) -> ReplicaId:
        """Wait until one leads, of those that can be reached."""
        while True:
            for own, host in self.hosts.items():
                if own not in self.cut and host.leads(SHARD):
                    return own
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End all hosts."""
        for own in list(self.hosts):
            await self.end(own)


def simulated(main: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on three hosts, on virtual time."""

    async def whole(_cluster: object) -> None:
        site = Site()
        await main(site)
        await site.close()

    run_simulated(whole)


def test_entries_are_committed_in_order_and_told_of() -> None:
    """Their numbers follow upon each other, and every host hears of them."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        numbers = [await site.hosts[leader].propose(SHARD, b"%d" % n) for n in range(5)]
        await asyncio.sleep(1)

        assert numbers == list(range(numbers[0], numbers[0] + 5))
        for own in MEMBERS:
            assert (own, f"committed {SHARD} to {numbers[-1]}") in site.log
        assert (leader, f"opened {SHARD} in 2 at 1") in site.log

    simulated(main)


def test_many_at_once_share_turns() -> None:
    """All of one turn are durable together."""

    async def main(site: Site) -> None:
        host = site.hosts[await site.leader()]
        numbers = await asyncio.gather(
            *(host.propose(SHARD, b"%d" % n) for n in range(500))
        )
        assert sorted(numbers) == list(range(numbers[0], numbers[0] + 500))

    simulated(main)


def test_who_does_not_lead_declines() -> None:
    """Nothing has happened: the caller may ask whoever leads."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        (other, _) = (own for own in MEMBERS if own != leader)
        with pytest.raises(UnavailableError, match="does not lead shard eu/1"):
            await site.hosts[other].propose(SHARD, b"x")
        with pytest.raises(UnavailableError, match="does not lead shard eu/1"):
            await site.hosts[other].confirm(SHARD)

    simulated(main)


def test_next_leader_has_what_was_committed() -> None:
    """However the one before ended; and the shard goes on within seconds."""

    async def main(site: Site) -> None:
        first = await site.leader()
        number = await site.hosts[first].propose(SHARD, b"kept")
        await site.end(first)
        began = asyncio.get_running_loop().time()

        second = await site.leader()

        assert second != first
        assert asyncio.get_running_loop().time() - began < 3
        log = site.hosts[second].replica(SHARD).log
        assert log.entries[number - 1].data == b"kept"
        assert await site.hosts[second].propose(SHARD, b"more") > number

    simulated(main)


def test_leader_that_is_cut_off_tells_its_callers() -> None:
    """An entry may be committed all the same; a read was not answered."""

    async def main(site: Site) -> None:
        first = await site.leader()
        host = site.hosts[first]
        site.cut = {first}
        asked = [
            asyncio.ensure_future(host.propose(SHARD, b"x")),
            asyncio.ensure_future(host.confirm(SHARD)),
        ]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)

        assert [type(each) for each in outcomes] == [
            IndeterminateError,
            UnavailableError,
        ]
        assert not host.leads(SHARD)
        assert await site.leader() != first

    simulated(main)


def test_leader_is_confirmed_by_a_majority() -> None:
    """And with a lease it need not ask."""

    async def main(site: Site) -> None:
        host = site.hosts[await site.leader()]
        await host.confirm(SHARD)
        assert host.has_lease(SHARD)

    simulated(main)


def test_host_that_starts_again_has_its_log() -> None:
    """And takes part as who it was."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        number = await site.hosts[leader].propose(SHARD, b"x")
        await asyncio.sleep(0.5)
        for own in MEMBERS:
            await site.end(own)
            site.start(own)
        log = site.hosts[leader].replica(SHARD).log
        assert log.entries[number - 1].data == b"x"
        assert site.hosts[leader].shards == (SHARD,)
        await site.hosts[await site.leader()].propose(SHARD, b"y")

    simulated(main)


def test_shard_without_an_authority_keeps_its_leader() -> None:
    """The authority is needed to change the lead, and for nothing else."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        site.authority.is_up = False
        await asyncio.sleep(10)
        await site.hosts[leader].propose(SHARD, b"x")
        await site.end(leader)
        await asyncio.sleep(10)
        assert not any(host.leads(SHARD) for host in site.hosts.values())
        site.authority.is_up = True
        await site.leader()

    simulated(main)


def test_too_many_who_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of theirs has happened."""
    monkeypatch.setattr(shard_host, "UNANSWERED_MAX", 3)

    async def main(site: Site) -> None:
        leader = await site.leader()
        outcomes = await asyncio.gather(
            *(site.hosts[leader].propose(SHARD, b"x") for _ in range(5)),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, KvError)]
        assert [type(each) for each in refused] == [OverloadedError] * 2

    simulated(main)


def test_caller_that_gives_up_disturbs_nobody() -> None:
    """Its entry is committed all the same."""

    async def main(site: Site) -> None:
        host = site.hosts[await site.leader()]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0001):
                await host.propose(SHARD, b"alone")
        await host.propose(SHARD, b"next")
        data = [entry.data for entry in host.replica(SHARD).log.entries]
        assert data[-2:] == [b"alone", b"next"]

    simulated(main)


def test_lead_that_is_lost_in_a_turn_fails_what_waits_in_it() -> None:
    """Whether it stands before or behind what deposes the leader."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        host = site.hosts[leader]
        (other, _) = (own for own in MEMBERS if own != leader)
        before = asyncio.ensure_future(host.propose(SHARD, b"before"))
        await asyncio.sleep(0)
        host.receive(other, SHARD, Seal(99))
        behind = asyncio.ensure_future(host.propose(SHARD, b"behind"))
        outcomes = await asyncio.gather(before, behind, return_exceptions=True)

        assert all(isinstance(each, KvError) for each in outcomes)
        assert isinstance(outcomes[0], IndeterminateError)
        assert not host.leads(SHARD)

    simulated(main)
