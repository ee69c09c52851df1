"""
Transactions of reads and writes, and which write each read is of.

A history becomes *transactions*, each with its external reads in program order and
the last value that it writes to each key.  Two relations hold between them:

    so  session order: one process ran the one, was answered, and then ran the other
    wr  the one wrote, last of all it wrote to that key, what the other read

Written values are told apart by the values themselves, so wr is known wherever no
two transactions end with the same value of a key.  Where several do, the read is
*open*, and whoever asks for `with_sources` decides it.

What a history need not tell:

- A transaction that ended `FAIL` wrote nothing, and what it read binds nobody.
- One that ended `INFO` wrote if somebody read from it.  It follows its session but
  nothing follows it, because nobody was told that it is done; so including it
  when nobody read from it would change no verdict.
- The initial transaction writes `Header.initial` to all keys, before all others.

Values are compared as Python does: 1, 1.0 and True are one value.

References:
    Biswas & Enea, 2019.  On the complexity of checking transactional consistency.
    Møldrup & Pavlogiannis, 2025.  AWDIT: an optimal weak database isolation tester.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value

INITIAL = -1
"""The number of the transaction that wrote what was there at the beginning."""

OPEN = -2
"""The source of a read that several transactions may have written."""

NOBODY = -1
"""The predecessor of what is first in its session."""

CellValue: TypeAlias = tuple[Key, Value]


class UnsuitableHistoryError(ValueError):
    """The history has operations that are no reads and writes of single values."""


class MicroOperation(NamedTuple):
    """One step of a transaction: *write* says whether it writes."""

    write: bool
    key: Key
    value: Value


class Read(NamedTuple):
    """
    A read of what another transaction wrote.

    Attributes:
        place: Its index among the micro-operations of its transaction.
        key: Of what.
        value: What it returned.
        source: The number of the transaction that wrote it, INITIAL or OPEN.
    """

    place: int
    key: Key
    value: Value
    source: int


class Choice(NamedTuple):
    """An open read, by transaction and index in its reads, and whose it may be."""

    reader: int
    place: int
    candidates: tuple[int, ...]


@dataclass(slots=True)
class Transactions:
    """
    A history as transactions, numbered from 0 in order of their calls.

    Attributes:
        operations: The operation that each was.
        session: Whose it is, numbered from 0.
        position: Which of its session's, from 0.
        predecessor: The transaction before it in session order, or NOBODY.
        reads: External reads, in program order.
        writes: The last value it writes to each key.
        members: The transactions of each session in order.
        followers: Which transactions come next in session order.
        labels: How people are told of each.
        micro_operations: How many there were in all.
    """

    operations: list[Operation] = field(default_factory=list)
    session: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    predecessor: list[int] = field(default_factory=list)
    reads: list[list[Read]] = field(default_factory=list)
    writes: list[dict[Key, Value]] = field(default_factory=list)
    members: list[list[int]] = field(default_factory=list)
    followers: list[list[int]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    micro_operations: int = 0

    def __len__(self) -> int:
        return len(self.operations)

    def sources(self, number: int) -> list[int]:
        """Return whom transaction *number* read from, each once, INITIAL left out."""
        reads = self.reads[number]
        if len(reads) == 1:
            source = reads[0].source
            return [source] if source >= 0 else []
        return list(dict.fromkeys(r.source for r in reads if r.source >= 0))

    def with_sources(self, chosen: Mapping[tuple[int, int], int]) -> "Transactions":
        """Return these with open reads decided: (reader, index) to a source."""
        reads = list(self.reads)
        for (reader, index), source in chosen.items():
            if reads[reader] is self.reads[reader]:
                reads[reader] = list(reads[reader])
            reads[reader][index] = reads[reader][index]._replace(source=source)
        return Transactions(
            self.operations,
            self.session,
            self.position,
            self.predecessor,
            reads,
            self.writes,
            self.members,
            self.followers,
            self.labels,
            self.micro_operations,
        )


def micro_operations(
    operation: Operation, place: int, initial: Value
) -> Sequence[MicroOperation]:
    """
    Return the steps of *operation*, the one at *place* of its history.

    Of an operation that is not `OK` only the writes: what it read, nobody was told.

    Raises:
        UnsuitableHistoryError: It is no read, write, delete or transaction of reads
            and writes.
    """
    if operation.f == "txn":
        steps = _transaction_steps(operation, place)
    elif operation.f == "read":
        steps = [MicroOperation(write=False, key=operation.key, value=operation.result)]
    elif operation.f == "write":
        value = operation.argument
        steps = [MicroOperation(write=True, key=operation.key, value=value)]
    elif operation.f == "delete":
        steps = [MicroOperation(write=True, key=operation.key, value=initial)]
    else:
        msg = (
            f"operation {place} is {operation.f!r}; isolation levels are judged of"
            " read, write, delete, and txn of 'r' and 'w'"
        )
        raise UnsuitableHistoryError(msg)
    if operation.outcome is Outcome.OK:
        return steps
    return [step for step in steps if step.write]


def _transaction_steps(operation: Operation, place: int) -> list[MicroOperation]:
    known = operation.result if operation.outcome is Outcome.OK else operation.argument
    raw = known if isinstance(known, tuple) else operation.argument
    if not isinstance(raw, tuple):
        msg = f"operation {place} is a txn without a tuple of micro-operations"
        raise UnsuitableHistoryError(msg)
    steps = []
    for micro in raw:
        match micro:
            case ("r" | "w" as f, None | str() | int() as key, value):
                steps.append(MicroOperation(f == "w", key, value))
            case _:
                msg = (
                    f"operation {place} has the micro-operation {micro!r};"
                    " ('r', key, value) and ('w', key, value) are judged"
                )
                raise UnsuitableHistoryError(msg)
    return steps


class Unlinked(NamedTuple):
    """
    Transactions whose reads have no sources yet.

    Attributes:
        operation: What it was.
        place: Its index in the history.
        steps: What it did.
    """

    operation: Operation
    place: int
    steps: Sequence[MicroOperation]


def unlinked(history: History) -> list[Unlinked]:
    """
    Return what *history* did, transaction by transaction, in order of their calls.

    Raises:
        UnsuitableHistoryError: An operation is no read, write or transaction.
    """
    initial = history.header.initial
    found = []
    for place, operation in enumerate(history.operations):
        steps = micro_operations(operation, place, initial)
        if steps:
            found.append(Unlinked(operation, place, steps))
    return found


def lay_out(committed: Sequence[Unlinked]) -> Transactions:
    """
    Return *committed* with their sessions and writes, and no reads yet.

    An `INFO` transaction whose process goes on is a session of its own that follows
    what the process was told of.
    """
    result = Transactions()
    sessions: dict[int, int] = {}
    last: dict[int, int] = {}
    final_place = {one.operation.process: one.place for one in committed}
    for number, one in enumerate(committed):
        process = one.operation.process
        pending = one.operation.outcome is not Outcome.OK
        aside = pending and final_place[process] != one.place
        if aside or process not in sessions:
            session = len(result.members)
            result.members.append([])
        else:
            session = sessions[process]
        before = last.get(process, NOBODY)
        if before != NOBODY:
            result.followers[before].append(number)
        if not aside:
            sessions[process] = session
            last[process] = number
        result.operations.append(one.operation)
        result.session.append(session)
        result.position.append(len(result.members[session]))
        result.members[session].append(number)
        result.predecessor.append(before)
        result.followers.append([])
        result.reads.append([])
        result.writes.append({step.key: step.value for step in one.steps if step.write})
        result.labels.append(f"T{one.place}")
        result.micro_operations += len(one.steps)
    return result
