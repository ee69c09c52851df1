"""
What became of planned faults, and how long each lasted.

The nemesis notes what it did and when; from these notes follow the spans that a
history carries.  A fault of several nodes lasts until the last of them is well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jepsen_like.history.history import FaultSpan
from jepsen_like.nemesis.conditions import (
    Condition,
    begun_by,
    detail,
    ended_by,
    is_ending,
    kind,
    nodes_met,
)
from jepsen_like.plan import Strike


@dataclass(frozen=True, slots=True)
class Struck:
    """
    What became of a planned fault.

    Attributes:
        strike: What was planned.
        began: When the system was asked for it, in ns of the history.
        done: When it was there, or was refused.
        error: Why it never came to be; empty if it did.
    """

    strike: Strike
    began: int
    done: int
    error: str = ""

    @property
    def came(self) -> bool:
        """Whether the fault came to be."""
        return not self.error


def fault_spans(struck: Sequence[Struck], ended: int) -> tuple[FaultSpan, ...]:
    """
    Return how long each fault lasted, in order of their beginnings.

    Args:
        struck: What was done, in order.
        ended: When all faults that nothing had ended were ended, in ns.
    """
    lasting: list[_Lasting] = []
    for each in struck:
        if not each.came:
            continue
        fault = each.strike.fault
        for span in lasting:
            span.end(ended_by(fault), each.done)
        if not is_ending(fault):
            lasting.append(_Lasting(each))
    return tuple(span.finished(ended) for span in lasting)


class _Lasting:
    """A fault of which something may still be wrong."""

    def __init__(self, struck: Struck) -> None:
        self._struck = struck
        self._wrong: tuple[Condition, ...] = begun_by(struck.strike.fault)
        self._ended = None if self._wrong else struck.done

    def end(self, made_right: tuple[Condition, ...], at: int) -> None:
        """Note what was made right, *at* a time in ns."""
        if self._ended is None:
            self._wrong = tuple(each for each in self._wrong if each not in made_right)
            self._ended = None if self._wrong else at

    def finished(self, ended: int) -> FaultSpan:
        """Return the span; what still lasts ends *ended*."""
        fault, began = self._struck.strike.fault, self._struck.began
        return FaultSpan(
            kind(fault),
            began,
            max(began, ended if self._ended is None else self._ended),
            nodes_met(fault),
            detail(fault),
        )
