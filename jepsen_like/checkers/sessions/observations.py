"""
What sessions wrote and saw, and where each value came from.

A read is *placed* when it is known which write it returned.  That is told by, in this
order: the version that the store gave with both, the rank, the value.  A rank is the
place of a version in the order by which the store decides between writes of one key
(for last-writer-wins stores a timestamp); ranks of one key can be compared, and a
write has the rank that any placed read of it showed.

Reads that are not placed:

- *absent*: it returned nothing, and the key was deleted at some time.  The initial
  state or any delete may be why, so it does not count as having seen any of them.
  What it must not be older than must be possible to order before some delete; so
  it has a *ceiling*, the last delete of the key, if there is one delete only or all
  have ranks.  Otherwise it is not judged.
- *open*: its value was written more than once.
- *unwritten*: nothing that may have happened wrote its value, or only what the same
  session did later.  That no guarantee of sessions speaks of it does not make it
  right.

A write that is *lost* counts as one that may not have happened: nobody need be shown
it, whoever wrote or read it (jepsen_like.checkers.sessions.phases).

A value that was written and then expired by itself would look deleted; such histories
are not for these checkers.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, islice
from typing import NamedTuple, TypeAlias

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value

INITIAL = -1
"""The source of a read of what was there at the beginning."""

NO_PROCESS = -1
"""Whose a write is that the history does not have."""

Call: TypeAlias = tuple[int, int]
"""Who called, and when: a process does one thing at a time."""

OrderOf: TypeAlias = Callable[[Operation], int | None]
"""The rank of the version that an operation wrote or showed; None if it shows none."""

ValueOf: TypeAlias = Callable[[Operation], Value]
"""The value that a read returned; None if the key was absent."""


class UnsuitableHistoryError(ValueError):
    """The history has operations that are no reads, writes or deletes."""


class Placement(Enum):
    """What is known of the source of a read."""

    PLACED = "placed"
    ABSENT = "absent"
    OPEN = "open"
    UNWRITTEN = "unwritten"


@dataclass(slots=True)
class Write:
    """
    A write or delete that may have happened.

    Attributes:
        operation: It; for one that only a read tells of, that read.
        process: Whose, or NO_PROCESS.
        key: To what.
        value: What; None deletes.
        position: Its place among what its process did.
        acknowledged: Its process was told that it happened.
        rank: Where the store puts it; None if nothing shows that.
        lost: It may have gone with the store of the node that took it: nobody need be
            shown it any more.
    """

    operation: Operation
    process: int
    key: Key
    value: Value
    position: int
    acknowledged: bool
    rank: int | None
    lost: bool = False


class Event(NamedTuple):
    """
    What a process did.

    Attributes:
        operation: It.
        process: Who.
        position: Its place among what its process did.
        key: Of what.
        write: The number of the write that this is; None if it is a read.
        source: The number of the write that this read returned, or INITIAL; None
            if that is not known.
        ceiling: For absent reads the last delete of the key, if known.
        placement: What is known of the source; PLACED for writes.
    """

    operation: Operation
    process: int
    position: int
    key: Key
    write: int | None = None
    source: int | None = None
    ceiling: int | None = None
    placement: Placement = Placement.PLACED


@dataclass(slots=True)
class Observations:
    """
    A history as sessions see it.

    Attributes:
        events: In order of their calls.
        writes: All that may have happened, by number.
        sessions: The events of each process in order.
    """

    events: list[Event] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    sessions: dict[int, list[Event]] = field(default_factory=dict)

    def count(self, placement: Placement) -> int:
        """Return how many reads are placed so."""
        return sum(
            1 for e in self.events if e.write is None and e.placement is placement
        )

    def ranked(self) -> bool:
        """Return whether ranks say of all that matters which is later."""
        return all(
            self.writes[number].rank is not None
            for event in self.events
            for number in (event.write, event.source, event.ceiling)
            if number is not None
            and number != INITIAL
            and (event.write is None or self.writes[number].acknowledged)
        )


def observe(
    history: History,
    order_of: OrderOf | None,
    value_of: ValueOf,
    lost: Collection[Call] = (),
) -> Observations:
    """
    Return what the sessions of *history* wrote and saw.

    Args:
        history: Of reads, writes and deletes.
        order_of: Tells ranks, if the store shows any.
        value_of: Tells what a read returned.
        lost: Writes that need not be there any more.

    Raises:
        UnsuitableHistoryError: An operation is no read, write or delete.
    """
    found = _Observer(history, order_of or _no_rank, value_of).observe()
    for write in found.writes:
        write.lost = call_of(write.operation) in lost
    return found


def call_of(operation: Operation) -> Call:
    """Return what tells *operation* from all others of its history."""
    return operation.process, operation.called


def _no_rank(_: Operation) -> int | None:
    return None


class _Observer:
    """Collects writes first, then places reads."""

    def __init__(self, history: History, order_of: OrderOf, value_of: ValueOf) -> None:
        self._history = history
        self._order_of = order_of
        self._value_of = value_of
        self._found = Observations()
        self._by_version: dict[tuple[Key, str], list[int]] = {}
        self._by_rank: dict[tuple[Key, int], list[int]] = {}
        self._by_value: dict[tuple[Key, Value], list[int]] = {}
        self._places: dict[int, int] = {}

    def observe(self) -> Observations:
        """Return all that can be known."""
        found = self._found
        pending: list[Event] = []
        for place, operation in enumerate(self._history.operations):
            if operation.outcome is Outcome.FAIL:
                continue
            if operation.f in {"write", "delete"}:
                pending.append(self._event(operation, self._add_write(operation)))
            elif operation.f != "read":
                msg = (
                    f"operation {place} is {operation.f!r}; session guarantees are"
                    " judged of read, write and delete"
                )
                raise UnsuitableHistoryError(msg)
            elif operation.outcome is Outcome.OK:
                pending.append(self._event(operation, None))
        placed = [self._placed(event) for event in pending]
        ceilings = self._ceilings()
        for event in placed:
            whole = event
            if event.placement is Placement.ABSENT:
                whole = event._replace(ceiling=ceilings.get(event.key))
            found.events.append(whole)
            found.sessions.setdefault(event.process, []).append(whole)
        return found

    def _event(self, operation: Operation, write: int | None) -> Event:
        position = self._places.get(operation.process, 0)
        self._places[operation.process] = position + 1
        return Event(operation, operation.process, position, operation.key, write)

    def _add_write(self, operation: Operation) -> int:
        number = len(self._found.writes)
        rank = self._order_of(operation)
        key = operation.key
        value = operation.argument if operation.f == "write" else None
        self._found.writes.append(
            Write(
                operation,
                operation.process,
                key,
                value,
                self._places.get(operation.process, 0),
                operation.outcome is Outcome.OK,
                rank,
            )
        )
        if operation.version:
            self._by_version.setdefault((key, operation.version), []).append(number)
        if rank is not None:
            self._by_rank.setdefault((key, rank), []).append(number)
        self._by_value.setdefault((key, value), []).append(number)
        return number

    def _placed(self, event: Event) -> Event:
        """Return *event* with what is known of its source."""
        if event.write is not None:
            return event
        operation, key = event.operation, event.key
        value = self._value_of(operation)
        rank = self._order_of(operation)
        possible = self._two_sources(event, value)
        if not possible:
            return event._replace(placement=Placement.UNWRITTEN)
        told = self._by_version.get((key, operation.version), [])
        if len(told) != 1 and rank is not None:
            told = self._by_rank.get((key, rank), [])
        if len(told) != 1 and len(possible) == 1:
            told = possible
        if len(told) == 1 and (told[0] == INITIAL or self._agree(told[0], rank)):
            if self._is_later(event, told[0]):
                return event._replace(placement=Placement.UNWRITTEN)
            return event._replace(source=told[0])
        if rank is not None:
            return event._replace(source=self._unseen_write(event, value, rank))
        absent = value is None
        return event._replace(placement=Placement.ABSENT if absent else Placement.OPEN)

    def _two_sources(self, event: Event, value: Value) -> list[int]:
        """Return whose *value* may be, two at most: more make no difference."""
        writers = self._by_value.get((event.key, value), ())
        initial = (INITIAL,) if value == self._history.header.initial else ()
        written = (number for number in writers if not self._is_later(event, number))
        return list(islice(chain(initial, written), 2))

    def _is_later(self, event: Event, number: int) -> bool:
        """Return whether the session of *event* wrote this later."""
        if number == INITIAL:
            return False
        write = self._found.writes[number]
        return write.process == event.process and write.position > event.position

    def _agree(self, number: int, rank: int | None) -> bool:
        """Return whether a write can have *rank*, which it then has."""
        write = self._found.writes[number]
        if write.rank is None and rank is not None:
            write.rank = rank
            self._by_rank.setdefault((write.key, rank), []).append(number)
        return rank is None or write.rank == rank

    def _unseen_write(self, event: Event, value: Value, rank: int) -> int:
        """Return a write that is known only by the rank with which it was read."""
        number = len(self._found.writes)
        self._found.writes.append(
            Write(
                event.operation,
                NO_PROCESS,
                event.key,
                value,
                0,
                acknowledged=False,
                rank=rank,
            )
        )
        self._by_rank.setdefault((event.key, rank), []).append(number)
        return number

    def _ceilings(self) -> dict[Key, int]:
        """Return the last delete of each key for which it is known."""
        deletes: dict[Key, list[int]] = {}
        for (key, value), numbers in self._by_value.items():
            if value is None:
                deletes[key] = numbers
        ceilings = {}
        for key, numbers in deletes.items():
            ranks = [self._found.writes[number].rank for number in numbers]
            known = [rank for rank in ranks if rank is not None]
            if len(numbers) == 1:
                ceilings[key] = numbers[0]
            elif len(known) == len(numbers) and known.count(max(known)) == 1:
                ceilings[key] = numbers[known.index(max(known))]
        return ceilings
