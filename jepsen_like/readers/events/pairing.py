"""
Calls and returns to operations.

Jepsen writes a line when a process calls (`:invoke`) and another when it knows
more: `:ok`, `:fail` or `:info`.  The order of the lines is the order of time, also
where their times are equal, too coarse, or missing; so each event gets a time of
its own, later than the one before.

What is told badly is taken in the way that accuses nobody wrongly:

    a call without return       may take effect for ever (INFO)
    a process that goes on      has a new number from there: what it was before
    after INFO                  may still act
    a return without a call     was called right after the last that its process
                                had told, which is the earliest it can have been

Reference:
    Kingsbury, 2013-.  Jepsen: histories of invoke, ok, fail and info.
"""

from typing import NamedTuple

from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value


class PairingError(ValueError):
    """Calls and returns do not fit together; the message says where."""


class Event(NamedTuple):
    """
    One line of a history that is told in events.

    Attributes:
        outcome: None if it is a call.
        process: By any name.
        f: What is asked.
        value: With what, or what came back.
        time: In ns; None if it is not told.
        key: Of what, if it is told apart from the value.
        node: Which node answered, if known.
        error: What went wrong.
    """

    outcome: Outcome | None
    process: Value
    f: str
    value: Value
    time: int | None = None
    key: Key = None
    node: str = ""
    error: str = ""


class _Call(NamedTuple):
    event: Event
    process: int
    called: int


class Pairing:
    """The events told so far, as operations whose values are as they were told."""

    def __init__(self) -> None:
        """Begin with none."""
        self._now = -1
        self._events_timed = True
        self._pending: dict[Value, _Call] = {}
        self._numbers: dict[Value, int] = {}
        self._lowest = 0
        self._last_told: dict[Value, int] = {}
        self._operations: list[Operation] = []

    @property
    def timed(self) -> bool:
        """Whether there were events, and all of them had times."""
        return self._now >= 0 and self._events_timed

    def tick(self, time: int | None) -> int:
        """Return the time of the next event, told as *time* if at all."""
        self._now += 1
        if time is None:
            self._events_timed = False
        else:
            self._now = max(self._now, time)
        return self._now

    def add(self, event: Event) -> None:
        """
        Take the next event.

        Raises:
            PairingError: It returns from another operation than its process called.
        """
        now = self.tick(event.time)
        told_before = self._last_told.get(event.process, 0)
        self._last_told[event.process] = now
        call = self._pending.pop(event.process, None)
        if event.outcome is None:
            if call is not None:
                self._end(call, None)
            number = self._number(event.process)
            self._pending[event.process] = _Call(event, number, now)
        elif call is not None:
            asked, answered = call.event.f, event.f
            if asked and answered and asked != answered:
                msg = f"process {event.process} called {asked}, not {answered}"
                raise PairingError(msg)
            self._end(call, event, now)
        elif event.outcome is not Outcome.INFO:
            silent = event._replace(value=None, error="")
            call = _Call(silent, self._number(event.process), told_before)
            self._end(call, event, now)

    def operations(self) -> list[Operation]:
        """Return all operations, those that have not returned as INFO."""
        for call in self._pending.values():
            self._end(call, None)
        self._pending.clear()
        return self._operations

    def _end(self, call: _Call, end: Event | None, now: int = FOREVER) -> None:
        called = call.event
        outcome = end.outcome if end is not None and end.outcome else Outcome.INFO
        if outcome is Outcome.INFO:
            now = FOREVER
            self._lowest -= 1
            self._numbers[called.process] = self._lowest
        self._operations.append(
            Operation(
                call.process,
                called.f or (end.f if end else ""),
                called.key,
                called.value,
                end.value if end else None,
                call.called,
                now,
                outcome,
                (end.node if end else "") or called.node,
                "",
                end.error if end else "",
            )
        )

    def _number(self, process: Value) -> int:
        """Return the number of *process*, its own name if that is one."""
        number = self._numbers.get(process)
        if number is None:
            if type(process) is int and process >= 0:
                number = process
            else:
                self._lowest -= 1
                number = self._lowest
            self._numbers[process] = number
        return number
