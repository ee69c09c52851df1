"""
Watches: no change is missed, and none is taken back.

A watcher asks, again and again, for the changes of a prefix, and each `watch`
goes on where its process's last one stopped; the first begins with all that is
there.  A watch shows the newest value of what changed, not each step, so of most
changes nobody can say that they must be seen.  These can be judged:

    missed      the final value of a key was at a node for certain (acknowledged
                or read there), then a watch was asked for at that node, and
                neither it nor an earlier one of the watcher showed the value
    went back   a watch showed a value, and then one that had certainly been
                overwritten by it
    phantom     a watch showed a value that nobody had tried to write

After resuming, a watch may show a change twice, and so one that is older than
what was seen before.  Where that is promised not to happen it can be judged too.

References:
    Burrows, 2006.  The Chubby lock service: events.
    The etcd documentation of watches: ordered, unique, reliable, resumable.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jepsen_like.checkers.access import (
    Access,
    OrderOf,
    reads_of,
    writes_of,
)
from jepsen_like.checkers.causality import Causality
from jepsen_like.checkers.convergence import final_values
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "watch"


class _Event(NamedTuple):
    """A change as a watch showed it, the watcher's number `place`."""

    place: int
    watch: Operation
    access: Access


class _Final(NamedTuple):
    """The last value of a key, as all nodes agreed, and who had it when."""

    access: Access
    known: dict[str, Operation]


def check(
    history: History, *, order_of: OrderOf | None = None, repeats: bool = True
) -> Judgement:
    """
    Judge all watches.

    Args:
        history: `watch` has (prefix, ms) as argument and returns (key, value,
            version) of each change in order.
        order_of: How versions compare, if they do.
        repeats: A watch that resumes may show what was seen before.

    Returns:
        UNKNOWN if no watch showed anything.  Costs O(n log n) and, for each watch,
        the number of keys; without versions that compare, also what came causally
        after each value that was shown.

    Raises:
        ValueError: A watch has another form.
    """
    by_process: dict[int, list[Operation]] = {}
    for operation in history.operations:
        if operation.f == "watch" and operation.outcome is Outcome.OK:
            by_process.setdefault(operation.process, []).append(operation)
    causality = Causality(history)
    order = _Order(causality, order_of)
    finals = _finals(history, causality)
    losses = Losses(history)
    witnesses: list[Witness] = []
    shown = due = 0
    for watches in by_process.values():
        events = [
            _Event(place, watch, access)
            for place, watch in enumerate(watches)
            for access in changes_of(watch)
        ]
        first = _first_shown(events)
        shown += len(events)
        witnesses += _phantoms(events, causality, history)
        witnesses += order.taken_back(events, repeats=repeats)
        for final in finals.values():
            place = _owing(watches, final, losses)
            due += place is not None
            if place is None or first.get(final.access[:2], len(watches)) <= place:
                continue
            if not any(
                order.lifts(e.access, final.access) for e in events if e.place <= place
            ):
                witnesses.append(_missed(watches[place], final))
    figures = {"watchers": len(by_process), "changes": shown, "final values due": due}
    if witnesses:
        reason = f"{len(witnesses)} changes were missed, taken back or invented"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if not shown:
        reason = "no watch showed a change"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def changes_of(watch: Operation) -> Iterator[Access]:
    """Yield what one `watch` showed, in order."""
    changes = watch.result if isinstance(watch.result, tuple) else (watch.result,)
    for change in changes:
        match change:
            case (str() | int() as key, value, str(version)):
                yield Access(key, value, version)
            case _:
                msg = f"a change is (key, value, version), not {change!r}"
                raise ValueError(msg)


def prefix_of(watch: Operation) -> str:
    """Return what the keys begin with that a `watch` shows."""
    match watch.argument:
        case (str(prefix), int()):
            return prefix
        case _:
            msg = f"a watch has (prefix, ms) as argument: {watch}"
            raise ValueError(msg)


def _same(one: Access, other: Access) -> bool:
    if one.version and other.version:
        return one.version == other.version
    return one.value == other.value


def _finals(history: History, causality: Causality) -> dict[Key, _Final]:
    """Return the final value of each key that has one, and since when who had it."""
    finals: dict[Key, _Final] = {}
    hidden: set[Key] = set()
    for operation in causality.operations:
        if operation.f == "write-expiring":
            hidden.add(operation.key)
    for key, answers in final_values(history, "read").items():
        access = Access(key, answers[0].result, answers[0].version)
        agreed = all(answer.result == access.value for answer in answers)
        # What was deleted, or has expired, was not written by anyone in particular.
        if agreed and access.value is not None and key not in hidden:
            finals[key] = _Final(access, {})
    for operation in causality.operations:
        if operation.outcome is not Outcome.OK or not operation.node:
            continue
        for access in (*writes_of(operation), *reads_of(operation)):
            final = finals.get(access.key)
            if final is None or not _same(final.access, access):
                continue
            first = final.known.get(operation.node)
            if first is None or operation.returned < first.returned:
                final.known[operation.node] = operation
    return finals


def _owing(watches: Sequence[Operation], final: _Final, losses: Losses) -> int | None:
    """Return by which of *watches* *final* must have been shown, or None."""
    for place, watch in enumerate(watches):
        known = final.known.get(watch.node)
        if known is None or known.returned >= watch.called:
            continue
        epoch = losses.epoch(watch)
        if epoch is None or epoch != losses.epoch(known):
            continue
        if str(final.access.key).startswith(prefix_of(watch)):
            return place
    return None


def _first_shown(events: Sequence[_Event]) -> dict[tuple[Key, Value], int]:
    """Return by which watch each value of a key was first shown."""
    first: dict[tuple[Key, Value], int] = {}
    for place, _, access in events:
        first.setdefault(access[:2], place)
    return first


def _missed(owing: Operation, final: _Final) -> Witness:
    known = final.known[owing.node]
    explanation = (
        f"{owing.node} had {final.access.value!r} at {final.access.key!r}, its final"
        f" value, when process {owing.process} went on watching there, and neither"
        " this watch nor an earlier one showed it."
    )
    return Witness("missed change", explanation, (known, owing), final.access.key)


def _phantoms(
    events: Sequence[_Event], causality: Causality, history: History
) -> Iterator[Witness]:
    for _, watch, access in events:
        known = (None, history.header.initial)
        if access.value in known or causality.writers(access):
            continue
        explanation = (
            f"A watch of process {watch.process} showed {access.value!r} at"
            f" {access.key!r}, which nobody had tried to write."
        )
        yield Witness("phantom change", explanation, (watch,), access.key)


class _Order:
    """Which of two values of a key was overwritten by the other, for certain."""

    def __init__(self, causality: Causality, order_of: OrderOf | None) -> None:
        self._causality = causality
        self._order_of = order_of
        self._later: dict[int, frozenset[int]] = {}

    def taken_back(
        self, events: Sequence[_Event], *, repeats: bool
    ) -> Iterator[Witness]:
        """Yield where *events* of one watcher go back."""
        last: dict[tuple[Key, int], _Event] = {}
        for event in events:
            place = (event.access.key, event.place if repeats else 0)
            before = last.get(place)
            last[place] = event
            if before is None or not self._overwrote(before.access, event.access):
                continue
            explanation = (
                f"A watcher saw {before.access.value!r} at {event.access.key!r}, and"
                f" then {event.access.value!r}, which it had overwritten."
            )
            watches = tuple(dict.fromkeys((before.watch, event.watch)))
            yield Witness("went back", explanation, watches, event.access.key)

    def _overwrote(self, later: Access, earlier: Access) -> bool:
        if _same(later, earlier):
            return False
        if self._order_of is not None and later.version and earlier.version:
            return self._order_of(later.version) > self._order_of(earlier.version)
        first, second = self._causality.source(earlier), self._causality.source(later)
        if first is None or second is None or None in {earlier.value, later.value}:
            return False
        return second in self._after(first, earlier.key)

    def _after(self, index: int, key: Key) -> frozenset[int]:
        """Return which operations knew what one of them had done to *key*."""
        if index not in self._later:
            after = self._causality.after(index, key)
            self._later[index] = frozenset(later for later, _ in after)
        return self._later[index]

    def lifts(self, shown: Access, final: Access) -> bool:
        """
        Tell whether *final* need not be shown after *shown* was.

        So it is if that may have overwritten it, and been lost with a store then: what
        had been the past became the final value.
        """
        return shown.key == final.key and any(
            self._causality.may_be_lost(index) and self._may_overwrite(index, final)
            for index in self._causality.writers(shown)
        )

    def _may_overwrite(self, index: int, final: Access) -> bool:
        operation = self._causality.operations[index]
        if self._order_of is not None and operation.version and final.version:
            return self._order_of(operation.version) > self._order_of(final.version)
        return self._causality.source(final) not in self._after(index, final.key)
