"""
Isolation levels by their definitions: try everything.

Every subset of the transactions left open, every source of every read, and every
order of commits.  For weak causal consistency, every order of what happened before
each read.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Outcome, Value

INITIAL = -1


class Read(NamedTuple):
    """A read of another transaction: by whom, its place there, of what, what."""

    reader: int
    place: int
    key: Key
    value: Value


class Small(NamedTuple):
    """Committed transactions: their steps, session order, last writes and reads."""

    steps: list[tuple[tuple[str, Key, Value], ...]]
    session_order: set[tuple[int, int]]
    final: list[dict[Key, Value]]
    reads: list[Read]


def satisfied(history: History, level: str) -> bool:
    """Return whether *history* satisfies *level*."""
    undecided = [
        place
        for place, operation in enumerate(history.operations)
        if operation.outcome is Outcome.INFO
    ]
    for happened in product((True, False), repeat=len(undecided)):
        gone = {p for p, keep in zip(undecided, happened, strict=True) if not keep}
        small = _committed(history, gone)
        if small is not None and _satisfied(small, level, history.header.initial):
            return True
    return False


def steps_of(raw: Value) -> tuple[tuple[str, Key, Value], ...]:
    """Return the micro-operations of a transaction."""
    assert isinstance(raw, tuple)
    steps = []
    for step in raw:
        assert isinstance(step, tuple)
        f, key, value = step
        assert isinstance(f, str)
        assert isinstance(key, str | int | None)
        steps.append((f, key, value))
    return tuple(steps)


def _committed(history: History, gone: set[int]) -> Small | None:
    """Return what committed; None if a read contradicts its own transaction."""
    small = Small([], set(), [], [])
    told: list[tuple[int, int, bool]] = []
    for place, operation in enumerate(history.operations):
        if operation.outcome is Outcome.FAIL or place in gone:
            continue
        known = operation.outcome is Outcome.OK
        raw = operation.result if known else operation.argument
        number = len(small.steps)
        small.steps.append(steps_of(raw))
        own: dict[Key, Value] = {}
        for index, (f, key, value) in enumerate(small.steps[number]):
            if f == "w":
                own[key] = value
            elif not known:
                continue
            elif key not in own:
                small.reads.append(Read(number, index, key, value))
            elif own[key] != value:
                return None
        small.final.append(own)
        for earlier, process, acknowledged in told:
            if process == operation.process and acknowledged:
                small.session_order.add((earlier, number))
        told.append((number, operation.process, known))
    return small


def _sources(small: Small, initial: Value) -> Iterator[tuple[int, ...]]:
    """Yield every choice of whom the reads were of."""
    candidates = []
    for read in small.reads:
        found = [
            number
            for number, final in enumerate(small.final)
            if number != read.reader
            and read.key in final
            and final[read.key] == read.value
        ]
        if read.value == initial:
            found.append(INITIAL)
        candidates.append(found)
    return product(*candidates)


def _satisfied(small: Small, level: str, initial: Value) -> bool:
    weak = level == "weak-causal"
    return any(
        _weakly_causal(small, sources)
        if weak
        else _has_order(small, _demands(small, sources, level))
        for sources in _sources(small, initial)
    )


def _happens_before(small: Small, sources: Sequence[int]) -> set[tuple[int, int]]:
    pairs = small.session_order | {
        (source, read.reader)
        for read, source in zip(small.reads, sources, strict=True)
        if source != INITIAL
    }
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


def _demands(small: Small, sources: Sequence[int], level: str) -> set[tuple[int, int]]:
    """Return pairs that must commit in this order at *level*, by its axiom."""
    linked = list(zip(small.reads, sources, strict=True))
    direct = small.session_order | {
        (source, read.reader) for read, source in linked if source != INITIAL
    }
    seen = _happens_before(small, sources) if level == "causal" else direct
    demands = set(direct)
    for read, source in linked:
        for other, final in enumerate(small.final):
            if other == source or read.key not in final:
                continue
            if level == "read-committed":
                visible = any(
                    one.reader == read.reader
                    and one.place < read.place
                    and its_source == other
                    for one, its_source in linked
                )
            else:
                visible = (other, read.reader) in seen
            if visible:
                demands.add((other, source))
    return demands


def _has_order(small: Small, demands: set[tuple[int, int]]) -> bool:
    """Return whether some order of commits, after the initial one, has them all."""
    for order in permutations(range(len(small.steps))):
        place = {number: index for index, number in enumerate(order)}
        place[INITIAL] = -1
        if all(place[before] < place[after] for before, after in demands):
            return True
    return False


def _weakly_causal(small: Small, sources: Sequence[int]) -> bool:
    """Return whether each read can be the last write in some order of its past."""
    before = _happens_before(small, sources)
    if any(one == other for one, other in before):
        return False
    for read, source in zip(small.reads, sources, strict=True):
        past = [one for one, later in before if later == read.reader]
        if not any(
            _last_writer(small, read.key, order) == source
            for order in permutations(past)
            if not any(
                (later, earlier) in before
                for index, earlier in enumerate(order)
                for later in order[index + 1 :]
            )
        ):
            return False
    return True


def _last_writer(small: Small, key: Key, order: Sequence[int]) -> int:
    return next((one for one in reversed(order) if key in small.final[one]), INITIAL)
