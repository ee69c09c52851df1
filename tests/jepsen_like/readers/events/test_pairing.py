"""Calls and returns: order, pairs, and what is told badly."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import FOREVER, Operation, Outcome
from jepsen_like.readers.events.pairing import Event, Pairing, PairingError

_outcomes = st.none() | st.sampled_from(Outcome)
_events = st.builds(
    Event,
    outcome=_outcomes,
    process=st.sampled_from([0, 1, "a", None, -1]),
    f=st.just("read"),
    value=st.integers(0, 3),
    time=st.none() | st.integers(0, 20),
)


def _paired(*events: Event) -> list[Operation]:
    pairing = Pairing()
    for event in events:
        pairing.add(event)
    return pairing.operations()


def _call(process: int | str | None, time: int | None = None) -> Event:
    return Event(None, process, "write", 1, time)


def _ok(process: int | str | None, time: int | None = None) -> Event:
    return Event(Outcome.OK, process, "write", 1, time)


@given(events=st.lists(_events, max_size=30))
def test_operations_of_a_process_never_overlap(events: list[Event]) -> None:
    """Whatever is told: one at a time, and none after one that ended INFO."""
    by_process: dict[int, list[Operation]] = {}
    for operation in sorted(_paired(*events), key=lambda each: each.called):
        by_process.setdefault(operation.process, []).append(operation)

    for operations in by_process.values():
        for before, after in pairwise(operations):
            assert before.outcome is not Outcome.INFO
            assert before.returned <= after.called


@given(events=st.lists(_events, max_size=30))
def test_every_call_and_every_certain_return_is_an_operation(
    events: list[Event],
) -> None:
    """Nothing that may have changed the store is left out."""
    expected = 0
    calling: set[object] = set()
    for event in events:
        if event.outcome is None:
            expected += 1
            calling.add(event.process)
        elif event.process in calling:
            calling.remove(event.process)
        elif event.outcome is not Outcome.INFO:
            expected += 1

    assert len(_paired(*events)) == expected


def test_order_of_lines_is_the_order_of_time() -> None:
    """Times that are equal, or go back, do not make what came later concurrent."""
    first, second = _paired(_call(0, 5), _ok(0, 7), _call(1, 7), _ok(1, 3))

    assert first.returned < second.called < second.returned


def test_history_is_timed_only_if_all_lines_are() -> None:
    """One line without a time makes positions of all."""
    timed, mixed = Pairing(), Pairing()
    timed.add(_call(0, 5))
    mixed.add(_call(0, 5))
    mixed.add(_ok(0))

    assert (timed.timed, mixed.timed, Pairing().timed) == (True, False, False)


def test_process_that_goes_on_after_info_has_a_new_number() -> None:
    """The old one may still act."""
    info = Event(Outcome.INFO, 3, "write", None)

    first, second = _paired(_call(3), info, _call(3), _ok(3))

    assert (first.process, first.returned) == (3, FOREVER)
    assert second.process not in {first.process, 3}


def test_call_over_a_call_leaves_the_first_open() -> None:
    """Its return was lost, so nobody knows."""
    first, second = _paired(_call(3), _call(3), _ok(3))

    assert (first.outcome, second.outcome) == (Outcome.INFO, Outcome.OK)


def test_return_without_call_was_called_as_early_as_can_be() -> None:
    """Concurrent with all since its process was last heard of: it accuses nobody."""
    before, other, lonely = _paired(_call(0), _ok(0), _call(1), _ok(1), _ok(0))

    assert before.returned <= lonely.called < other.called < lonely.returned


def test_return_from_another_operation_is_refused() -> None:
    """Whatever was meant, it is not this."""
    with pytest.raises(PairingError, match="called write, not read"):
        _paired(_call(0), Event(Outcome.OK, 0, "read", 1))


def test_names_of_processes_become_numbers_below_zero() -> None:
    """They never meet the numbers that the file uses."""
    operations = _paired(_call("a"), _call(None), _call(0), _call(-1))

    numbers = {operation.process for operation in operations}
    assert len(numbers) == 4
    assert {number for number in numbers if number >= 0} == {0}
