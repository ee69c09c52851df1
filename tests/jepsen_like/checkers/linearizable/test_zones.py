"""Zones: what contradicts itself, what does not, and what zones leave to others."""

import pytest

from jepsen_like.checkers.linearizable.contradiction import Contradiction
from jepsen_like.checkers.linearizable.zones import NotDecided, judge_by_zones
from jepsen_like.history import FOREVER, Operation, Outcome, Value
from jepsen_like.models import model_named


def did(
    f: str, argument: Value, result: Value, span: tuple[int, int], process: int = 0
) -> Operation:
    """Return an operation that was answered."""
    called, returned = span
    return Operation(process, f, None, argument, result, called, returned, Outcome.OK)


def wrote(value: int, *span: int) -> Operation:
    """Return a write, which never returned if no end is given."""
    if len(span) == 1:
        return Operation(9, "write", None, value, None, span[0], FOREVER, Outcome.INFO)
    return did("write", value, None, (span[0], span[1]), 1)


def read(value: int, *span: int) -> Operation:
    """Return a read."""
    return did("read", None, value, (span[0], span[1]), 2)


def swapped(expected: int, new: int, *span: int) -> Operation:
    """Return a compare-and-set that succeeded, or was never answered."""
    pair = (expected, new)
    if len(span) == 1:
        return Operation(9, "cas", None, pair, None, span[0], FOREVER, Outcome.INFO)
    return did("cas", pair, True, (span[0], span[1]), 3)  # noqa: FBT003 - an answer


def refused(expected: int, *span: int) -> Operation:
    """Return a compare-and-set that found another value."""
    return did("cas", (expected, 99), False, (span[0], span[1]), 4)  # noqa: FBT003 - an answer


def judged(*operations: Operation) -> Contradiction | NotDecided | None:
    """Judge a register that holds 0 in the beginning."""
    ordered = sorted(operations, key=lambda operation: operation.called)
    return judge_by_zones(ordered, model_named("cas-register").action, 0)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [read(0, 1, 2), wrote(1, 3, 4), read(1, 5, 6)],
        [
            wrote(1, 1, 4),
            read(0, 2, 6),
            read(1, 3, 5),
        ],  # the read of 0 took effect first
        [wrote(1, 1, 9), wrote(2, 2, 8), read(2, 3, 4), read(1, 5, 6)],
        [wrote(1, 1), read(0, 2, 3), read(1, 8, 9)],  # a lost write comes late
        [wrote(1, 1), read(0, 2, 3)],  # or never
        [swapped(0, 1, 1, 2), swapped(1, 2, 3, 4), read(2, 5, 6)],
        [swapped(0, 1, 1), swapped(1, 2, 3, 4)],  # what was built upon has happened
        [swapped(7, 8, 1), read(0, 2, 3)],  # what cannot have happened has not
        [wrote(1, 1, 2), refused(0, 3, 4), refused(2, 5, 6)],
        [wrote(1, 1, 6), refused(0, 2, 3)],  # the write came before it returned
        [wrote(1, 1, 2), swapped(1, 1, 3, 4), read(1, 5, 6)],  # replaced by itself
        [wrote(7, 1, 2), wrote(7, 3, 4), wrote(1, 5, 6), read(1, 7, 8)],  # 7 unseen
    ],
)
def test_linearizable_registers_have_no_contradiction(
    operations: list[Operation],
) -> None:
    """Each case is explained by the comment beside it."""
    assert judged(*operations) is None


@pytest.mark.parametrize(
    ("operations", "at_fault"),
    [
        # Read what nobody wrote.
        ([read(5, 1, 2)], [0]),
        # Read before it was written.
        ([read(1, 1, 2), wrote(1, 3, 4)], [0, 1]),
        # Overwritten values do not come back.
        ([wrote(1, 1, 2), wrote(2, 3, 4), read(1, 5, 6)], [0, 1, 2]),
        ([wrote(1, 1, 2), read(0, 3, 4)], [0, 1]),
        # Two values cannot be there at once.
        (
            [
                wrote(1, 1, 20),
                wrote(2, 2, 21),
                *[read(1, 3, 4), read(2, 5, 6), read(1, 7, 8)],
            ],
            [0, 1, 2, 3, 4],
        ),
        # A value is replaced once.
        ([swapped(0, 1, 1, 2), swapped(0, 2, 3, 4)], [0, 1]),
        # Made from each other in a circle.
        ([swapped(1, 2, 1, 9), swapped(2, 1, 2, 9)], [0, 1]),
        # A chain does not agree with time.
        ([read(2, 1, 2), swapped(0, 1, 3, 9), swapped(1, 2, 4, 8)], [0, 2]),
        # Nothing comes between the links of a chain.
        (
            [
                swapped(0, 1, 1, 2),
                wrote(5, 3, 4),
                swapped(1, 2, 5, 6),
            ],
            [0, 1, 2],
        ),
        # A lost write that was seen has happened, after its call.
        ([read(1, 1, 2), wrote(1, 3)], [0, 1]),
        # And so has what it was made from, which nobody wrote.
        ([swapped(7, 8, 1), read(8, 2, 3)], [0, 1]),
    ],
)
def test_contradictions_are_found_with_the_operations_at_fault(
    operations: list[Operation], at_fault: list[int]
) -> None:
    """No others are named, and the explanation names one of their processes."""
    good = [wrote(50, 30, 31), read(50, 32, 33), wrote(51, 34, 35)]

    found = judged(*operations, *good)

    assert isinstance(found, Contradiction)
    assert list(found.positions) == at_fault
    assert found.explanation.endswith(".")


@pytest.mark.parametrize(
    "operations",
    [
        [wrote(1, 1, 2), wrote(2, 3, 4), wrote(1, 5, 6), read(1, 7, 8)],
        [wrote(1, 1, 2), wrote(0, 3, 4), read(0, 5, 6)],  # as in the beginning
        [wrote(1, 1, 2), wrote(1, 3), read(1, 4, 5)],  # lost ones count
        [wrote(1, 1, 2), wrote(1, 3, 4), refused(1, 5, 6)],
        [wrote(1, 1, 2), refused(1, 3, 4)],  # no room: it is for the search to say
    ],
)
def test_what_zones_cannot_tell_is_left_to_the_search(
    operations: list[Operation],
) -> None:
    """They answer only where they are exact."""
    assert isinstance(judged(*operations), NotDecided)


def test_other_operations_are_left_to_the_search() -> None:
    """An append is no write."""
    append = did("append", "x", None, (1, 2))
    put = did("put", "y", None, (3, 4))
    get = did("get", None, "y", (5, 6))
    action = model_named("key-value").action

    assert isinstance(judge_by_zones([append, put, get], action, ""), NotDecided)
    assert judge_by_zones([put, get], action, "") is None


def test_operations_that_meet_in_one_instant_are_concurrent() -> None:
    """The one that returned then does not precede the one that was called then."""
    assert judged(wrote(1, 1, 5), read(0, 5, 6)) is None
    assert judged(wrote(1, 1, 5), read(0, 6, 7)) is not None
