"""
List-append: transactions that append unique elements to lists and read lists.

A read of (1 2 3) tells that the list was (), (1) and (1 2) before: so the longest
read of a key is the order of its versions, and every other read must be a prefix
of it.  From the order follow all dependencies:

    ww  who appended an element  ->  who appended the next one
    wr  who appended the last element that was read  ->  the reader
    rw  who read the list up to an element  ->  who appended the next one

An append of a committed transaction that nobody ever read comes after the longest
read.  Of crashed transactions those committed whose elements were read; the others
can only come last, where they contradict nobody, and are left out.

Single reads betray anomalies too, see `list_reads`.

Reference:
    Kingsbury & Alvaro, 2020.  Elle: Inferring Isolation Anomalies from
        Experimental Observations.  VLDB 14(3).  Sections 3 to 5.
"""

from collections.abc import Sequence

from jepsen_like.checkers.elle.anomalies import Findings, forbidden_by
from jepsen_like.checkers.elle.deadline import Deadline, OutOfTimeError
from jepsen_like.checkers.elle.explain import Named, add_cycles, reads_of, value_shown
from jepsen_like.checkers.elle.graph import RW, WR, WW, Graph
from jepsen_like.checkers.elle.list_reads import AppendedList, add_flawed_reads
from jepsen_like.checkers.elle.lost_update import add_lost_updates
from jepsen_like.checkers.elle.transactions import (
    APPEND,
    LIST_APPEND,
    READ,
    Transaction,
    UnusableHistoryError,
    transactions_of,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.verdict import Judgement, Verdict

CHECKER = "elle list-append"


def check_list_append(
    history: History,
    level: str = "strict-serializable",
    *,
    budget: float | None = None,
) -> Judgement:
    """
    Judge transactions of `append` and `r` micro-operations.

    Args:
        history: Operations called `txn` (or with micro-operations, whatever they
            are called); a read's value is a tuple, or None for nothing there.
        level: What was promised; one of `LEVELS`.
        budget: Seconds after which the answer is UNKNOWN; None means any time.

    Returns:
        INVALID with explained anomalies that contradict *level*; VALID if there is
        none; anomalies that *level* allows are only counted in the figures.
        UNKNOWN if an element was appended to one key twice, or for want of time.

    Raises:
        ValueError: An unknown level, a budget that is not positive, or operations
            that are no transactions on lists.
    """
    forbidden_by(level)
    deadline = Deadline.after(budget)
    transactions = transactions_of(history, LIST_APPEND)
    findings = Findings()
    figures = {
        "transactions": len(transactions),
        "micro-operations": sum(len(each.steps) for each in transactions),
    }
    try:
        lists = _lists_of(transactions)
        add_flawed_reads(findings, lists, transactions)
        add_lost_updates(findings, transactions)
        deadline.check()
        reasons = _ListReasons(lists)
        graph = _dependencies(lists, transactions)
        deadline.check()
        add_cycles(
            findings, graph, transactions, reasons, level=level, deadline=deadline
        )
    except (UnusableHistoryError, OutOfTimeError) as error:
        return Judgement(CHECKER, Verdict.UNKNOWN, reason=str(error), figures=figures)
    return findings.judgement(CHECKER, level, figures)


def _lists_of(transactions: Sequence[Transaction]) -> dict[Value, AppendedList]:
    """Return all appends and all answered reads by key."""
    lists: dict[Value, AppendedList] = {}
    for transaction in transactions:
        for f, key, value in transaction.steps:
            found = lists.get(key)
            if found is None:
                found = lists[key] = AppendedList(key)
            if f == APPEND:
                found.add_append(value, transaction)
            elif value is None or isinstance(value, tuple):
                if transaction.ok:
                    found.reads.append((value or (), transaction))
            else:
                msg = (
                    f"a read of key {key!r} returned {value!r} in "
                    f"{transaction.operation!r}; lists are read as tuples"
                )
                raise ValueError(msg)
        for key, value in transaction.intermediate_writes():
            lists[key].intermediate.add(value)
    for found in lists.values():
        found.settle()
    return lists


def _dependencies(
    lists: dict[Value, AppendedList], transactions: Sequence[Transaction]
) -> Graph:
    graph = Graph(len(transactions))
    readers: dict[Value, list[list[int]]] = {
        key: [[] for _ in range(len(found.order) + 1)] for key, found in lists.items()
    }
    unread: dict[Value, list[int]] = {key: [] for key in lists}
    for transaction in transactions:
        if not transaction.committed:
            continue
        number = transaction.number
        for f, key, value in transaction.steps:
            found = lists[key]
            if f == APPEND:
                if value not in found.places:
                    _add_once(unread[key], number)
                continue
            place = 0
            if value:
                assert isinstance(value, tuple), "reads have been looked at"
                place = found.places.get(value[-1], -1)
                writer = found.committed_writer(value[-1])
                if writer is not None:
                    graph.link(writer.number, number, WR)
            # A version outside the order (a contradiction already) has no successor.
            if place >= 0:
                _add_once(readers[key][place], number)
    for key, found in lists.items():
        _link_versions(graph, found, readers[key], unread[key])
    return graph


def _add_once(numbers: list[int], number: int) -> None:
    if not numbers or numbers[-1] != number:
        numbers.append(number)


def _link_versions(
    graph: Graph, found: AppendedList, readers: list[list[int]], unread: list[int]
) -> None:
    """Add the ww and rw edges of one key."""
    before: Transaction | None = None
    for place, element in enumerate(found.order):
        writer = found.committed_writer(element)
        if writer is not None:
            if before is not None:
                graph.link(before.number, writer.number, WW)
            for reader in readers[place]:
                graph.link(reader, writer.number, RW)
        before = writer
    if before is not None:
        for last in unread:
            graph.link(before.number, last, WW)
    graph.link_all(readers[-1], unread, RW)


class _ListReasons:
    """Why transactions on lists depend on each other."""

    def __init__(self, lists: dict[Value, AppendedList]) -> None:
        self._lists = lists

    def reason(self, kind: int, before: Named, after: Named) -> str:
        """Return the first reason found in the order of *after*'s steps."""
        for f, key, value in after.transaction.steps:
            if f == READ and kind == WR:
                why = self._saw(before, after, key, value)
            elif f == APPEND and kind in {WW, RW}:
                why = self._followed(kind, before, after, key, value)
            else:
                continue
            if why:
                return why
        msg = f"no reason for {before} before {after}"
        raise AssertionError(msg)

    def _saw(self, before: Named, after: Named, key: Value, value: Value) -> str:
        if not isinstance(value, tuple) or not value:
            return ""
        if self._lists[key].writers.get(value[-1]) is not before.transaction:
            return ""
        element = value_shown(value[-1])
        return f"{after} saw {before}'s append of {element} to key {value_shown(key)}"

    def _followed(
        self, kind: int, before: Named, after: Named, key: Value, element: Value
    ) -> str:
        found = self._lists[key]
        place = found.places.get(element, len(found.order) + 1)
        previous = found.order[place - 2] if place > 1 else None
        at, appended = f"key {value_shown(key)}", value_shown(element)
        if kind == WW:
            if place == 1 or found.writers.get(previous) is not before.transaction:
                return ""
            return (
                f"{after} appended {appended} to {at} after {before} had appended "
                f"{value_shown(previous)}"
            )
        for value in reads_of(before.transaction, key):
            if not value and place == 1:
                return f"{before} saw {at} empty, before {after} appended {appended}"
            last = value[-1] if isinstance(value, tuple) and value else None
            if value and place > 1 and last == previous:
                return f"{before} did not see {after}'s append of {appended} to {at}"
        return ""
