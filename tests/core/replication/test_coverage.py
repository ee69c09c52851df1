"""Coverage: batches are claimed in order and after what they depend on (I2)."""

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


def covered_naively(batches: list[WaitingBatch]) -> set[Dot]:
    """Return what may be claimed: cover one at a time until nothing changes."""
    covered: set[Dot] = set()
    while True:
        more = {
            Dot(b.origin, b.last)
            for b in batches
            if (b.first == 1 or Dot(b.origin, b.first - 1) in covered)
            and covered.issuperset(b.dependencies)
        }
        if more <= covered:
            return covered
        covered |= more


@given(batch_lists())
def test_clock_covers_what_the_naive_rule_covers_in_any_order(
    batches: list[WaitingBatch],
) -> None:
    """Neither more, which would break I2, nor less, which would never end."""
    waiting, clock = WaitingBatches(), EMPTY

    for one in batches:
        waiting.add(one)
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
        waiting.add(batch(Dot(A, seq)))

    assert len(waiting) == 3


def test_batch_with_a_missing_value_is_not_covered() -> None:
    """D6: an announced value is not here yet."""
    announced = register(Dot(A, 1), hlc=5)
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 1), missing={KEY: announced.version}))

    assert waiting.advance(EMPTY) == EMPTY

    assert [b.origin for b in waiting.arrived(KEY, announced, EMPTY)] == [A]
    assert waiting.advance(EMPTY) == VersionVector.of({A: 1})


def test_pull_of_an_older_version_does_not_complete_a_batch() -> None:
    """The pull had begun before the batch came (seed 276)."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), missing={KEY: register(Dot(A, 2)).version}))

    assert waiting.arrived(KEY, register(Dot(A, 1)), EMPTY) == []

    assert waiting.waiting_for(KEY) == [(A, Dot(A, 2))]


def test_pull_from_another_peer_completes_only_what_it_includes() -> None:
    """Two peers announce contributions to one counter; one of them is here."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 1), missing={KEY: counter(Dot(A, 1)).version}))
    waiting.add(batch(Dot(C, 3), missing={KEY: counter(Dot(C, 3)).version}))

    complete = waiting.arrived(KEY, counter(Dot(A, 1), Dot(B, 7)), EMPTY)

    assert [b.origin for b in complete] == [A]
    assert waiting.waiting_for(KEY) == [(C, Dot(C, 3))]


def test_batch_covered_by_a_delta_meanwhile_is_forgotten() -> None:
    """Nobody needs it any more, its missing value included."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 4), missing={KEY: register(Dot(A, 4)).version}))

    assert waiting.advance(VersionVector.of({A: 9})) == VersionVector.of({A: 9})

    assert len(waiting) == 0


def test_stuck_senders_are_those_of_old_batches() -> None:
    """A gap that lasts is asked for as a delta (D4)."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2), since=100))
    waiting.add(batch(Dot(B, 2), since=101, sender=C))

    assert waiting.stuck_senders(Millis(100)) == {A}
    assert waiting.stuck_senders(Millis(101)) == {A, C}


def test_batches_of_a_lost_connection_are_forgotten() -> None:
    """They come again with a delta."""
    waiting = WaitingBatches()
    waiting.add(batch(Dot(A, 2)))
    waiting.add(batch(Dot(B, 2)))

    waiting.drop_of(A)

    assert waiting.stuck_senders(Millis(0)) == {B}


def test_batch_that_waits_for_a_value_its_sender_lacks_is_forgotten() -> None:
    """Only that one: a delta brings it."""
    batches, version = WaitingBatches(), register(Dot(A, 2)).version
    batches.add(batch(Dot(A, 2), missing={KEY: version}))
    batches.add(batch(Dot(A, 3), missing={at(b"other"): version}))
    batches.add(batch(Dot(B, 2), missing={KEY: version}))

    batches.drop_waiting(A, KEY)

    assert batches.waiting_for(KEY) == [(B, Dot(A, 2))]
    assert len(batches) == 2


def test_batch_that_a_later_delta_did_not_cover_is_forgotten() -> None:
    """What it waits for is lost: it would be asked about for ever."""
    batches = WaitingBatches()
    batches.add(batch(Dot(A, 2), since=10))
    batches.add(batch(Dot(A, 3), since=11))
    batches.add(batch(Dot(B, 2), since=10))

    batches.drop_older(A, Millis(10))

    assert batches.stuck_senders(Millis(10)) == {B}
    assert batches.stuck_senders(Millis(11)) == {A, B}
