"""Hosts of shards: entries committed on three nodes, on virtual time."""

import asyncio
from collections import deque

import pytest

from kvnode.core.objects.events import Reconfigure, Suspected
from kvnode.core.objects.messages import Appended, Seal
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.runtime.shards import host as host_module
from kvnode.runtime.shards import hosted_shard, waiting
from tests.runtime.shards.site import (
    MEMBERS,
    SHARD,
    STRANGER,
    Site,
    change,
    simulated,
)


def test_entries_are_committed_in_order_and_told_of() -> None:
    """Their numbers follow upon each other, and every host hears of them."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        numbers = [
            await site.hosts[leader].propose(SHARD, change(b"%d" % n)) for n in range(5)
        ]
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
            *(host.propose(SHARD, change(b"%d" % n)) for n in range(500))
        )
        assert sorted(numbers) == list(range(numbers[0], numbers[0] + 500))

    simulated(main)


def test_who_does_not_lead_declines() -> None:
    """Nothing has happened: the caller may ask whoever leads."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        (other, _) = (own for own in MEMBERS if own != leader)
        with pytest.raises(UnavailableError, match="does not lead shard eu-1"):
            await site.hosts[other].propose(SHARD, change(b"x"))
        with pytest.raises(UnavailableError, match="does not lead shard eu-1"):
            await site.hosts[other].confirm(SHARD)

    simulated(main)


def test_next_leader_has_what_was_committed() -> None:
    """However the one before ended; and the shard goes on within seconds."""

    async def main(site: Site) -> None:
        first = await site.leader()
        number = await site.hosts[first].propose(SHARD, change(b"kept"))
        await site.end(first)
        began = asyncio.get_running_loop().time()

        second = await site.leader()

        assert second != first
        assert asyncio.get_running_loop().time() - began < 3
        log = site.hosts[second].replica(SHARD).log
        assert log.entries[number - 1].data == change(b"kept")
        assert await site.hosts[second].propose(SHARD, change(b"more")) > number

    simulated(main)


def test_leader_that_is_cut_off_tells_its_callers() -> None:
    """An entry may be committed all the same; a read was not answered."""

    async def main(site: Site) -> None:
        first = await site.leader()
        host = site.hosts[first]
        site.cut = {first}
        asked = host.propose(SHARD, change(b"x")), host.confirm(SHARD)
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
        number = await site.hosts[leader].propose(SHARD, change(b"x"))
        await asyncio.sleep(0.5)
        for own in MEMBERS:
            await site.end(own)
            site.start(own)
        log = site.hosts[leader].replica(SHARD).log
        assert log.entries[number - 1].data == change(b"x")
        assert site.hosts[leader].shards == (SHARD,)
        await site.hosts[await site.leader()].propose(SHARD, change(b"y"))

    simulated(main)


def test_followers_are_told_who_leads_once_an_epoch() -> None:
    """Also of the same leader again: what was believed meanwhile may be of another."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        followers = sorted(own for own in MEMBERS if own != leader)
        for _ in range(2):
            await asyncio.sleep(5)
            told = [to for to, of in site.heard if of == leader != to]
            assert sorted(told) == followers
            site.heard.clear()
            await site.end(leader)
            site.start(leader)
            site.hosts[leader].tell(SHARD, Suspected())

    simulated(main)


def test_shard_without_an_authority_keeps_its_leader() -> None:
    """The authority is needed to change the lead, and for nothing else."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        site.authority.is_up = False
        await asyncio.sleep(10)
        await site.hosts[leader].propose(SHARD, change(b"x"))
        await site.end(leader)
        await asyncio.sleep(10)
        assert not any(host.leads(SHARD) for host in site.hosts.values())
        site.authority.is_up = True
        await site.leader()

    simulated(main)


def test_too_many_who_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of theirs has happened."""
    monkeypatch.setattr(waiting, "UNANSWERED_MAX", 3)

    async def main(site: Site) -> None:
        leader = await site.leader()
        outcomes = await asyncio.gather(
            *(site.hosts[leader].propose(SHARD, change(b"x")) for _ in range(5)),
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
                await host.propose(SHARD, change(b"alone"))
        await host.propose(SHARD, change(b"next"))
        data = [entry.data for entry in host.replica(SHARD).log.entries]
        assert data[-2:] == [change(b"alone"), change(b"next")]

    simulated(main)


def test_lead_that_is_lost_in_a_turn_fails_what_waits_in_it() -> None:
    """Whether it stands before or behind what deposes the leader."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        host = site.hosts[leader]
        (other, _) = (own for own in MEMBERS if own != leader)
        before = asyncio.ensure_future(host.propose(SHARD, change(b"before")))
        await asyncio.sleep(0)
        host.receive(other, SHARD, Seal(99))
        behind = asyncio.ensure_future(host.propose(SHARD, change(b"behind")))
        outcomes = await asyncio.gather(before, behind, return_exceptions=True)

        assert all(isinstance(each, KvError) for each in outcomes)
        assert isinstance(outcomes[0], IndeterminateError)
        assert not host.leads(SHARD)

    simulated(main)


def test_bad_message_is_dropped_and_its_sender_named_once() -> None:
    """A peer that breaks the protocol must not end the host, nor fill the disk."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        host = site.hosts[leader]
        leading = host.replica(SHARD).leadership
        assert leading is not None
        (other, _) = (own for own in MEMBERS if own != leader)
        for _ in range(100):
            host.receive(other, SHARD, Appended(leading.epoch, 1, 10**6))
        await host.propose(SHARD, change(b"x"))
        assert host.leads(SHARD)
        lines.extend(each for each in log if "was dropped" in each)

    lines: list[str] = []
    log: deque[str] = deque()
    simulated(main, log)
    assert len(lines) == 1
    assert "entry 1000000 was never sent" in lines[0]


@pytest.mark.parametrize("name", ["../up", "", "x" * 300])
def test_peer_cannot_make_a_shard_of_any_name(name: str) -> None:
    """Its state is a file of that name."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        site.hosts[leader].receive(STRANGER, name, Seal(1))
        assert site.hosts[leader].shards == (SHARD,)

    simulated(main)


def test_peers_cannot_make_any_number_of_shards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is a file, and memory."""
    monkeypatch.setattr(host_module, "SHARDS_MAX", 2)

    async def main(site: Site) -> None:
        leader = await site.leader()
        for number in range(5):
            site.hosts[leader].receive(STRANGER, f"eu-{number}", Seal(1))
        assert len(site.hosts[leader].shards) == 2

    simulated(main)


def test_flood_of_messages_hides_none_of_a_replica_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without them a leader alone with one follower would commit nothing."""
    monkeypatch.setattr(hosted_shard, "WAITING_EVENTS_MAX", 0)

    async def main(_: Site) -> None:
        site = Site(members=MEMBERS[:1])
        host = site.hosts[await site.leader()]
        await host.propose(SHARD, change(b"x"))
        await site.close()

    simulated(main)


def test_full_disk_of_a_leader_moves_the_lead() -> None:
    """What was sent may be committed; what comes after has not happened."""

    async def main(site: Site) -> None:
        first = await site.leader()
        host = site.hosts[first]
        site.stores[first].is_full = True
        with pytest.raises(IndeterminateError):
            await host.propose(SHARD, change(b"sent"))
        with pytest.raises(StoreFullError, match="nothing has happened"):
            async with asyncio.timeout(0.1):
                await host.propose(SHARD, change(b"late"))
        assert not host.leads(SHARD)
        assert (first, f"closed {SHARD} in 2") in site.log

        second = await site.leader()
        await asyncio.sleep(20)
        assert second != first
        assert 2 < site.stores[first].refused < 60
        site.stores[first].is_full = False
        await site.write(5)
        await site.settled(*MEMBERS)
        assert site.rows(first) == site.rows(second)
        assert b"late" not in dict(site.rows(second))

    simulated(main)


def test_full_disk_of_a_node_alone_has_let_nothing_happen() -> None:
    """Nobody else can have the entry; and the node leads again once there is room."""

    async def main(_: Site) -> None:
        site = Site(members=MEMBERS[:1])
        own = await site.leader()
        host = site.hosts[own]
        site.stores[own].is_full = True
        outcomes = await asyncio.gather(
            *(host.propose(SHARD, change(b"%d" % n)) for n in range(3)),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes] == [StoreFullError] * 3
        await asyncio.sleep(5)
        site.stores[own].is_full = False
        await site.leader()
        await host.propose(SHARD, change(b"x"))
        await site.settled(own)
        assert site.rows(own) == [(b"x", b"v")]
        await site.close()

    simulated(main)


def test_full_disks_everywhere_end_no_host() -> None:
    """All go on once there is room."""

    async def main(site: Site) -> None:
        await site.write(5)
        for store in site.stores.values():
            store.is_full = True
        host = site.hosts[await site.leader()]
        with pytest.raises(IndeterminateError):
            await host.propose(SHARD, change(b"x"))
        await asyncio.sleep(10)
        assert not any(task.done() for task in site.running.values())
        assert not any(host.leads(SHARD) for host in site.hosts.values())
        for store in site.stores.values():
            store.is_full = False
        await site.write(5, first=10)
        await site.settled(*MEMBERS)

    simulated(main)


def test_full_disk_of_a_follower_costs_nobody_else_anything() -> None:
    """The others are a majority."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        (other, _) = (own for own in MEMBERS if own != leader)
        site.stores[other].is_full = True
        await site.write(200)
        assert await site.leader() == leader
        site.stores[other].is_full = False
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)

    simulated(main)


def test_answer_to_an_earlier_life_is_not_heard() -> None:
    """Who heard it late might lead an epoch for the second time, with another log."""

    async def main(_: Site) -> None:
        site = Site(members=MEMBERS[:1])
        host = site.hosts[MEMBERS[0]]
        site.authority.takes = 1.9
        host.tell(SHARD, Suspected())
        await asyncio.sleep(0.7)  # until then it may have given a lease
        site.stores[MEMBERS[0]].is_full = True
        host.receive(STRANGER, SHARD, Seal(9))
        await asyncio.sleep(1.1)
        host.tell(SHARD, Suspected())
        await asyncio.sleep(0.8)
        assert site.stores[MEMBERS[0]].refused == 1
        assert site.authority.swaps == 0, "only the answer to the first life is here"
        await asyncio.sleep(1.5)
        assert site.authority.swaps == 1
        await site.close()

    simulated(main)


def test_host_that_has_stopped_keeps_nobody_waiting() -> None:
    """Whoever waits does not know, and whoever comes is sent away."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        host = site.hosts[leader]
        site.cut = set(MEMBERS)
        waits = asyncio.ensure_future(host.propose(SHARD, change(b"x")))
        await asyncio.sleep(0.1)
        await site.end(leader)
        with pytest.raises(IndeterminateError):
            await waits
        with pytest.raises(UnavailableError, match="has stopped"):
            await host.propose(SHARD, change(b"y"))

    simulated(main)


def test_authority_is_asked_once_at_a_time_for_a_move() -> None:
    """Tries of one node would outbid each other for as long as there are several."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        kept = next(own for own in MEMBERS if own != leader)
        site.start(STRANGER, has_shard=False)
        site.authority.takes = 1.0
        before = site.authority.swaps
        members = tuple(sorted((leader, kept, STRANGER)))
        site.hosts[leader].tell(SHARD, Reconfigure(members))
        await asyncio.sleep(0.9)

        assert site.authority.swaps == before + 1
        await site.until(lambda: site.authority.held.replicas == members)

    simulated(main)
