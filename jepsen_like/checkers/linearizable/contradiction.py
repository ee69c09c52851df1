"""Operations that cannot all be true, and sentences that say why."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from jepsen_like.history.operation import Operation, Outcome, Value

SHOWN_LENGTH_MAX: Final = 120
"""Characters of a value in an explanation: longer ones nobody compares by eye."""


class Contradiction(NamedTuple):
    """
    What is wrong with a history.

    Attributes:
        positions: Of the operations, ascending.
        explanation: Why they cannot all be, in sentences.
    """

    positions: tuple[int, ...]
    explanation: str


class ContradictionError(Exception):
    """Raised where a contradiction is found, caught where the search for it began."""

    def __init__(self, positions: Iterable[int], explanation: str) -> None:
        super().__init__(explanation)
        self.found = Contradiction(tuple(sorted(set(positions))), explanation)


def shown(value: Value) -> str:
    """Return *value* as people write it, its end only if it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        text = "[" + " ".join(map(shown, value)) + "]"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else f"...{text[-SHOWN_LENGTH_MAX:]}"


def described(operation: Operation) -> str:
    """Return what *operation* did and saw, and who did it."""
    did = operation.f
    if operation.argument is not None:
        did += f" {shown(operation.argument)}"
    if operation.outcome is Outcome.INFO:
        did += " (never answered)"
    elif operation.result is not None or operation.argument is None:
        did += f" -> {shown(operation.result)}"
    return f"`{did}` of process {operation.process}"
