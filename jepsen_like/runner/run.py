"""What is known after a plan was run, and how much of it there may be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.nemesis.spans import Struck
from jepsen_like.plan import Plan

NOTES_MAX: Final = 1_000
"""Notes beyond are only counted: a system that fails always says the same."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How long parts of a run may take, in ms: whatever hangs, the run ends.

    Attributes:
        operation: An operation not answered by then counts as `INFO`.
        fault: A fault not there by then counts as one that never came to be.
        set_up: Starting the system; also ending all faults, and stopping.
        close: Closing a connection.
        overrun: Operations not begun so long after the last step's time are
            left out: a system that answers nothing must not hold a run for ever.
    """

    operation: int = 5_000
    fault: int = 60_000
    set_up: int = 120_000
    close: int = 5_000
    overrun: int = 60_000


class Progress(NamedTuple):
    """
    How far a run is.

    Attributes:
        phase: `setting up`, `running`, `settling` or `tearing down`.
        done: How many operations have ended.
        planned: Of how many.
        at_ms: The time of the run.
    """

    phase: str
    done: int
    planned: int
    at_ms: int


Watch = Callable[[Progress], None]


class Unsettled(NamedTuple):
    """
    Why a system had not come to rest in time.

    Attributes:
        reason: A sentence for people.
        operations: The finals that show it: not answered, or answered differently.
    """

    reason: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """
    A plan that was run.

    Attributes:
        history: What clients saw, with the finals of the last round, and how
            long faults lasted.
        struck: What became of each planned fault, in order.
        left_out: How many planned operations were never asked.
        unsettled: Why the system had not come to rest in the plan's time; None if
            it had.
        notes: What else people may want to know.
        errors: What went wrong with the harness or the adapter: with any of
            these a run proves nothing.
        violations: Promises that the system saw itself break, if it looks.
        elapsed_ms: How long it took, in the time of the run.
        is_real: It took place in real time, so that no other run is the same to the
            byte; what takes place in virtual time repeats itself.
        streams: Names of what a simulation drew its chance from, each of which
            `Plan.calm` may name; empty if nothing was simulated.
    """

    history: History
    struck: tuple[Struck, ...] = ()
    left_out: int = 0
    unsettled: Unsettled | None = None
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    elapsed_ms: int = 0
    streams: tuple[str, ...] = ()
    is_real: bool = False


RunPlan = Callable[[Plan], Run]
"""How a plan is run: in simulation, or on something real."""


class Notebook:
    """Notes and errors of a run, as many as may be."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._errors: list[str] = []
        self._left_out = 0

    def note(self, text: str) -> None:
        """Write down what people may want to know."""
        self._add(self._notes, text)

    def error(self, text: str) -> None:
        """Write down what makes the run prove nothing."""
        self._add(self._errors, text)

    @property
    def notes(self) -> tuple[str, ...]:
        """All notes, and how many found no room."""
        if not self._left_out:
            return tuple(self._notes)
        return (*self._notes, f"and {self._left_out} more notes like these")

    @property
    def errors(self) -> tuple[str, ...]:
        """All errors that found room; if there was any, there is one here."""
        return tuple(self._errors)

    def _add(self, texts: list[str], text: str) -> None:
        if len(texts) < NOTES_MAX:
            texts.append(text)
        else:
            self._left_out += 1


def described(error: BaseException) -> str:
    """Return what *error* says, with its class when that says more."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
