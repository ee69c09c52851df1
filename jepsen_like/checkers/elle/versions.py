"""
Versions of a register: which value came before which, as far as that is known.

Reference:
    Kingsbury & Alvaro, 2020.  Elle.  Section 5.2: recoverability of registers.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jepsen_like.checkers.elle.anomalies import CYCLIC_VERSIONS, Anomaly, Findings
from jepsen_like.checkers.elle.explain import operation_key, value_shown
from jepsen_like.checkers.elle.graph import KIND_BITS, WW, Graph
from jepsen_like.checkers.elle.transactions import Transaction, UnusableHistoryError
from jepsen_like.history.operation import Value

VersionEdges = dict[Value, dict[Value, None]]
"""What directly follows each value; a dict for its order, not a set."""


@dataclass(frozen=True, slots=True)
class VersionAssumptions:
    """
    What may be taken as given about the versions of each key.

    Attributes:
        writes_follow_reads: A transaction that reads a key and then writes it
            overwrites what it read, or something later.
        sequential_keys: Each client sees the versions of a key in their order.
        linearizable_keys: The versions of a key agree with real time.
    """

    writes_follow_reads: bool = False
    sequential_keys: bool = False
    linearizable_keys: bool = False


@dataclass(eq=False, slots=True)
class Register:
    """
    All that a history says of one key.

    Attributes:
        key: Which.
        writers: Who wrote each value, whatever became of it.
        intermediate: Values with the numbers of their own transactions that
            overwrote them.
        final: Who committed each value as its last.
        readers: Who committed and read each value of others; None is nil.
        followers: Of each value, those known to come later, nil's left out.
        unwritten_reads: Reads of values that nobody wrote.
    """

    key: Value
    writers: dict[Value, list[Transaction]] = field(default_factory=dict)
    intermediate: set[tuple[Value, int]] = field(default_factory=set)
    final: dict[Value, list[Transaction]] = field(default_factory=dict)
    readers: dict[Value, list[Transaction]] = field(default_factory=dict)
    followers: VersionEdges = field(default_factory=dict)
    unwritten_reads: int = 0

    def add_write(self, value: Value, transaction: Transaction) -> None:
        """
        Note a write.

        Raises:
            UnusableHistoryError: It writes nil, which is there before any write.
        """
        if value is None:
            msg = (
                f"nil was written to key {value_shown(self.key)}, so reads do not tell "
                f"whether that was written or nothing was"
            )
            raise UnusableHistoryError(msg)
        self.writers.setdefault(value, []).append(transaction)

    def note_seen(self, value: Value) -> None:
        """
        Note that a committed transaction saw *value*, so its writer committed.

        Raises:
            UnusableHistoryError: Several transactions may have written it.
        """
        if value is None:
            return
        writers = self.writers.get(value)
        if writers is None:
            self.unwritten_reads += 1
            return
        possible = [writer for writer in writers if not writer.aborted]
        if len(possible) > 1:
            msg = (
                f"{value_shown(value)} was written to key {value_shown(self.key)} more "
                f"than once, so reads do not tell who wrote it"
            )
            raise UnusableHistoryError(msg)
        for writer in possible:
            writer.committed = True

    def precedes(self, value: Value, later: Value) -> bool:
        """Return whether *later* is known to come directly after *value*."""
        if value is None:
            return later is not None
        return later in self.followers.get(value, ())


def add_version_orders(
    findings: Findings,
    registers: dict[Value, Register],
    transactions: Sequence[Transaction],
    assumptions: VersionAssumptions,
) -> None:
    """
    Fill in the followers of *registers*; add what is cyclic to *findings*.

    An assumption that makes the versions of a key cyclic is not used for that key.
    """
    sources: list[tuple[str, dict[Value, VersionEdges]]] = []
    if assumptions.writes_follow_reads:
        sources.append(("writes follow reads", _written_after_reads(transactions)))
    if assumptions.sequential_keys:
        sources.append(("keys are sequential", _in_client_order(transactions)))
    if assumptions.linearizable_keys:
        sources.append(("keys are linearizable", _in_real_time(transactions)))
    for name, edges_by_key in sources:
        for key, edges in edges_by_key.items():
            register = registers[key]
            merged = {value: dict(after) for value, after in register.followers.items()}
            for value, after in edges.items():
                merged.setdefault(value, {}).update(after)
            cycle = _cycle_of(merged)
            if not cycle:
                register.followers = merged
                continue
            findings.count(CYCLIC_VERSIONS)
            if findings.wanted(CYCLIC_VERSIONS):
                findings.keep(_cyclic(register, name, cycle))
    for register in registers.values():
        register.followers.pop(None, None)


def _cyclic(register: Register, assumption: str, cycle: list[Value]) -> Anomaly:
    shown = " < ".join(map(value_shown, (*cycle, cycle[0])))
    parties = [
        each
        for value in cycle
        for each in (
            *register.final.get(value, ())[:1],
            *register.readers.get(value, ()),
        )
    ]
    return Anomaly(
        CYCLIC_VERSIONS,
        f"if {assumption}, versions of key {value_shown(register.key)} came before "
        f"themselves: {shown}",
        tuple(each.operation for each in parties[: 2 * len(cycle)]),
        operation_key(register.key),
    )


def _first_and_last(transaction: Transaction) -> dict[Value, tuple[Value, Value]]:
    """Return of each key what was met first and what was left last."""
    reads, writes = transaction.external_reads(), transaction.external_writes()
    return {
        key: (reads.get(key, writes.get(key)), writes.get(key, reads.get(key)))
        for key in (reads | writes)
    }


def _add(
    edges: dict[Value, VersionEdges], key: Value, before: Value, later: Value
) -> None:
    if before != later:
        edges.setdefault(key, {}).setdefault(before, {})[later] = None


def _written_after_reads(
    transactions: Iterable[Transaction],
) -> dict[Value, VersionEdges]:
    edges: dict[Value, VersionEdges] = {}
    for transaction in transactions:
        if transaction.committed:
            writes = transaction.external_writes()
            for key, value in transaction.external_reads().items():
                if key in writes:
                    _add(edges, key, value, writes[key])
    return edges


def _in_client_order(transactions: Iterable[Transaction]) -> dict[Value, VersionEdges]:
    edges: dict[Value, VersionEdges] = {}
    latest: dict[tuple[int, Value], Value] = {}
    for transaction in transactions:
        if transaction.committed:
            process = transaction.operation.process
            for key, (first, last) in _first_and_last(transaction).items():
                if (process, key) in latest:
                    _add(edges, key, latest[process, key], first)
                latest[process, key] = last
    return edges


def _in_real_time(transactions: Iterable[Transaction]) -> dict[Value, VersionEdges]:
    """
    Return version edges by real time, each key for itself.

    Of the earlier operations only those are kept that no other one covers: the
    frontier, at most as many as were under way at once.
    """
    touching: dict[Value, list[Transaction]] = {}
    for transaction in transactions:
        if transaction.committed:
            for key in _first_and_last(transaction):
                touching.setdefault(key, []).append(transaction)
    edges: dict[Value, VersionEdges] = {}
    for key, those in touching.items():
        frontier: list[Transaction] = []
        waiting = deque(
            sorted(
                (each for each in those if each.ok),
                key=lambda each: each.operation.returned,
            )
        )
        for transaction in sorted(those, key=lambda each: each.operation.called):
            called = transaction.operation.called
            while waiting and waiting[0].operation.returned < called:
                done = waiting.popleft()
                frontier = [
                    each
                    for each in frontier
                    if each.operation.returned >= done.operation.called
                ]
                frontier.append(done)
            first = _first_and_last(transaction)[key][0]
            for earlier in frontier:
                _add(edges, key, _first_and_last(earlier)[key][1], first)
    return edges


def _cycle_of(edges: VersionEdges) -> list[Value]:
    """Return values that form a cycle, nil coming before all; or nothing."""
    numbers: dict[Value, int] = {None: 0}
    for value, after in edges.items():
        for each in (value, *after):
            numbers.setdefault(each, len(numbers))
    graph = Graph(len(numbers))
    for value, after in edges.items():
        for later in after:
            graph.link(numbers[value], numbers[later], WW)
    for number in range(1, len(numbers)):
        graph.link(0, number, WW)
    components = graph.components(WW, range(len(numbers)))
    if not components:
        return []
    start = min(min(component) for component in components)
    values = list(numbers)
    for edge in graph.edges[start]:
        path, _ = graph.path(edge >> KIND_BITS, start, WW)
        if path is not None:
            inner = [values[edge >> KIND_BITS], *(values[step.node] for step in path)]
            return [values[start], *inner[:-1]]
    msg = "a component has a cycle through each of its nodes"
    raise AssertionError(msg)
