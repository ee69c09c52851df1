"""
Session guarantees by their definitions: every order of the writes of each key.

Demands are collected by looking at all pairs and triples of operations.  Operations
go by their index in the history; their calls are at twice that.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations, product
from typing import NamedTuple

from jepsen_like.history.operation import Key, Operation, Outcome
from tests.jepsen_like.checkers.sessions.histories import Shown

RYW, MR, MW, WFR = ALL = (
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
)

INITIAL = -1

Explained = Mapping[int, int]
"""Reads to writes, or INITIAL."""


class Pair(NamedTuple):
    """*before* must come before *after*, says *why*."""

    why: str
    before: int
    after: int


def broken(shown: Shown) -> set[str]:
    """Return what belongs to a smallest set of guarantees that cannot all hold."""
    sources, ceilings = _explained(shown)
    demands = _demands(shown, sources, sources | ceilings)
    smallest: list[set[str]] = []
    for size in range(1, 5):
        for chosen in map(set, combinations(ALL, size)):
            if any(found <= chosen for found in smallest):
                continue
            if not _satisfiable(shown, sources, demands, chosen):
                smallest.append(chosen)
    return set().union(*smallest)


def can_hold(shown: Shown, guarantees: set[str]) -> bool:
    """Return whether some source of every absent read allows *guarantees* together."""
    operations = shown.history.operations
    certain, _ = _explained(shown)
    absent = [
        read for read in range(len(operations)) if len(_candidates(shown, read)) > 1
    ]
    return any(
        _satisfiable(shown, sources, _demands(shown, sources, sources), guarantees)
        for sources in (
            certain | dict(zip(absent, choice, strict=True))
            for choice in product(*(_candidates(shown, read) for read in absent))
        )
    )


def unexplained(shown: Shown) -> int:
    """Return how many reads returned what nothing before them can have written."""
    return sum(
        one.f == "read" and not _candidates(shown, index)
        for index, one in enumerate(shown.history.operations)
    )


def _writes(shown: Shown, key: Key) -> list[int]:
    return [
        index
        for index, one in enumerate(shown.history.operations)
        if one.f != "read" and one.outcome is not Outcome.FAIL and one.key == key
    ]


def _candidates(shown: Shown, read: int) -> list[int]:
    one = shown.history.operations[read]
    if one.f != "read":
        return []
    found = [INITIAL] if one.result is None else []
    for write in _writes(shown, one.key):
        other = shown.history.operations[write]
        later = other.process == one.process and write > read
        if other.argument == one.result and not later:
            found.append(write)
    return found


def _explained(shown: Shown) -> tuple[dict[int, int], dict[int, int]]:
    """Return the sources of reads, and the last deletes for absent ones."""
    sources, ceilings = {}, {}
    for read, one in enumerate(shown.history.operations):
        found = _candidates(shown, read)
        if len(found) == 1:
            sources[read] = found[0]
        elif found:
            deletes = [
                write
                for write in _writes(shown, one.key)
                if shown.history.operations[write].f == "delete"
            ]
            ranks = {write: shown.ranks.get(2 * write) for write in deletes}
            known = {write: rank for write, rank in ranks.items() if rank is not None}
            if len(deletes) == 1:
                ceilings[read] = deletes[0]
            elif len(known) == len(deletes):
                ceilings[read] = max(known, key=lambda write: known[write])
    return sources, ceilings


def _demands(shown: Shown, sources: Explained, bounds: Explained) -> set[Pair]:
    operations = shown.history.operations
    found: set[Pair] = set()
    for index, one in enumerate(operations):
        if one.f != "read" and one.outcome is not Outcome.FAIL:
            for write in _acknowledged_before(operations, index, one.key):
                found.add(Pair(MW, write, index))
            for source in _read_before(operations, sources, index, one.key):
                found.add(Pair(WFR, source, index))
        elif index in bounds:
            for why, before in _due(operations, sources, index):
                found.add(Pair(why, before, bounds[index]))
    return {pair for pair in found if pair.before not in {pair.after, INITIAL}}


def _due(
    operations: tuple[Operation, ...], sources: Explained, read: int
) -> Iterator[tuple[str, int]]:
    """Yield what *read* must not be older than."""
    one = operations[read]
    for write in _acknowledged_before(operations, read, one.key):
        yield RYW, write
    for source in _read_before(operations, sources, read, one.key):
        yield MR, source
    for earlier, seen in sources.items():
        if earlier > read or operations[earlier].process != one.process:
            continue
        if seen == INITIAL or operations[seen].process == one.process:
            continue
        for write in _acknowledged_before(operations, seen, one.key):
            yield MW, write
        for source in _read_before(operations, sources, seen, one.key):
            yield WFR, source


def _acknowledged_before(
    operations: tuple[Operation, ...], index: int, key: Key
) -> list[int]:
    return [
        write
        for write, one in enumerate(operations[:index])
        if one.process == operations[index].process
        and one.key == key
        and one.f != "read"
        and one.outcome is Outcome.OK
    ]


def _read_before(
    operations: tuple[Operation, ...], sources: Explained, index: int, key: Key
) -> list[int]:
    return [
        sources[read]
        for read, one in enumerate(operations[:index])
        if one.process == operations[index].process
        and one.key == key
        and read in sources
    ]


def _satisfiable(
    shown: Shown, sources: Explained, demands: set[Pair], chosen: set[str]
) -> bool:
    """Return whether for each key some order of its writes meets what is demanded."""
    ranks = {
        write: rank for call, rank in shown.ranks.items() for write in (call // 2,)
    }
    for read, source in sources.items():
        if source != INITIAL and read in ranks:
            ranks[source] = ranks[read]
    wanted = [pair for pair in demands if pair.why in chosen]
    return all(
        any(
            _meets((INITIAL, *order), ranks, wanted)
            for order in permutations(_writes(shown, key))
        )
        for key in {one.key for one in shown.history.operations}
    )


def _meets(
    order: tuple[int, ...], ranks: Mapping[int, int], wanted: list[Pair]
) -> bool:
    ranked = [ranks[write] for write in order if write in ranks]
    if ranked != sorted(ranked):
        return False
    place = {write: index for index, write in enumerate(order)}
    return all(
        place[pair.before] < place[pair.after]
        for pair in wanted
        if pair.before in place and pair.after in place
    )
