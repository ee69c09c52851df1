"""Staleness: a report counts from when what it tells of is covered (S3)."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.staleness import UNCONFIRMED_MAX, Staleness
from kvnode.types import Millis
from tests.core.membership.clocks import EPOCH, Probe, World, offsets
from tests.core.replication.entries import A, B


def test_origin_never_heard_of_is_unknown() -> None:
    """None is not zero: nobody knows how far behind we are."""
    assert Staleness().behind(A, Millis(5)) is None


def test_report_counts_only_once_it_is_covered() -> None:
    """Until then something that the origin had written may be missing."""
    staleness = Staleness()
    staleness.heard(A, 3, Millis(1000))

    staleness.advance(VersionVector.of({A: 2}))
    assert staleness.behind(A, Millis(1500)) is None

    staleness.advance(VersionVector.of({A: 3}))
    assert staleness.behind(A, Millis(1500)) == 500


def test_newest_confirmed_report_counts() -> None:
    """Reports are confirmed in the order in which they came."""
    staleness = Staleness()
    for seq, sent_at in ((1, 100), (2, 200), (9, 300)):
        staleness.heard(A, seq, Millis(sent_at))

    staleness.advance(VersionVector.of({A: 5}))

    assert staleness.behind(A, Millis(1000)) == 800


def test_origin_that_has_written_nothing_is_confirmed_at_once() -> None:
    """There is nothing to wait for."""
    staleness = Staleness()
    staleness.heard(A, 0, Millis(100))

    staleness.advance(EMPTY)

    assert staleness.behind(A, Millis(100)) == 0


def test_clock_of_the_origin_may_be_ahead_of_ours() -> None:
    """Nobody is less than 0 ms behind."""
    staleness = Staleness()
    staleness.heard(A, 0, Millis(900))
    staleness.advance(EMPTY)

    assert staleness.behind(A, Millis(100)) == 0


def test_reports_that_wait_have_a_bound_and_the_oldest_stay() -> None:
    """The oldest is the first that will be covered; the last place is the newest's."""
    staleness = Staleness()
    newest = 3 * UNCONFIRMED_MAX
    for seq in range(1, newest + 1):
        staleness.heard(A, seq, Millis(seq))
    staleness.heard(B, 0, Millis(7))

    behind = []
    for covered in (1, UNCONFIRMED_MAX, newest - 1, newest):
        staleness.advance(VersionVector.of({A: covered}))
        behind.append(staleness.behind(A, Millis(1000)))

    kept = UNCONFIRMED_MAX - 1
    assert behind == [999, 1000 - kept, 1000 - kept, 1000 - newest]
    assert staleness.behind(B, Millis(1000)) == 993


def test_write_that_is_lost_for_good_does_not_hold_up_later_reports() -> None:
    """Nobody ever covers it (docs/decisions/0011)."""
    staleness = Staleness()
    staleness.heard(A, 1, Millis(100))
    staleness.heard(A, 2, Millis(200))

    staleness.advance(EMPTY.with_range(A, 2, 2))

    assert staleness.behind(A, Millis(1000)) == 800


reports = st.tuples(
    st.just("report"), st.integers(0, 300) | st.integers(0, 5000), offsets
)
own_jumps = st.tuples(st.just("own clock is set"), st.just(0), offsets)
asked = st.tuples(st.just("probe"), st.integers(0, 900), st.just(0))


@given(
    own=offsets,
    peer=offsets,
    steps=st.lists(st.one_of(reports, own_jumps, asked), max_size=20),
)
def test_wrong_clocks_promise_no_bound_that_is_not_true(
    own: int, peer: int, steps: list[tuple[str, int, int]]
) -> None:
    """S3: neither the sender's clock, nor ours that is set again and again."""
    world, staleness = World({A: peer}, own=own), Staleness()
    sent_at: int | None = None  # of the newest report, by true time
    for what, span, off in steps:
        if what == "probe":
            world.probe(Probe(0, span, span // 2))
        elif what == "own clock is set":
            world.own = off
            world.judge()
        else:
            sent_at, shown = world.true, Millis(EPOCH + world.true + peer)
            world.true += span
            at = world.offsets.sent_at(A, shown, world.now)
            if at is not None:
                staleness.heard(A, 0, at)
                staleness.advance(EMPTY)

        behind = staleness.behind(A, world.now.steady)
        assert behind is None or (
            sent_at is not None and behind >= world.true - sent_at
        )


@given(jumps=st.lists(offsets, min_size=1, max_size=8))
def test_sender_whose_clock_is_set_costs_at_most_the_way_of_its_report(
    jumps: list[int],
) -> None:
    """S3: until it is measured anew, what came is what was there when it came."""
    world, staleness = World({A: 0}), Staleness()
    world.probe_all()
    received_at: int | None = None
    for jump in jumps:
        world.peers[A] = jump
        shown = Millis(EPOCH + world.true + jump)
        world.true += 700
        at = world.offsets.sent_at(A, shown, world.now)
        if at is not None:
            received_at = world.true
            staleness.heard(A, 0, at)
            staleness.advance(EMPTY)
        world.true += 300

        behind = staleness.behind(A, world.now.steady)
        assert behind is None or (
            received_at is not None and behind >= world.true - received_at
        )
