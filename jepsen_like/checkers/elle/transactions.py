"""
Transactions: lists of reads and writes that should have happened at one instant.

An operation of a transactional history carries micro-operations (f, key, value).
What was asked is its argument, what came back its result; a read says in the
result what it saw.  A crashed transaction (INFO) has often no result: then what it
wrote is known from its argument, and what it read is not known at all.

Reference:
    Kingsbury & Alvaro, 2020.  Elle: Inferring Isolation Anomalies from
        Experimental Observations.  Section 4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value

MicroOperation: TypeAlias = tuple[str, Value, Value]
"""(`append` | `w` | `r`, key, value)."""

READ = "r"
APPEND = "append"
WRITE = "w"

LIST_APPEND: Mapping[str, str] = {APPEND: APPEND, READ: READ, "read": READ}
"""Names of micro-operations on lists, and what they mean."""

RW_REGISTER: Mapping[str, str] = {
    WRITE: WRITE,
    "write": WRITE,
    READ: READ,
    "read": READ,
}
"""Names of micro-operations on registers, and what they mean."""

_MICRO_OPERATION_SIZE = 3


class UnusableHistoryError(Exception):
    """The history breaks what the checker must assume; nothing can be said of it."""


@dataclass(eq=False, slots=True)
class Transaction:
    """
    One transaction of a history.

    Attributes:
        number: Its node in the dependency graph; in order of the calls.
        operation: Where it comes from.
        steps: What it did; reads only if what they saw is known.
        committed: It is known to have happened: it said so, or what it wrote was
            seen.  Set by the checkers for those that crashed.
    """

    number: int
    operation: Operation
    steps: tuple[MicroOperation, ...]
    committed: bool

    @property
    def ok(self) -> bool:
        """Whether the client was told that it committed."""
        return self.operation.outcome is Outcome.OK

    @property
    def aborted(self) -> bool:
        """Whether the client was told that it did not happen."""
        return self.operation.outcome is Outcome.FAIL

    def external_reads(self) -> dict[Value, Value]:
        """Return what it saw of others: its first read of each key not touched."""
        touched: set[Value] = set()
        reads: dict[Value, Value] = {}
        for f, key, value in self.steps:
            if f == READ and key not in touched:
                reads[key] = value
            touched.add(key)
        return reads

    def external_writes(self) -> dict[Value, Value]:
        """Return what it left to others: its last write of each key."""
        return {key: value for f, key, value in self.steps if f != READ}

    def intermediate_writes(self) -> Iterator[tuple[Value, Value]]:
        """Yield each key and value that it overwrote by itself later."""
        final: dict[Value, Value] = {}
        for f, key, value in self.steps:
            if f != READ:
                if key in final:
                    yield key, final[key]
                final[key] = value


def transactions_of(history: History, names: Mapping[str, str]) -> list[Transaction]:
    """
    Return the transactions of *history*, in order of their calls.

    Operations that have no micro-operations and are not called `txn`, as those of
    a nemesis, are left out.

    Args:
        history: Any.
        names: `LIST_APPEND` or `RW_REGISTER`.

    Raises:
        ValueError: An operation called `txn` is not a list of micro-operations, or
            a micro-operation is none of *names*.
    """
    transactions: list[Transaction] = []
    for operation in history.operations:
        if not _is_transactional(operation):
            continue
        transactions.append(
            Transaction(
                len(transactions),
                operation,
                _steps(operation, names),
                operation.outcome is Outcome.OK,
            )
        )
    return transactions


def _is_transactional(operation: Operation) -> bool:
    if operation.f == "txn":
        return True
    said = operation.argument if operation.result is None else operation.result
    return isinstance(said, tuple) and any(isinstance(step, tuple) for step in said)


def _steps(
    operation: Operation, names: Mapping[str, str]
) -> tuple[MicroOperation, ...]:
    known = operation.result is not None
    said = operation.result if known else operation.argument
    if said is None:
        return ()
    if not isinstance(said, tuple):
        msg = f"transaction {operation!r} is no list of micro-operations: {said!r}"
        raise ValueError(msg)  # noqa: TRY004 - the history is wrong, not the program
    ok = operation.outcome is Outcome.OK
    steps: list[MicroOperation] = []
    for step in said:
        if (
            not isinstance(step, tuple)
            or len(step) != _MICRO_OPERATION_SIZE
            or not isinstance(step[0], str)
            or step[0] not in names
        ):
            choice = ", ".join(sorted(names))
            msg = f"{step!r} of {operation!r} is not ({choice}; key; value)"
            raise ValueError(msg)
        f = names[step[0]]
        # Only an answered read says by nil that there was nothing; a crashed one
        # repeats what was asked.
        if f != READ or (known and (ok or step[2] is not None)):
            steps.append((f, step[1], step[2]))
    return tuple(steps)
