"""
Transactions told without times: sessions, each with its transactions in order.

Such histories know no real time.  The times here are positions in the file: they
order the transactions of one session and mean nothing between two.
"""

from typing import Final, TypeAlias

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.readers.events.meaning import TRANSACTION

MODEL: Final = "transactions"

_Micro: TypeAlias = tuple[str, Key, Value]


class Transactions:
    """The transactions told so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._told: dict[tuple[int, int], list[_Micro]] = {}
        self._aborted: list[tuple[int, _Micro]] = []

    def add(self, session: int, number: int, f: str, key: Key, value: Value) -> None:
        """Tell that transaction *number* of *session* went on with "r" or "w"."""
        self._told.setdefault((session, number), []).append((f, key, value))

    def add_aborted(self, session: int, f: str, key: Key, value: Value) -> None:
        """Tell what some transaction of *session* did that did not commit."""
        self._aborted.append((session, (f, key, value)))

    def history(self, model: str, initial: Value) -> History:
        """Return all, each transaction as one operation of its session."""
        operations = [
            _operation(session, done, position, Outcome.OK)
            for position, ((session, _), done) in enumerate(self._told.items())
        ]
        for session, micro in self._aborted:
            position = len(operations)
            operations.append(_operation(session, [micro], position, Outcome.FAIL))
        header = Header(model=model or MODEL, timed=False, initial=initial)
        return History.of(operations, header=header)


def _operation(
    session: int,
    micro: list[_Micro],
    position: int,
    outcome: Outcome,
) -> Operation:
    asked = tuple((f, key, None if f == "r" else value) for f, key, value in micro)
    answered = tuple(micro) if outcome is Outcome.OK else None
    return Operation(
        session,
        TRANSACTION,
        None,
        asked,
        answered,
        2 * position,
        2 * position + 1,
        outcome,
    )
