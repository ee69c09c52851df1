"""
The definitions themselves: try every order, and every choice of crashed writers.

Exponential, so for a handful of transactions only; nothing is shared with the
checkers but the form of histories.
"""

from collections.abc import Callable

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from tests.jepsen_like.checkers.elle.stores import State, Step, applied

Before = Callable[[Operation, Operation], bool]


def at_will(_first: Operation, _second: Operation) -> bool:
    """Constrain nothing: serializability."""
    return False


def by_client(first: Operation, second: Operation) -> bool:
    """Keep each client's order: strong session serializability."""
    return first.process == second.process and first.called < second.called


def in_real_time(first: Operation, second: Operation) -> bool:
    """Keep real time: strict serializability."""
    return first.outcome is Outcome.OK and first.returned < second.called


def steps_of(operation: Operation) -> tuple[Step, ...]:
    """Return the micro-operations; with results if there are any."""
    steps = operation.argument if operation.result is None else operation.result
    assert isinstance(steps, tuple)
    return steps  # type: ignore[return-value]  # histories here hold only triples


def _explains(state: State, operation: Operation) -> State | None:
    """Return the state after *operation*, or None if it did not read *state*."""
    after = dict(state)
    for step in steps_of(operation):
        got = applied(after, step)
        if operation.outcome is Outcome.OK and (got[2] or None) != (step[2] or None):
            return None
    return after


def serial_order_exists(history: History, before: Before) -> bool:
    """Return whether some order that keeps *before* explains all answered reads."""
    live = [each for each in history.operations if each.outcome is not Outcome.FAIL]

    def search(state: State, left: list[Operation]) -> bool:
        if all(each.outcome is Outcome.INFO for each in left):
            return True
        for operation in left:
            rest = [each for each in left if each is not operation]
            if any(
                each.outcome is Outcome.OK and before(each, operation) for each in rest
            ):
                continue
            after = _explains(state, operation)
            if after is not None and search(after, rest):
                return True
        return False

    return search({}, live)


def snapshots_exist(history: History) -> bool:
    """
    Return whether instants of beginning and commit explain the answered reads.

    Generalized snapshot isolation: any instants will do, in any order, if reads see
    the state at the beginning and of two writers of one key that overlap only one
    commits.  There must be no crashed transactions.
    """
    live = [each for each in history.operations if each.outcome is Outcome.OK]

    def search(
        state: State,
        waiting: list[Operation],
        begun: list[tuple[Operation, frozenset[Value]]],
    ) -> bool:
        if not waiting and not begun:
            return True
        for place, (operation, changed) in enumerate(begun):
            wrote = {key for f, key, _ in steps_of(operation) if f != "r"}
            if wrote & changed:
                continue
            after = dict(state)
            for step in steps_of(operation):
                applied(after, step)
            others = [
                (each, seen | wrote)
                for at, (each, seen) in enumerate(begun)
                if at != place
            ]
            if search(after, waiting, others):
                return True
        for operation in waiting:
            if _explains(state, operation) is None:
                continue
            rest = [each for each in waiting if each is not operation]
            if search(state, rest, [*begun, (operation, frozenset())]):
                return True
        return False

    return search({}, live, [])
