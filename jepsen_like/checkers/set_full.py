"""
Sets: what was inserted stays, and what was removed does not come back.

An element is *known* from when its insertion was acknowledged or a read has shown
it.  If nobody tries to remove it, then

    lost         it is known, and absent from a final read
    stale        it is absent from a read that was asked for after it was known,
                 and there later; a fault only if the set is linearizable
    unexpected   a read shows it and nobody had tried to insert it, or in vain
    back         a removal by someone who knew of it was acknowledged, and yet a
                 final read shows it
    recovered    its insertion was never acknowledged, and it is there; no fault
    never read   it is known, and no read was asked for since; no fault

Final reads are those that the runner asks of all nodes at the quiet end; in a
history without, the last one, if it was asked for after every insertion had ended.

References:
    Kingsbury, 2013-.  Jepsen: checker/set-full.
    Bieniusa, Zawirski, Preguica, Shapiro, Baquero, Balegas & Duarte, 2012.  An
        optimized conflict-free replicated set: a removal takes what it has seen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from jepsen_like.checkers.access import FINAL, is_final
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "set"

WITNESSES_MAX = 20
"""More elements of one kind and key are only counted."""

_INSERTIONS = frozenset({"insert", "add"})
_READS = frozenset({"members", "read", f"{FINAL}members", f"{FINAL}read"})


def check(history: History, *, linearizable: bool = False) -> Judgement:
    """
    Judge the elements of each set, one a key.

    Args:
        history: Of `insert` or `add`, `remove`, and `members` or `read`, which
            return all elements.
        linearizable: Each read must show all that was known when it was asked for.

    Returns:
        UNKNOWN if there are no reads that show what is left.  Costs O(n log n),
        and the length of all that was read.

    Raises:
        ValueError: A read has not returned a list.
    """
    witnesses: list[Witness] = []
    figures: Counter[str] = Counter()
    blind: list[Key] = []
    losses = Losses(history)
    for key, operations in history.by_key().items():
        elements = _Elements(key, operations, losses)
        witnesses += elements.unexpected()
        stale = list(elements.absences())
        if linearizable:
            witnesses += islice(map(elements.stale_witness, stale), WITNESSES_MAX)
        elif not elements.finals:
            blind.append(key)
        witnesses += elements.lost()
        witnesses += elements.back()
        figures.update({**elements.counts(), "stale reads": len(stale)})
    if witnesses:
        reason = f"{len(witnesses)} elements or reads are not as they must be"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if blind or not history.operations:
        where = f" of {blind[0]!r}" if blind else ""
        reason = f"no read{where} was asked for after the last insertion"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


class _Elements:
    """What was done to one set, and seen of it."""

    def __init__(
        self, key: Key, operations: Sequence[Operation], losses: Losses
    ) -> None:
        self._key = key
        self._losses = losses
        self._inserted: dict[Value, list[Operation]] = {}
        self._removed: dict[Value, list[Operation]] = {}
        self._in_vain: dict[Value, Operation] = {}
        self._reads: list[tuple[Operation, frozenset[Value]]] = []
        for operation in operations:
            self._add(operation)
        self.finals = self._final_reads(operations)
        self._known = self._known_since()

    def _add(self, operation: Operation) -> None:
        failed = operation.outcome is Outcome.FAIL
        if operation.f in _INSERTIONS:
            if failed:
                self._in_vain[operation.argument] = operation
            else:
                self._inserted.setdefault(operation.argument, []).append(operation)
        elif operation.f == "remove" and not failed:
            self._removed.setdefault(operation.argument, []).append(operation)
        elif operation.f in _READS and operation.outcome is Outcome.OK:
            if not isinstance(operation.result, tuple):
                msg = f"a read of a set returns a list of its elements: {operation}"
                raise ValueError(msg)
            self._reads.append((operation, frozenset(operation.result)))

    def _final_reads(
        self, operations: Sequence[Operation]
    ) -> list[tuple[Operation, frozenset[Value]]]:
        marked = [each for each in self._reads if is_final(each[0])]
        if marked:
            return marked
        ends = [
            each.returned
            for each in operations
            if each.f in _INSERTIONS and each.returned != FOREVER
        ]
        last = max(ends, default=-1)
        return [each for each in self._reads[-1:] if each[0].called > last]

    def _known_since(self) -> dict[Value, int]:
        """Return since when each element is known for certain, and not forgotten."""
        known: dict[Value, int] = {}
        for element, insertions in self._inserted.items():
            for each in insertions:
                if each.outcome is Outcome.OK and not self._losses.may_have_taken(each):
                    known[element] = min(known.get(element, FOREVER), each.returned)
        shown: set[Value] = set()
        for read, elements in sorted(self._reads, key=lambda each: each[0].returned):
            if not self._losses.may_have_taken(read):
                for element in elements - shown:
                    if read.returned < known.get(element, FOREVER):
                        known[element] = read.returned
                shown |= elements
        return known

    def _kept(self) -> Iterator[tuple[int, Value]]:
        """Yield what is known and nobody has tried to remove, with since when."""
        for element, since in self._known.items():
            if element in self._inserted and element not in self._removed:
                yield since, element

    def absences(self) -> Iterator[tuple[Operation, frozenset[Value]]]:
        """Yield reads that lack what was known when they were asked for."""
        kept = sorted(self._kept(), key=lambda each: each[0])
        known: set[Value] = set()
        place = 0
        for read, elements in self._reads:
            while place < len(kept) and kept[place][0] < read.called:
                known.add(kept[place][1])
                place += 1
            if not known <= elements:
                yield read, frozenset(known - elements)

    def stale_witness(self, absence: tuple[Operation, frozenset[Value]]) -> Witness:
        """Return what is wrong with a read that lacks elements."""
        read, absent = absence
        element = min(absent, key=lambda each: (self._known[each], str(each)))
        seen_later = any(
            element in elements and later.called > read.called
            for later, elements in self._reads
        )
        explanation = (
            f"A read of {self._key!r} lacks {element!r}, which was known when it was"
            f" asked for{'; later it was there' if seen_later else ' and never came'}."
        )
        evidence = (*self._inserted[element], read)
        return self._witness("stale" if seen_later else "lost", explanation, evidence)

    def lost(self) -> Iterator[Witness]:
        """Yield what is known and absent from a final read."""
        kept = sorted(self._kept(), key=lambda each: (each[0], str(each[1])))
        count = 0
        for _, element in kept:
            for read, elements in self.finals:
                if element in elements or read.called <= self._known[element]:
                    continue
                explanation = (
                    f"{element!r} was in {self._key!r} for certain, nobody has tried to"
                    f" remove it, and {read.node or 'a node'} lacks it in the end."
                )
                evidence = (*self._inserted[element], read)
                yield self._witness("lost", explanation, evidence)
                count += 1
                break
            if count >= WITNESSES_MAX:
                return

    def back(self) -> Iterator[Witness]:
        """Yield what is there in the end although it was removed."""
        for element, removals in self._removed.items():
            insertions = self._inserted.get(element, [])
            if len(insertions) != 1:
                continue
            removal = next((r for r in removals if self._knew(r, insertions[0])), None)
            shown = next(
                (r for r, elements in self.finals if element in elements), None
            )
            if removal is None or shown is None or shown.called <= removal.returned:
                continue
            explanation = (
                f"{element!r} was inserted into {self._key!r} once and then removed by"
                f" someone who knew it, but {shown.node or 'a node'} has it in the end."
            )
            evidence = (insertions[0], removal, shown)
            yield self._witness("back", explanation, evidence)

    def _knew(self, removal: Operation, insertion: Operation) -> bool:
        """Tell whether *removal* was acknowledged and came certainly after."""
        if removal.outcome is not Outcome.OK or self._losses.may_have_taken(removal):
            return False
        if insertion.outcome is not Outcome.OK or insertion.returned >= removal.called:
            return False
        epochs = (self._losses.epoch(insertion), self._losses.epoch(removal))
        same_place = bool(removal.node) and removal.node == insertion.node
        return removal.process == insertion.process or (
            same_place and epochs[0] is not None and epochs[0] == epochs[1]
        )

    def unexpected(self) -> Iterator[Witness]:
        """Yield what was read and never inserted."""
        attempts = sorted(
            (
                (min(each.called for each in insertions), element)
                for element, insertions in self._inserted.items()
            ),
            key=lambda each: each[0],
        )
        attempted: set[Value] = set()
        told: set[Value] = set()
        place = 0
        for read, elements in sorted(self._reads, key=lambda each: each[0].returned):
            while place < len(attempts) and attempts[place][0] <= read.returned:
                attempted.add(attempts[place][1])
                place += 1
            for element in sorted(elements - attempted - told, key=str):
                told.add(element)
                failed = self._in_vain.get(element)
                how = "whose insertion had failed" if failed else "never inserted"
                explanation = f"A read of {self._key!r} shows {element!r}, {how}."
                evidence = (failed, read) if failed else (read,)
                yield self._witness("unexpected", explanation, evidence)
            if len(told) >= WITNESSES_MAX:
                return

    def counts(self) -> dict[str, int]:
        """Return what is worth counting."""
        acknowledged = {
            element
            for element, insertions in self._inserted.items()
            if any(each.outcome is Outcome.OK for each in insertions)
        }
        shown: set[Value] = set().union(*(elements for _, elements in self.finals))
        last = max((read.called for read, _ in self._reads), default=-1)
        return {
            "attempted": len(self._inserted),
            "acknowledged": len(acknowledged),
            "recovered": len((shown & self._inserted.keys()) - acknowledged),
            "never read": sum(
                self._known.get(each, last) >= last for each in acknowledged
            ),
        }

    def _witness(
        self, kind: str, explanation: str, evidence: Iterable[Operation]
    ) -> Witness:
        ordered = tuple(sorted(evidence, key=lambda each: each.called))
        return Witness(kind, explanation, ordered, self._key)
