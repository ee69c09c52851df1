"""Wanted pushes: whom to ask, when, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.overlay import Tree
from kvnode.core.dissemination.wanted import (
    BACK_OFF_MAX,
    HEDGE,
    HOLDERS_MAX,
    PATIENCE_MAX,
    PATIENCE_MIN,
    QUICK_ATTEMPTS,
    Patience,
    Want,
    Wanted,
)
from kvnode.types import Millis, ReplicaId
from tests.core.dissemination.members import name

TREE = Tree("a", 0)
NOW = Millis(1000)


@given(fates=st.lists(st.booleans(), max_size=200))
def test_patience_stays_within_its_bounds(fates: list[bool]) -> None:
    """Whatever happens."""
    patience = Patience()
    for was_short in fates:
        if was_short:
            patience.was_short()
        else:
            patience.was_enough()

        assert PATIENCE_MIN <= patience.span <= PATIENCE_MAX


def test_patience_is_learned_and_forgotten() -> None:
    """One slow hour must not slow repairs down for ever."""
    patience = Patience()
    for _ in range(20):
        patience.was_short()
    assert patience.span == PATIENCE_MAX

    for _ in range(40):
        patience.was_enough()
    assert patience.span == PATIENCE_MIN


def test_those_asked_least_are_asked_next() -> None:
    """In the order given, round and round; those who have it no longer never."""
    want, (a, b, c) = Want(TREE, NOW), map(ReplicaId, (1, 2, 3))
    want.absent.add(b)
    asked = []
    for _ in range(4):
        chosen = want.choose([a, b, c], 1)
        want.ask(chosen, Millis(4), NOW)
        asked += chosen

    assert asked == [a, c, a, c]


@given(rtt=st.integers(0, 400))
def test_first_attempts_follow_quickly_and_later_ones_wait_for_answers(
    rtt: int,
) -> None:
    """Hedged at first, then ever slower, up to a bound."""
    want, waits = Want(TREE, NOW), []
    for _ in range(12):
        want.ask([ReplicaId(1)], Millis(rtt), NOW)
        waits.append(want.due - NOW)

    assert max(waits[:QUICK_ATTEMPTS]) <= HEDGE
    assert waits[QUICK_ATTEMPTS] > rtt
    assert waits[QUICK_ATTEMPTS:] == sorted(waits[QUICK_ATTEMPTS:])
    assert max(waits) <= max(BACK_OFF_MAX, rtt + rtt // 4 + 3)


def test_holders_are_bounded() -> None:
    """More of them would not help."""
    want = Want(TREE, NOW)
    for number in range(100):
        want.held_by(ReplicaId(number))
        want.asked_by(ReplicaId(number))

    assert len(want.holders) == len(want.askers) == HOLDERS_MAX


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ahpt"), st.integers(1, 6), st.integers(0, 50)),
        max_size=40,
    )
)
def test_what_is_due_is_what_a_naive_list_says(
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever is added, hastened, dropped and taken, in whatever order."""
    wanted, naive = Wanted(), dict[int, int]()
    for kind, seq, time in steps:
        due = Millis(NOW + time)
        if kind == "a" and seq not in naive:
            assert wanted.add(name(1, seq), TREE, due) is not None
            naive[seq] = due
        elif kind == "h" and seq in naive:
            wanted.hasten(name(1, seq), due)
            naive[seq] = min(naive[seq], due)
        elif kind == "p":
            wanted.pop(name(1, seq))
            naive.pop(seq, None)
        elif kind == "t":
            found = wanted.take_due(due)
            assert sorted(n.first for n in found) == sorted(
                s for s, d in naive.items() if d <= due
            )
            for taken in found:
                wanted.pop(taken)
                del naive[taken.first]

        assert wanted.due == min(naive.values(), default=None)
        assert len(wanted) == len(naive)
