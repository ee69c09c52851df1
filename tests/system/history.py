"""
What one writer tried on one place, and what may be there in the end.

A place (a key, or a member of a set) has one writer, which tries one thing after
the other and notes how each ended.  Then the end state is checked exactly:

    acknowledged    happened: nothing older may be left
    failed          did not happen: it must not be left
    indeterminate   happened or not: it may be left, if it is the newest to happen

So what may be left are the states that were tried since the last acknowledged
one, that one included, and no failed one.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from kvnode import errors
from kvnode.errors import KvError

State = bytes | None
"""What is there; None: nothing, or deleted."""


class Ended(Enum):
    """How an attempt ended, as its caller knows."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


async def ending(attempt: Awaitable[object]) -> Ended:
    """Await *attempt* and return how it ended, by the error's own word."""
    try:
        await attempt
    except KvError as error:
        if error.outcome is errors.Outcome.FAILED:
            return Ended.FAILED
        return Ended.INDETERMINATE
    return Ended.ACKNOWLEDGED


class Attempt(NamedTuple):
    """Someone tried to make *state* be there."""

    state: State
    ended: Ended


@dataclass(slots=True)
class History:
    """The attempts of the only writer of one place, in order."""

    attempts: list[Attempt] = field(default_factory=list)

    def note(self, state: State, ended: Ended) -> None:
        """Add an attempt that has ended."""
        self.attempts.append(Attempt(state, ended))

    def count(self, ended: Ended) -> int:
        """Return how many attempts ended so."""
        return sum(attempt.ended is ended for attempt in self.attempts)

    def allowed(self) -> set[State]:
        """Return what may be there once all is quiet."""
        states: set[State] = {None}
        for state, ended in self.attempts:
            match ended:
                case Ended.ACKNOWLEDGED:
                    states = {state}
                case Ended.INDETERMINATE:
                    states.add(state)
                case Ended.FAILED:
                    pass
        return states


@dataclass(slots=True)
class Tally:
    """A sum that many writers add to; every amount is positive."""

    acknowledged: int = 0
    indeterminate: int = 0

    def note(self, amount: int, ended: Ended) -> None:
        """Add an increment that has ended."""
        assert amount > 0, "bounds need one direction"
        if ended is Ended.ACKNOWLEDGED:
            self.acknowledged += amount
        elif ended is Ended.INDETERMINATE:
            self.indeterminate += amount

    def allows(self, total: int) -> bool:
        """Tell whether *total* may be the sum once all is quiet."""
        return self.acknowledged <= total <= self.acknowledged + self.indeterminate
