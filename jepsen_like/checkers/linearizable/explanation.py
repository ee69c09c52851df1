"""Why no order of some operations explains them, in sentences."""

from collections.abc import Iterator, Sequence
from typing import Final

from jepsen_like.checkers.linearizable.bound_part import BoundPart
from jepsen_like.checkers.linearizable.contradiction import described, shown
from jepsen_like.checkers.linearizable.search import Dead
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.models.model import UNSEEN, Mark, State

OPERATIONS_TOLD: Final = 8
"""Who returned before whom is told of that many; of more, nobody follows it."""

STATES_TOLD: Final = 6
"""Possible states that are listed."""


def explanation_of(part: BoundPart, dead: Dead) -> str:
    """Return why the operations of *part* have no linearization: it ended as *dead*."""
    operations = part.operations
    culprit = operations[dead.position]
    sentences: list[str] = []
    if len(operations) <= OPERATIONS_TOLD:
        sentences.extend(_precedences(operations))
    others = "whatever order the others took effect in"
    if any(operation.outcome is Outcome.INFO for operation in operations):
        others += ", and whether or not those never answered did"
    sentences.append(
        f"{described(culprit)} cannot be explained: {others}, "
        f"{_possible(dead.states)} when it took effect."
    )
    return " ".join(sentences)


def _precedences(operations: Sequence[Operation]) -> Iterator[str]:
    """Yield who returned before whom was called, without what follows from others."""
    for one in operations:
        for other in operations:
            if one.returned < other.called and not any(
                one.returned < between.called and between.returned < other.called
                for between in operations
            ):
                yield (
                    f"{described(one)} returned before {described(other)} was called."
                )


def _possible(states: Sequence[State]) -> str:
    known = [state for state in states if state is not UNSEEN]
    texts = [_state_shown(state) for state in known[:STATES_TOLD]]
    if len(known) > STATES_TOLD:
        texts.append(f"one of {len(known) - STATES_TOLD} others")
    if len(known) < len(states):
        texts.append("something that none of them saw")
    return "there could only be " + " or ".join(texts)


def _state_shown(state: State) -> str:
    """Return a state as people write it: sets as sets, truth values as such."""
    if isinstance(state, Mark):
        return state.value
    if isinstance(state, frozenset):
        return "{" + ", ".join(sorted(map(_state_shown, state))) + "}"
    if isinstance(state, tuple):
        return "[" + ", ".join(map(_state_shown, state)) + "]"
    if state is None or isinstance(state, bool | int | float | str):
        return shown(state)
    return repr(state)
