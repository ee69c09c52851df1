"""A node's doubt in itself, and its time that no clock can put wrong."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.awareness import SCORE_MAX, Awareness, SteadyTime
from kvnode.types import Millis

STALL_AFTER = Millis(250)


@given(signs=st.lists(st.integers(-1, 4)))
def test_multiplier_stays_between_one_and_nine(signs: list[int]) -> None:
    """However bad it gets, probes come to an end; however good, they wait."""
    awareness = Awareness()
    for sign in signs:
        if sign < 0:
            awareness.improve()
        else:
            awareness.worsen(sign)

        assert 1 <= awareness.multiplier <= SCORE_MAX + 1


def test_each_success_takes_one_sign_back() -> None:
    """A node that has been slow becomes confident step by step."""
    awareness = Awareness()
    awareness.worsen(2)

    assert awareness.multiplier == 3
    awareness.improve()
    assert awareness.multiplier == 2
    awareness.improve()
    awareness.improve()
    assert awareness.multiplier == 1


def test_awareness_without_room_for_doubt_is_never_in_doubt() -> None:
    """The SWIM of 2002."""
    awareness = Awareness(score_max=0)
    awareness.worsen(5)

    assert awareness.multiplier == 1


@given(clock=st.lists(st.integers(0, 10**15), min_size=1))
def test_steady_time_never_goes_back_nor_jumps_ahead(clock: list[int]) -> None:
    """Whatever the wall clock does, a step counts for 0 to STALL_AFTER ms."""
    steady = SteadyTime(STALL_AFTER)
    for now in clock:
        before = steady.passed
        steady.advance(Millis(now), 1)

        assert 0 <= steady.passed - before <= STALL_AFTER


@given(spans=st.lists(st.integers(0, STALL_AFTER)))
def test_steady_time_is_true_while_the_process_runs(spans: list[int]) -> None:
    """Short steps count as they are."""
    steady, now = SteadyTime(STALL_AFTER), 1_000_000
    steady.advance(Millis(now), 1)
    for span in spans:
        now += span
        assert not steady.advance(Millis(now), 1)

    assert steady.passed == sum(spans)


def test_long_step_is_a_stall_unless_the_node_is_known_to_be_slow() -> None:
    """At a patience of 2, 300 ms are nothing special."""
    steady = SteadyTime(STALL_AFTER)
    steady.advance(Millis(0), 1)

    assert steady.advance(Millis(300), 1)
    assert steady.passed == 250
    assert not steady.advance(Millis(600), 2)
    assert steady.passed == 550


def test_time_goes_on_at_once_after_a_jump_back() -> None:
    """Nothing waits until the wall clock is where it was before."""
    steady = SteadyTime(STALL_AFTER)
    steady.advance(Millis(1_000_000), 1)

    assert not steady.advance(Millis(400_000), 1)
    steady.advance(Millis(400_050), 1)

    assert steady.passed == 50
