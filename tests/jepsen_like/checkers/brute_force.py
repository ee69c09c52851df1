"""Linearizability by trying every order, for histories of a dozen operations."""

from collections.abc import Callable, Hashable, Iterable, Sequence

from jepsen_like.history.operation import Operation, Outcome

Step = Callable[[Hashable, Operation], Iterable[Hashable]]
"""Returns the states after an operation had that result; none if it cannot have."""


def linearizable(
    operations: Sequence[Operation], initial: Hashable, step: Step
) -> bool:
    """Tell whether the operations of one object have an order that explains them."""
    happened = [each for each in operations if each.outcome is not Outcome.FAIL]
    due = frozenset(
        place for place, each in enumerate(happened) if each.outcome is Outcome.OK
    )
    seen: set[tuple[frozenset[int], Hashable]] = set()
    waiting: list[tuple[frozenset[int], Hashable]] = [(frozenset(), initial)]
    while waiting:
        done, state = waiting.pop()
        if due <= done:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        horizon = min(happened[place].returned for place in due - done)
        for place, each in enumerate(happened):
            if place not in done and each.called <= horizon:
                waiting += [(done | {place}, after) for after in step(state, each)]
    return False
