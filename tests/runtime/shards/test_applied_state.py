"""The applied states of hosts: behind the log, and never in its way."""

import asyncio
from collections import deque

import pytest

from kvnode.core.objects.messages import SnapshotWanted
from kvnode.errors import (
    CorruptRecordError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.runtime.shards import host as host_module
from tests.runtime.shards.site import MEMBERS, SHARD, Site, change, simulated


def test_states_of_all_nodes_become_what_the_log_says() -> None:
    """And their hosts tell of it, in order, after the commit."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        number = await site.hosts[leader].propose(SHARD, change(b"k", b"v"))
        await site.settled(*MEMBERS)

        for own in MEMBERS:
            assert site.hosts[own].state(SHARD).get(b"k") == b"v"
            told = [text for who, text in site.log if who == own]
            committed = told.index(f"committed {SHARD} to {number}")
            assert told.index(f"applied {SHARD} to {number}") > committed

    simulated(main)


def test_entry_is_answered_when_it_is_committed_and_not_when_it_is_applied() -> None:
    """Nor does a turn wait for the state."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        state = site.states[leader].open(SHARD)
        state.may_apply.clear()
        await site.write(20)
        assert site.rows(leader) == []
        await site.hosts[leader].confirm(SHARD)
        state.may_apply.set()
        await site.settled(leader)
        assert len(site.rows(leader)) == 20

    simulated(main)


def test_lead_is_told_once_the_state_has_everything() -> None:
    """Who reads it before would miss what was acknowledged; see Site's listener."""

    async def main(site: Site) -> None:
        first = await site.leader()
        others = [own for own in MEMBERS if own != first]
        for own in others:
            site.states[own].open(SHARD).may_apply.clear()
        await site.write(20)
        await site.end(first)
        await asyncio.sleep(10)
        assert not any(site.hosts[own].leads(SHARD) for own in others)
        assert not any("opened" in text for own, text in site.log if own in others)

        for own in others:
            site.states[own].open(SHARD).may_apply.set()
        assert len(site.rows(await site.leader())) == 20

    simulated(main)


def test_lead_that_was_never_told_is_not_taken_back() -> None:
    """What is opened is closed, and nothing else."""

    async def main(site: Site) -> None:
        for own in MEMBERS:
            site.states[own].open(SHARD).may_apply.clear()
        await asyncio.sleep(5)
        (leading,) = (h for h in site.hosts.values() if h.replica(SHARD).leadership)
        site.cut = {own for own, host in site.hosts.items() if host is leading}
        await asyncio.sleep(5)
        assert not leading.replica(SHARD).leadership
        assert not any("opened" in text or "closed" in text for _, text in site.log)

    simulated(main)


def test_state_without_room_is_tried_again() -> None:
    """It is shown meanwhile, told of once, and the lead stays where it is."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        host, state = site.hosts[leader], site.states[leader].open(SHARD)
        state.failure = StoreFullError("no room")
        await site.write(20)
        await asyncio.sleep(20)
        assert host.fault(SHARD) == "no room; it is tried again"
        assert host.leads(SHARD)
        told.extend(each for each in log if "no room" in each)
        state.failure = None
        await site.settled(leader)
        await asyncio.sleep(0)
        assert host.fault(SHARD) == ""

    told: list[str] = []
    log: deque[str] = deque()
    simulated(main, log)
    assert len(told) == 1


def test_state_whose_disk_failed_is_opened_again() -> None:
    """It takes no more until then."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        state = site.states[leader].open(SHARD)
        state.failure = OSError("the disk is gone")
        await site.write(1)
        await asyncio.sleep(3)
        assert state.times_closed >= 1
        state.failure = None
        await site.settled(leader)

    simulated(main)


def test_leader_whose_state_is_damaged_steps_down_and_says_so() -> None:
    """Another leads; and this one never does, before its state has come back."""

    async def main(site: Site) -> None:
        first = await site.leader()
        host, state = site.hosts[first], site.states[first].open(SHARD)
        state.failure = CorruptRecordError("the file is damaged")
        await site.write(1)
        await asyncio.sleep(0.1)
        assert not host.leads(SHARD)
        assert "the file is damaged" in host.fault(SHARD)
        with pytest.raises(UnavailableError, match="the file is damaged"):
            host.state(SHARD)
        assert await site.leader() != first

    simulated(main)


def test_node_without_a_state_does_not_lead() -> None:
    """Even if nobody else can."""

    async def main(_: Site) -> None:
        site = Site(members=MEMBERS[:1])
        own = await site.leader()
        site.states[own].open(SHARD).failure = CorruptRecordError("it is damaged")
        await site.write(1)
        swaps = site.authority.swaps
        await asyncio.sleep(30)
        assert site.hosts[own].replica(SHARD).leadership is None
        assert site.authority.swaps == swaps
        await site.close()

    simulated(main)


def test_lost_state_is_sent_by_the_leader() -> None:
    """The log is all there, so nothing else would bring it."""

    async def main(site: Site) -> None:
        await site.write(20)
        await site.settled(*MEMBERS)
        leader = await site.leader()
        (other, _) = (own for own in MEMBERS if own != leader)
        state = site.states[other].open(SHARD)
        state.failure = CorruptRecordError("the file is damaged")
        await site.write(1, first=21)
        await site.until(
            lambda: any(isinstance(each[2], SnapshotWanted) for each in site.sent)
        )
        assert "the file is damaged" in site.hosts[other].fault(SHARD)
        state.failure = None
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)
        assert site.hosts[other].fault(SHARD) == ""
        await site.write(5, first=30)
        await site.settled(*MEMBERS)
        await asyncio.sleep(5)
        wanted = [each for each in site.sent if isinstance(each[2], SnapshotWanted)]
        assert len(wanted) == 1

    simulated(main)


def test_state_that_is_far_behind_lets_nobody_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log must not grow for ever."""
    monkeypatch.setattr(host_module, "UNAPPLIED_ENTRIES_MAX", 50)

    async def main(site: Site) -> None:
        leader = await site.leader()
        state = site.states[leader].open(SHARD)
        state.may_apply.clear()
        await site.write(60, together=10)
        with pytest.raises(OverloadedError, match="60 entries behind"):
            await site.write(1)
        state.may_apply.set()
        await site.settled(leader)
        await site.write(1)

    simulated(main)
