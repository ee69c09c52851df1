"""
Explanations: a cycle told in sentences, so that a person can check it by hand.

    Let:
      T1 = append 255 8, r 253 (1 3 4)
      T2 = append 256 4, r 255 (2 3 4 5 8)
    Then:
      T1 < T2, because T2 saw T1's append of 8 to key 255.
      However, T2 < T1, because ...: a contradiction.

A dependency is explained anew from its two transactions when it is needed, so that
the graph need not carry reasons for its millions of edges.

Reference:
    Kingsbury & Alvaro, 2020.  Elle: Inferring Isolation Anomalies from
        Experimental Observations.  Figure 1 and section 6.
"""

from collections.abc import Sequence
from typing import Protocol

from jepsen_like.checkers.elle.anomalies import (
    EXAMPLES_MAX,
    Anomaly,
    Findings,
    forbidden_by,
)
from jepsen_like.checkers.elle.cycles import Cycle, CycleSearch
from jepsen_like.checkers.elle.deadline import Deadline
from jepsen_like.checkers.elle.graph import (
    PROCESS,
    REALTIME,
    Graph,
    link_processes,
    link_realtime,
)
from jepsen_like.checkers.elle.transactions import READ, Transaction
from jepsen_like.history.operation import Key, Outcome, Value

ELEMENTS_SHOWN_MAX = 16
"""Longer lists are shown by their ends."""

STEPS_SHOWN_MAX = 32
"""Longer transactions are shown by their beginning."""


class Named:
    """A transaction with the name that an explanation gives it."""

    __slots__ = ("name", "transaction")

    def __init__(self, name: str, transaction: Transaction) -> None:
        self.name = name
        self.transaction = transaction

    def __str__(self) -> str:
        return self.name


class Reasons(Protocol):
    """What a checker knows about the data that its transactions read and wrote."""

    def reason(self, kind: int, before: Named, after: Named) -> str:
        """Return why *before* comes before *after*; `WW`, `WR` or `RW` is *kind*."""
        ...


def value_shown(value: Value) -> str:
    """Return *value* for people: a list in parentheses, a long one by its ends."""
    if value is None:
        return "nil"
    if not isinstance(value, tuple):
        return str(value)
    if len(value) <= ELEMENTS_SHOWN_MAX:
        return f"({' '.join(map(value_shown, value))})"
    half = ELEMENTS_SHOWN_MAX // 2
    first, last = value[:half], value[-half:]
    return (
        f"({' '.join(map(value_shown, first))} ... "
        f"{' '.join(map(value_shown, last))}; {len(value)} elements)"
    )


def operation_key(key: Value) -> Key:
    """Return *key* as operations name keys; a composite one has no such name."""
    return key if isinstance(key, str | int) else None


def transaction_shown(transaction: Transaction) -> str:
    """Return what *transaction* did, for people."""
    parts = [
        f"{f} {value_shown(key)} {value_shown(value)}"
        for f, key, value in transaction.steps[:STEPS_SHOWN_MAX]
    ]
    if len(transaction.steps) > STEPS_SHOWN_MAX:
        parts.append(f"... {len(transaction.steps)} micro-operations")
    outcome = transaction.operation.outcome
    ending = "" if outcome is Outcome.OK else f" [{outcome.value}]"
    return f"{', '.join(parts)} (process {transaction.operation.process}){ending}"


def cycle_anomaly(
    name: str, cycle: Cycle, transactions: Sequence[Transaction], reasons: Reasons
) -> Anomaly:
    """Return the anomaly *name* that *cycle* is, explained edge by edge."""
    named = [
        Named(f"T{position}", transactions[node])
        for position, node in enumerate(cycle.nodes, start=1)
    ]
    lines = ["Let:"]
    lines += [f"  {each} = {transaction_shown(each.transaction)}" for each in named]
    lines.append("Then:")
    for position, kind in enumerate(cycle.kinds):
        before, after = named[position], named[(position + 1) % len(named)]
        why = _why(kind, before, after, reasons)
        if position == len(cycle.kinds) - 1:
            lines.append(f"  However, {before} < {after}, because {why}:")
            lines.append("  a contradiction.")
        else:
            lines.append(f"  {before} < {after}, because {why}.")
    return Anomaly(
        name,
        "\n".join(lines),
        tuple(each.transaction.operation for each in named),
    )


def _why(kind: int, before: Named, after: Named, reasons: Reasons) -> str:
    if kind == PROCESS:
        process = before.transaction.operation.process
        return f"process {process} executed {before} before {after}"
    if kind == REALTIME:
        returned = before.transaction.operation.returned
        called = after.transaction.operation.called
        return f"{before} returned at {returned}, before {after} was called at {called}"
    return reasons.reason(kind, before, after)


def reads_of(transaction: Transaction, key: Value) -> list[Value]:
    """Return what *transaction* saw at *key*, in its order."""
    return [value for f, at, value in transaction.steps if f == READ and at == key]


def add_cycles(  # noqa: PLR0913 - all that a cycle and its explanation rest on
    findings: Findings,
    graph: Graph,
    transactions: Sequence[Transaction],
    reasons: Reasons,
    *,
    level: str,
    deadline: Deadline,
) -> None:
    """
    Add to *findings* the cycles of *graph*, after the orders that *level* asks for.

    Args:
        findings: Where they go.
        graph: The dependencies by data; changed.
        transactions: Its nodes.
        reasons: Why there are dependencies.
        level: A session level adds the orders of clients, a strong one real time.
        deadline: When to give up.

    Raises:
        OutOfTimeError: The deadline passed.
    """
    forbidden = forbidden_by(level)
    extras: tuple[int, ...] = ()
    # Who obeys real time obeys the order of each client, so one of them is enough.
    if "G0-realtime" in forbidden:
        link_realtime(graph, transactions)
        extras = (REALTIME,)
    elif "G0-process" in forbidden:
        link_processes(graph, transactions)
        extras = (PROCESS,)
    for name, cycles in CycleSearch(graph, deadline).run(extras).items():
        findings.count(name, len(cycles))
        for cycle in cycles[:EXAMPLES_MAX]:
            findings.keep(cycle_anomaly(name, cycle, transactions, reasons))
