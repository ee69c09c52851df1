"""
The recorder: writes down calls and returns as they happen, on one clock.

Every record gets a time of its own: if the clock has not moved since the last
one, a nanosecond is added.  So the order of records is never lost, not even on
virtual time, where much happens at one instant: had an answer come before
another call, it stays before it.

Nothing here knows what operations mean.
"""

from collections.abc import Callable
from typing import Final

from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value

OPERATION_COUNT_MAX: Final = 2_000_000
"""Twice our largest benchmark; some 600 MB of records."""

FAULT_COUNT_MAX: Final = 100_000
"""A fault every 36 ms for an hour."""


class RecorderFullError(Exception):
    """As much was recorded as was allowed; what was recorded is still there."""


class Recorder:
    """
    Operations and faults of one run, in the order in which they are told.

    A call that has not returned when the history is taken is `INFO` in it.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        operation_count_max: int = OPERATION_COUNT_MAX,
        fault_count_max: int = FAULT_COUNT_MAX,
    ) -> None:
        """
        Begin with nothing.

        Args:
            clock: Nanoseconds, monotonic.
            operation_count_max: Calls beyond that many are refused.
            fault_count_max: Faults beyond that many are refused.
        """
        self._clock = clock
        self._operation_count_max = operation_count_max
        self._fault_count_max = fault_count_max
        self._last = -1
        self._operations: list[Operation] = []
        self._pending: dict[int, int] = {}
        self._crashed: set[int] = set()
        self._faults: list[FaultSpan] = []
        self._lasting: set[int] = set()

    def __len__(self) -> int:
        """Return how many calls were recorded."""
        return len(self._operations)

    def invoked(
        self, process: int, node: str, f: str, key: Key, argument: Value
    ) -> int:
        """
        Record that *process* asks *node* for something; return a token.

        Raises:
            RecorderFullError: There is no room for more.
        """
        assert process not in self._pending, "a process does one operation at a time"
        assert process not in self._crashed, "no process goes on after an INFO"
        if len(self._operations) >= self._operation_count_max:
            msg = (
                f"{self._operation_count_max} operations recorded, no more allowed:"
                " make the run shorter or raise operation_count_max"
            )
            raise RecorderFullError(msg)
        token = len(self._operations)
        self._pending[process] = token
        self._operations.append(
            Operation(
                process,
                f,
                key,
                argument,
                None,
                self._now(),
                FOREVER,
                Outcome.INFO,
                node,
            )
        )
        return token

    def returned(
        self,
        token: int,
        outcome: Outcome,
        result: Value = None,
        version: str = "",
        error: str = "",
    ) -> None:
        """Record how the call of *token* ended, once."""
        operation = self._operations[token]
        assert self._pending.get(operation.process) == token, "a call returns once"
        del self._pending[operation.process]
        now = self._now()
        if outcome is Outcome.INFO:
            self._crashed.add(operation.process)
            now = FOREVER
        self._operations[token] = operation._replace(
            result=result,
            returned=now,
            outcome=outcome,
            version=version,
            error=error,
        )

    def fault_began(
        self, kind: str, nodes: tuple[str, ...] = (), detail: str = ""
    ) -> int:
        """
        Record that a fault is there now; return a token.

        Raises:
            RecorderFullError: There is no room for more.
        """
        if len(self._faults) >= self._fault_count_max:
            msg = (
                f"{self._fault_count_max} faults recorded, no more allowed:"
                " make the run shorter or raise fault_count_max"
            )
            raise RecorderFullError(msg)
        token, now = len(self._faults), self._now()
        self._faults.append(FaultSpan(kind, now, now, nodes, detail))
        self._lasting.add(token)
        return token

    def fault_ended(self, token: int) -> None:
        """Record that the fault of *token* is gone, once."""
        assert token in self._lasting, "a fault ends once"
        self._lasting.remove(token)
        self._faults[token] = _until(self._faults[token], self._now())

    def history(self, header: Header) -> History:
        """
        Return what was recorded so far; faults still there end now.

        Recording may go on: what comes later is in the next history taken.
        """
        now = self._now()
        faults = [
            _until(fault, now) if token in self._lasting else fault
            for token, fault in enumerate(self._faults)
        ]
        return History(tuple(self._operations), tuple(faults), header)

    def _now(self) -> int:
        self._last = max(self._last + 1, self._clock())
        return self._last


def _until(fault: FaultSpan, ended: int) -> FaultSpan:
    return FaultSpan(fault.kind, fault.began, ended, fault.nodes, fault.detail)
