"""Logs that are cut, and states that are sent to who lacks what has gone."""

import asyncio
from contextlib import suppress
from itertools import groupby

import pytest

from kvnode.core.objects.events import Reconfigure, Suspected
from kvnode.core.objects.messages import PagesTaken, SnapshotPage
from kvnode.errors import KvError
from kvnode.runtime.shards.state import compaction, snapshot_sender
from kvnode.types import ReplicaId
from tests.runtime.shards.site import MEMBERS, SHARD, STRANGER, Site, simulated


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that are cut soon, and pages of a few rows."""
    monkeypatch.setattr(compaction, "KEPT_ENTRIES", 20)
    monkeypatch.setattr(compaction, "CHECKPOINT_ENTRIES", 40)
    monkeypatch.setattr(compaction, "STEP_ENTRIES", 10)
    monkeypatch.setattr(snapshot_sender, "SNAPSHOT_PAGE_BYTES_MAX", 200)
    monkeypatch.setattr(snapshot_sender, "CATCH_UP_SECONDS", 5.0)


async def left_behind(site: Site) -> tuple[ReplicaId, ReplicaId]:
    """Let a follower miss more than is kept; return the leader and it."""
    leader = await site.leader()
    (other, _) = (own for own in MEMBERS if own != leader)
    site.cut = {other}
    await site.write(300)
    await site.settled(leader)
    await asyncio.sleep(3)
    assert site.base(leader).number > 200
    assert site.hosts[other].replica(SHARD).log.last.number < 10
    return leader, other


def pages_to(site: Site, peer: ReplicaId) -> list[SnapshotPage]:
    """Return all pages that were sent to *peer*."""
    return [
        message
        for _, receiver, message in site.sent
        if receiver == peer and isinstance(message, SnapshotPage)
    ]


def test_log_is_cut_behind_what_the_state_has_for_good() -> None:
    """On disk, too; the newest entries are kept."""

    async def main(site: Site) -> None:
        await site.write(300)
        await site.settled(*MEMBERS)
        await asyncio.sleep(3)
        for own in MEMBERS:
            log = site.hosts[own].replica(SHARD).log
            assert 20 <= len(log.entries) <= 20 + 40 + 50
            stored = site.stores[own].load_shard(SHARD)
            assert stored is not None
            assert stored.log.base == log.base

    simulated(main)


def test_hosts_start_again_behind_a_cut_log() -> None:
    """With what a loss of power leaves of their states."""

    async def main(site: Site) -> None:
        await site.write(300)
        await site.settled(*MEMBERS)
        await asyncio.sleep(3)
        await site.write(10, first=301)
        await site.settled(*MEMBERS)
        before = site.rows(MEMBERS[0])
        assert len(before) == 310
        for own in MEMBERS:
            await site.crash(own)
            assert len(site.rows(own)) <= 300, "some of it was not durable"
        for own in MEMBERS:
            site.start(own, has_shard=False)
        await site.settled(*MEMBERS)
        for own in MEMBERS:
            assert site.rows(own) == before
        await site.write(1, first=311)

    simulated(main)


def test_follower_that_was_away_is_sent_the_state_and_then_the_tail() -> None:
    """While others write."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.cut = set()
        await site.write(200, first=301, together=2)
        await site.settled(*MEMBERS)

        assert site.rows(other) == site.rows(leader)
        assert len(site.rows(other)) == 500
        assert len({page.picture for page in pages_to(site, other)}) == 1
        assert site.hosts[other].replica(SHARD).log.base.number > 200

    simulated(main)


def test_log_is_kept_while_a_state_is_on_its_way() -> None:
    """Else whoever has been sent one would need the next."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.slow_pages = 0.5
        site.cut = set()
        await asyncio.sleep(1)
        base = pages_to(site, other)[0].base
        await site.write(300, first=301)
        await asyncio.sleep(3)
        assert site.base(leader).number <= base.number
        site.slow_pages = 0.002
        await site.settled(*MEMBERS)
        assert {page.base for page in pages_to(site, other)} == {base}
        await asyncio.sleep(10)
        assert site.base(leader).number > base.number

    simulated(main)


def test_only_a_few_pages_are_under_way() -> None:
    """The receiver takes them in at its own pace."""

    async def main(site: Site) -> None:
        _, other = await left_behind(site)
        site.cut = set()
        await asyncio.sleep(0.5)
        under_way = most = 0
        for _, receiver, message in site.sent:
            if isinstance(message, SnapshotPage) and receiver == other:
                under_way = message.number
            elif isinstance(message, PagesTaken) and message.number < 10**6:
                most = max(most, under_way - message.number)
        assert 1 <= most <= snapshot_sender.WINDOW_PAGES

    simulated(main)


@pytest.mark.parametrize(("loss", "doubled"), [(0.1, 0.0), (0.0, 0.5), (0.1, 0.3)])
def test_lost_and_doubled_messages_delay_and_harm_nothing(
    loss: float, doubled: float
) -> None:
    """Pages come again, and twice is no harm."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.cut = set()
        site.loss, site.doubled = loss, doubled
        await asyncio.sleep(60)
        site.loss = site.doubled = 0.0
        await site.settled(*MEMBERS)
        leader = await site.leader()
        assert site.rows(other) == site.rows(leader)
        assert len(site.rows(other)) == 300

    simulated(main)


def test_sender_that_crashes_is_followed_by_another() -> None:
    """What had come of its state is forgotten."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.slow_pages = 0.2
        site.cut = set()
        await asyncio.sleep(1)
        assert len(pages_to(site, other)) > 4
        assert len(site.rows(other)) < 10
        await site.crash(leader)
        site.slow_pages = 0.002
        second = await site.leader()
        await site.write(5, first=301)
        await site.settled(other, second)
        assert site.rows(other) == site.rows(second)
        assert len(site.rows(other)) == 305

    simulated(main)


def test_receiver_that_crashes_begins_anew() -> None:
    """Its state is what it was, until another is there as a whole."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.slow_pages = 0.2
        site.cut = set()
        await asyncio.sleep(1)
        assert len(pages_to(site, other)) > 4
        await site.crash(other)
        assert len(site.rows(other)) < 10
        site.slow_pages = 0.002
        site.start(other, has_shard=False)
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)
        assert len({page.picture for page in pages_to(site, other)}) == 2

    simulated(main)


def test_receiver_that_crashed_behind_its_last_page_needs_no_other() -> None:
    """The state is there, though its log does not say so yet."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.stores[other].is_full = True
        site.cut = set()
        await asyncio.sleep(1)
        assert len(site.rows(other)) == 300
        assert site.base(other).number == 0
        await site.crash(other)
        sent = len(pages_to(site, other))
        site.stores[other].is_full = False
        site.start(other, has_shard=False)
        await site.settled(*MEMBERS)
        await asyncio.sleep(1)
        assert site.base(other).number > 200
        assert len(pages_to(site, other)) - sent <= snapshot_sender.WINDOW_PAGES
        await site.write(5, first=301)
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)

    simulated(main)


def test_stranger_is_sent_the_state_before_the_shard_moves_to_it() -> None:
    """And serves in the place of another, then."""

    async def main(site: Site) -> None:
        leader = await site.leader()
        (gone, kept) = (own for own in MEMBERS if own != leader)
        await site.write(300)
        await asyncio.sleep(3)
        site.start(STRANGER, has_shard=False)
        site.hosts[leader].tell(SHARD, Reconfigure((leader, kept, STRANGER)))
        for key in range(301, 351):
            with suppress(KvError):  # the lead pauses in the midst of a move
                await site.write(1, first=key)
        await asyncio.sleep(5)
        assert site.authority.held.replicas == (leader, kept, STRANGER)
        assert not site.authority.held.former
        await site.end(gone)
        await site.end(kept)
        await site.write(5, first=500)
        await site.settled(leader, STRANGER)
        assert site.rows(STRANGER) == site.rows(leader)
        assert pages_to(site, STRANGER)

    simulated(main)


def test_who_takes_over_is_sent_the_state_by_who_is_ahead() -> None:
    """It has a majority's promises, and may lack what has left their logs."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        await site.end(leader)
        site.cut = set()
        site.hosts[other].tell(SHARD, Suspected())
        assert await site.leader() == other
        assert len(site.rows(other)) == 300
        assert pages_to(site, other)

    simulated(main)


def test_receiver_that_is_lost_is_given_up_and_sent_another() -> None:
    """A state that waits for nobody keeps the log from being cut."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        site.slow_pages = 0.2
        site.cut = set()
        await asyncio.sleep(1)
        site.cut = {other}
        await site.write(300, first=301)
        await asyncio.sleep(20)
        sent = len(pages_to(site, other))
        assert site.base(leader).number > 500
        await asyncio.sleep(20)
        assert len(pages_to(site, other)) == sent

        site.cut = set()
        site.slow_pages = 0.002
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)
        assert len({page.picture for page in pages_to(site, other)}) == 2

    simulated(main)


def test_some_states_are_sent_at_a_time_and_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each keeps a picture, and takes of the network."""
    monkeypatch.setattr(snapshot_sender, "SENDING_MAX", 1)
    members = tuple(map(ReplicaId, range(1, 6)))

    async def main(_: Site) -> None:
        site = Site(members)
        leader = await site.leader()
        two = {own for own in members if own != leader} - set(members[-2:])
        site.cut = set(sorted(two)[:2])
        await site.write(300)
        await asyncio.sleep(3)
        two, site.cut = site.cut, set()
        await site.settled(*members)
        receivers = [
            receiver
            for _, receiver, message in site.sent
            if isinstance(message, SnapshotPage)
        ]
        assert set(receivers) == two
        assert len(list(groupby(receivers))) == 2
        await site.close()

    simulated(main)


def test_state_that_fails_while_it_is_sent_is_sent_again_after_a_while() -> None:
    """The replica goes on being told of what its leader has."""

    async def main(site: Site) -> None:
        leader, other = await left_behind(site)
        state = site.states[leader].open(SHARD)
        site.slow_pages = 0.2
        site.cut = set()
        await asyncio.sleep(1)
        state.replaced_count += 1  # as if another one had been installed
        site.slow_pages = 0.002
        await site.settled(*MEMBERS)
        assert site.rows(other) == site.rows(leader)
        assert len({page.picture for page in pages_to(site, other)}) == 2

    simulated(main)
