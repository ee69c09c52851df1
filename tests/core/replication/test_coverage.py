"""Coverage: batches are claimed in order and after what they depend on (I2)."""

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication import coverage
from kvnode.core.replication.coverage import WaitingBatch, WaitingBatches
from kvnode.core.versions.version import Version
from kvnode.types import Dot, EntryKey, Millis, ReplicaId
from tests.core.replication.entries import A, B, C, at, counter, register

KEY = at(b"k")


def batch(
    dot: Dot,
    *,
    dependencies: tuple[Dot, ...] = (),
    sender: ReplicaId | None = None,
    since: int = 0,
    missing: dict[EntryKey, Version] | None = None,
) -> WaitingBatch:
    """Return a batch of one seq."""
    return WaitingBatch(
        dot.replica,
        dot.seq,
        dot.seq,
        dependencies,
        dot.replica if sender is None else sender,
        Millis(since),
        missing or {},
    )


@st.composite
def batch_lists(draw: st.DrawFn) -> list[WaitingBatch]:
    """Batches of single writes of a few replicas; some are lost on the way."""
    dots = [Dot(replica, seq) for replica in (A, B, C) for seq in range(1, 5)]
    depends = st.lists(st.sampled_from(dots), max_size=2)
    batches = [
        batch(dot, dependencies=tuple(d for d in draw(depends) if d != dot))
        for dot in dots
    ]
    arriving = draw(st.permutations(batches))
    return arriving[: draw(st.integers(0, len(arriving)))]


def covered_naively(
    batches: list[WaitingBatch], brought: Collection[Dot] = ()
) -> set[Dot]:
    """Return what may be claimed: cover one at a time until nothing changes."""
    covered = set(brought)
    while True:
        more = {
            Dot(b.origin, seq)
            for b in batches
            for seq in range(b.first, b.last + 1)
            if (b.first == 1 or Dot(b.origin, b.first - 1) in covered)
            and covered.issuperset(b.dependencies)
        }
        if more <= covered:
            return covered
        covered |= more


@st.composite
def histories(draw: st.DrawFn) -> list[WaitingBatch | tuple[ReplicaId, int]]:
    """Batches of some writes each, and prefixes that deltas bring, in any order."""
    batches: list[WaitingBatch] = []
    ends: list[Dot] = []
    for replica in (A, B):
        first = 1
        for size in draw(st.lists(st.integers(1, 3), max_size=6)):
            one = batch(Dot(replica, first), since=1)
            one.last = first + size - 1
            batches.append(one)
            ends.append(Dot(replica, one.last))
            first += size
    for one in batches:
        depends = draw(st.lists(st.sampled_from(ends), max_size=1))
        one.dependencies = tuple(
            d for d in depends if d.replica != one.origin or d.seq < one.first
        )
    prefix = st.tuples(st.sampled_from((A, B)), st.integers(1, 12))
    events: list[WaitingBatch | tuple[ReplicaId, int]] = [
        *batches,
        *draw(st.lists(prefix, max_size=2)),
    ]
    if draw(st.booleans()):  # pushes of one origin come in order, as a rule
        return events
    return draw(st.permutations(events))


def closed(prefix: tuple[ReplicaId, int], batches: list[WaitingBatch]) -> VersionVector:
    """Return what a delta with *prefix* brings: all that it depends on, too (I2)."""
    clock = EMPTY.with_range(prefix[0], 1, prefix[1])
    while True:
        needed = [
            dot
            for each in batches
            if clock.covers(Dot(each.origin, each.first))
            for dot in each.dependencies
            if not clock.covers(dot)
        ]
        if not needed:
            return clock
        clock = clock.with_range(needed[0].replica, 1, needed[0].seq)


@given(histories())
def test_joined_batches_are_covered_like_single_ones(
    events: list[WaitingBatch | tuple[ReplicaId, int]],
) -> None:
    """Whatever deltas bring meanwhile; nobody claims more or less for it."""
    waiting, clock = WaitingBatches(), EMPTY
    batches = [replace(e) for e in events if isinstance(e, WaitingBatch)]
    every = [Dot(r, s) for r in (A, B) for s in range(1, 40)]
    came: list[WaitingBatch] = []
    brought = EMPTY

    for event in events:
        if isinstance(event, WaitingBatch):
            came.append(replace(event))
            waiting.add(event, clock)
        else:
            brought = brought.join(closed(event, batches))
            clock = clock.join(brought)
        clock = waiting.advance(clock)

        expected = covered_naively(came, {d for d in every if brought.covers(d)})
        assert {dot for dot in every if clock.covers(dot)} == expected


def test_what_follows_upon_a_waiting_batch_is_joined_to_it() -> None:
    """A node that catches up holds thousands: it must not look at each, each turn."""
    waiting = WaitingBatches()

    for seq in range(3, 100):
        waiting.add(batch(Dot(A, seq), since=1), EMPTY)

    assert len(waiting) == 1
    assert waiting.held() == EMPTY.with_range(A, 3, 99)
    assert waiting.get(A, 50) is waiting.get(A, 3)
    assert waiting.get(A, 100) is None
    two = EMPTY.with_range(A, 1, 2)
    assert waiting.advance(two) == EMPTY.with_range(A, 1, 99)


@pytest.mark.parametrize(
    "other",
    [
        batch(Dot(A, 4), since=1),  # a gap
        batch(Dot(A, 3), since=1, sender=C),
        batch(Dot(A, 3), since=1, dependencies=(Dot(B, 1),)),
        batch(Dot(A, 3), since=1, missing={KEY: register(Dot(A, 3)).version}),
    ],
)
def test_batch_that_waits_for_more_is_not_joined(other: WaitingBatch) -> None:
    """What it waits for holds up nothing that came before it."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), since=1), EMPTY)

    waiting.add(other, EMPTY)

    assert len(waiting) == 2


def test_what_comes_after_a_request_for_a_delta_is_not_joined() -> None:
    """The delta ends what came before it was asked for, and that alone."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), since=10), EMPTY)
    waiting.close(Millis(10))
    waiting.add(batch(Dot(A, 3), since=11), EMPTY)

    waiting.drop_older(A, Millis(10))

    assert waiting.held() == EMPTY.with_range(A, 3, 3)


def test_joined_batches_go_on_from_where_a_delta_ended_among_them() -> None:
    """Its snapshot was taken while they were on their way."""
    waiting = WaitingBatches()
    for seq in range(5, 9):
        waiting.add(batch(Dot(A, seq), since=1), EMPTY)

    gap = EMPTY.with_range(A, 1, 2).with_range(A, 5, 6)  # 3 and 4 were never used

    assert waiting.advance(gap) == gap.with_range(A, 7, 8)


@given(batch_lists())
def test_clock_covers_what_the_naive_rule_covers_in_any_order(
    batches: list[WaitingBatch],
) -> None:
    """Neither more, which would break I2, nor less, which would never end."""
    waiting, clock = WaitingBatches(), EMPTY

    for one in batches:
        waiting.add(one, clock)
        clock = waiting.advance(clock)

    expected = covered_naively(batches)
    assert {
        Dot(r, s) for r in (A, B, C) for s in range(1, 5) if clock.covers(Dot(r, s))
    } == expected
    assert len(waiting) == len(batches) - len(expected)


def test_batches_beyond_the_bound_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that pushes without end costs a bounded amount of memory (D5)."""
    monkeypatch.setattr(coverage, "WAITING_BATCHES_MAX", 3)
    waiting = WaitingBatches()

    for seq in range(2, 10):
        waiting.add(batch(Dot(A, seq)), EMPTY)

    assert len(waiting) == 3


def test_batch_with_a_missing_value_is_not_covered() -> None:
    """D6: an announced value is not here yet."""
    announced = register(Dot(A, 1), hlc=5)
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 1), missing={KEY: announced.version}), EMPTY)

    assert waiting.advance(EMPTY) == EMPTY

    assert [b.origin for b in waiting.arrived(KEY, announced, EMPTY)] == [A]
    assert waiting.advance(EMPTY) == VersionVector.of({A: 1})


def test_pull_of_an_older_version_does_not_complete_a_batch() -> None:
    """The pull had begun before the batch came (seed 276)."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), missing={KEY: register(Dot(A, 2)).version}), EMPTY)

    assert waiting.arrived(KEY, register(Dot(A, 1)), EMPTY) == []

    assert waiting.waiting_for(KEY) == [(A, Dot(A, 2))]


def test_pull_from_another_peer_completes_only_what_it_includes() -> None:
    """Two peers announce contributions to one counter; one of them is here."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 1), missing={KEY: counter(Dot(A, 1)).version}), EMPTY)
    waiting.add(batch(Dot(C, 3), missing={KEY: counter(Dot(C, 3)).version}), EMPTY)

    complete = waiting.arrived(KEY, counter(Dot(A, 1), Dot(B, 7)), EMPTY)

    assert [b.origin for b in complete] == [A]
    assert waiting.waiting_for(KEY) == [(C, Dot(C, 3))]


def test_batch_covered_by_a_delta_meanwhile_is_forgotten() -> None:
    """Nobody needs it any more, its missing value included."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 4), missing={KEY: register(Dot(A, 4)).version}), EMPTY)

    assert waiting.advance(VersionVector.of({A: 9})) == VersionVector.of({A: 9})

    assert len(waiting) == 0


def test_stuck_senders_are_those_of_old_batches() -> None:
    """A gap that lasts is asked for as a delta (D4)."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), since=100), EMPTY)
    waiting.add(batch(Dot(B, 2), since=101, sender=C), EMPTY)

    assert waiting.stuck_senders(Millis(100)) == {A}
    assert waiting.stuck_senders(Millis(101)) == {A, C}


def test_batches_of_a_lost_connection_are_forgotten() -> None:
    """They come again with a delta."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2)), EMPTY)
    waiting.add(batch(Dot(B, 2)), EMPTY)

    waiting.drop_of(A)

    assert waiting.stuck_senders(Millis(0)) == {B}


def test_batch_that_waits_for_a_value_its_sender_lacks_is_forgotten() -> None:
    """Only that one: a delta brings it."""
    batches, version = WaitingBatches(), register(Dot(A, 2)).version
    batches.add(batch(Dot(A, 2), missing={KEY: version}), EMPTY)
    batches.add(batch(Dot(A, 3), missing={at(b"other"): version}), EMPTY)
    batches.add(batch(Dot(B, 2), missing={KEY: version}), EMPTY)

    batches.drop_waiting(A, KEY)

    assert batches.waiting_for(KEY) == [(B, Dot(A, 2))]
    assert len(batches) == 2


def test_batch_that_a_later_delta_did_not_cover_is_forgotten() -> None:
    """What it waits for is lost: it would be asked about for ever."""
    batches = WaitingBatches()
    batches.add(batch(Dot(A, 2), since=10), EMPTY)
    batches.close(Millis(10))
    batches.add(batch(Dot(A, 3), since=11), EMPTY)
    batches.add(batch(Dot(B, 2), since=10), EMPTY)

    batches.drop_older(A, Millis(10))

    assert batches.stuck_senders(Millis(10)) == {B}
    assert batches.stuck_senders(Millis(11)) == {A, B}
