"""
What single reads of lists betray, without any cycle.

    duplicate-elements  an element twice in one list
    incompatible-order  two lists neither of which is a prefix of the other
    G1a                 an element of an aborted transaction
    G1b                 a list that ends within another transaction's appends
    garbage-read        an element that nobody appended
    dirty-update        a committed append upon an aborted one
    internal            a transaction's read that misses what it did or saw before
    future-read         a transaction's read of what it appends only later

Reference:
    Kingsbury & Alvaro, 2020.  Elle.  Sections 4.1 and 5.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jepsen_like.checkers.elle.anomalies import (
    ABORTED_READ,
    DIRTY_UPDATE,
    DUPLICATE_ELEMENTS,
    FUTURE_READ,
    GARBAGE_READ,
    INCOMPATIBLE_ORDER,
    INTERMEDIATE_READ,
    INTERNAL,
    Anomaly,
    Findings,
)
from jepsen_like.checkers.elle.explain import operation_key, value_shown
from jepsen_like.checkers.elle.transactions import (
    APPEND,
    MicroOperation,
    Transaction,
    UnusableHistoryError,
)
from jepsen_like.history.operation import Operation, Value

Elements = tuple[Value, ...]


@dataclass(eq=False, slots=True)
class AppendedList:
    """
    All that a history says of one key.

    Attributes:
        key: Which.
        writers: Who appended each element, whatever became of it.
        intermediate: Elements after which their own transaction appended more.
        reads: What answered transactions saw.
        order: Elements in the order of versions: the longest read, each one once.
        places: Where in the order an element is, from 1.
        odd_reads: Those that are no prefix of the longest.
    """

    key: Value
    writers: dict[Value, Transaction] = field(default_factory=dict)
    intermediate: set[Value] = field(default_factory=set)
    reads: list[tuple[Elements, Transaction]] = field(default_factory=list)
    order: Elements = ()
    places: dict[Value, int] = field(default_factory=dict)
    longest: tuple[Elements, Transaction] | None = None
    odd_reads: list[tuple[Elements, Transaction]] = field(default_factory=list)

    def add_append(self, element: Value, transaction: Transaction) -> None:
        """
        Note an append.

        Raises:
            UnusableHistoryError: The element was appended before.
        """
        other = self.writers.setdefault(element, transaction)
        if other is not transaction or element in self.places:
            msg = (
                f"{value_shown(element)} was appended to key {value_shown(self.key)} "
                f"more than once, so reads do not tell who appended it"
            )
            raise UnusableHistoryError(msg)
        self.places[element] = 0

    def settle(self) -> None:
        """Derive the order, once all is noted; mark crashed writers it has seen."""
        self.places = {}
        if not self.reads:
            return
        self.longest = max(self.reads, key=lambda read: len(read[0]))
        elements = self.longest[0]
        self.order = tuple(dict.fromkeys(elements))
        self.places = {each: place for place, each in enumerate(self.order, start=1)}
        prefixes: dict[int, Elements] = {}
        for read in self.reads:
            size = len(read[0])
            prefix = prefixes.get(size)
            if prefix is None:
                prefix = prefixes[size] = elements[:size]
            if read[0] != prefix:
                self.odd_reads.append(read)
        for seen, _ in (self.longest, *self.odd_reads):
            for element in seen:
                writer = self.writers.get(element)
                if writer is not None and not writer.aborted:
                    writer.committed = True

    def committed_writer(self, element: Value) -> Transaction | None:
        """Return who appended *element*, if it did and committed."""
        writer = self.writers.get(element)
        return writer if writer is not None and writer.committed else None


def add_flawed_reads(
    findings: Findings,
    lists: dict[Value, AppendedList],
    transactions: Iterable[Transaction],
) -> None:
    """Add to *findings* the anomalies of reads of *lists* within *transactions*."""
    for found in lists.values():
        _add_flaws_of_key(findings, found)
    for transaction in transactions:
        if transaction.ok and len(transaction.steps) > 1:
            _add_inner_flaws(findings, transaction)


def _add_flaws_of_key(findings: Findings, found: AppendedList) -> None:
    longest = found.longest
    if longest is None:
        return
    shared = _flaws(found, longest[0])
    odd = {id(read) for read in found.odd_reads}
    for read in found.reads:
        elements, reader = read
        flaws = shared if id(read) not in odd else _flaws(found, elements)
        for name, place in flaws.items():
            if place < len(elements):
                _add_flawed_read(findings, name, found, read, elements[place])
        if elements and elements[-1] in found.intermediate:
            last = elements[-1]
            if found.writers[last] is not reader:
                _add_flawed_read(findings, INTERMEDIATE_READ, found, read, last)
    for read in found.odd_reads:
        findings.count(INCOMPATIBLE_ORDER)
        if findings.wanted(INCOMPATIBLE_ORDER):
            findings.keep(_incompatible(found.key, read, longest))
    _add_dirty_updates(findings, found)


def _flaws(found: AppendedList, elements: Elements) -> dict[str, int]:
    """Return where in *elements* each kind of flaw is first, if it is."""
    flaws: dict[str, int] = {}
    seen: set[Value] = set()
    for place, element in enumerate(elements):
        writer = found.writers.get(element)
        if writer is None:
            flaws.setdefault(GARBAGE_READ, place)
        elif writer.aborted:
            flaws.setdefault(ABORTED_READ, place)
        if element in seen:
            flaws.setdefault(DUPLICATE_ELEMENTS, place)
        seen.add(element)
    return flaws


_FLAW_TEXTS = {
    GARBAGE_READ: "which nobody ever appended",
    ABORTED_READ: "whose append was aborted",
    DUPLICATE_ELEMENTS: "twice, though it was appended once",
    INTERMEDIATE_READ: (
        "last, after which the same transaction appended more: a state that was "
        "never committed"
    ),
}


def _add_flawed_read(
    findings: Findings,
    name: str,
    found: AppendedList,
    read: tuple[Elements, Transaction],
    element: Value,
) -> None:
    findings.count(name)
    if not findings.wanted(name):
        return
    elements, reader = read
    operations: tuple[Operation, ...] = (reader.operation,)
    writer = found.writers.get(element)
    if writer is not None:
        operations = (writer.operation, reader.operation)
    explanation = (
        f"process {reader.operation.process} read key {value_shown(found.key)} as "
        f"{value_shown(elements)}, with {value_shown(element)} {_FLAW_TEXTS[name]}"
    )
    findings.keep(Anomaly(name, explanation, operations, operation_key(found.key)))


def _incompatible(
    key: Value,
    read: tuple[Elements, Transaction],
    longest: tuple[Elements, Transaction],
) -> Anomaly:
    (elements, reader), (most, other) = read, longest
    pairs = enumerate(zip(elements, most, strict=False))
    place = next(at for at, (ours, theirs) in pairs if ours != theirs)
    explanation = (
        f"process {reader.operation.process} read key {value_shown(key)} as "
        f"{value_shown(elements)}, process {other.operation.process} read it as "
        f"{value_shown(most)}: they differ at element {place + 1}, so they are no "
        f"states of one list"
    )
    return Anomaly(
        INCOMPATIBLE_ORDER,
        explanation,
        (reader.operation, other.operation),
        operation_key(key),
    )


def _add_dirty_updates(findings: Findings, found: AppendedList) -> None:
    dirty: tuple[Value, Transaction] | None = None
    for element in found.order:
        writer = found.writers.get(element)
        if writer is None:
            continue
        if writer.aborted:
            dirty = dirty or (element, writer)
        elif writer.ok and dirty is not None:
            findings.count(DIRTY_UPDATE)
            explanation = (
                f"{value_shown(element)} was appended to key {value_shown(found.key)} "
                f"upon {value_shown(dirty[0])}, whose append was aborted"
            )
            findings.keep(
                Anomaly(
                    DIRTY_UPDATE,
                    explanation,
                    (dirty[1].operation, writer.operation),
                    operation_key(found.key),
                )
            )
            dirty = None


def _add_inner_flaws(findings: Findings, transaction: Transaction) -> None:
    """Look for reads that contradict the rest of their own transaction."""
    if len({key for _, key, _ in transaction.steps}) == len(transaction.steps):
        return
    for name, flaw in (
        (INTERNAL, _internal_flaw(transaction.steps)),
        (FUTURE_READ, _future_flaw(transaction.steps)),
    ):
        if flaw is not None:
            key, text = flaw
            findings.count(name)
            explanation = f"process {transaction.operation.process} {text}"
            findings.keep(
                Anomaly(name, explanation, (transaction.operation,), operation_key(key))
            )


def _internal_flaw(steps: Sequence[MicroOperation]) -> tuple[Value, str] | None:
    """Return the key and what is wrong, if a read contradicts earlier steps."""
    bases: dict[Value, Elements | None] = {}
    own: dict[Value, Elements] = {}
    for f, key, value in steps:
        if f == APPEND:
            own[key] = (*own.get(key, ()), value)
            bases.setdefault(key, None)
            continue
        elements = value if isinstance(value, tuple) else ()
        if key in bases:
            base, ours = bases[key], own.get(key, ())
            if base is None:
                expected = f"a list that ends with its own {value_shown(ours)}"
                right = elements[len(elements) - len(ours) :] == ours
                right = right and len(elements) >= len(ours)
            else:
                expected = value_shown(base + ours)
                right = elements == base + ours
            if not right:
                text = (
                    f"read key {value_shown(key)} as {value_shown(elements)} where its "
                    f"transaction's earlier steps leave only {expected}"
                )
                return key, text
        bases[key], own[key] = elements, ()
    return None


def _future_flaw(steps: Sequence[MicroOperation]) -> tuple[Value, str] | None:
    """Return the key and what is wrong, if a read shows a later append."""
    appended_later: dict[Value, set[Value]] = {}
    for f, key, value in reversed(steps):
        if f == APPEND:
            appended_later.setdefault(key, set()).add(value)
        elif isinstance(value, tuple) and (later := appended_later.get(key)):
            for element in value:
                if element in later:
                    text = (
                        f"read {value_shown(element)} in key {value_shown(key)} before "
                        f"its own transaction appended it"
                    )
                    return key, text
    return None
