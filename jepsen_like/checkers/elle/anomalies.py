"""
Anomalies and consistency models: which phenomenon contradicts which promise.

A model forbids anomalies of its own, all those that the models it implies forbid,
and every anomaly that is a special case of a forbidden one (G0 is a G1c, a G1c is
a G1c-process, ...).  The models, from weak to strong:

    read-uncommitted       writes are totally ordered (Adya's PL-1)
    read-committed         nobody sees aborted or unfinished work (PL-2)
    repeatable-read        no anti-dependency cycle on items (PL-2.99)
    snapshot-isolation     reads from one instant, first committer wins (PL-SI)
    serializable           some serial order explains everything (PL-3)
    strong-session-...     ... and agrees with the order of each client
    strict-serializable    ... and agrees with real time (PL-SS)

References:
    Adya, 1999.  Weak Consistency: A Generalized Theory and Optimistic
        Implementations for Distributed Transactions.
    Bailis et al., 2013.  Highly Available Transactions.
    Cerone, Bernardi & Gotsman, 2015.  A Framework for Transactional Consistency
        Models with Atomic Visibility.
    Daudjee & Salem, 2006.  Lazy Database Replication with Snapshot Isolation.
    Kingsbury & Alvaro, 2020.  Elle.  Section 6.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from jepsen_like.history.operation import Key, Operation
from jepsen_like.verdict import Judgement, Verdict, Witness

INTERNAL = "internal"
ABORTED_READ = "G1a"
INTERMEDIATE_READ = "G1b"
GARBAGE_READ = "garbage-read"
DUPLICATE_ELEMENTS = "duplicate-elements"
INCOMPATIBLE_ORDER = "incompatible-order"
DIRTY_UPDATE = "dirty-update"
FUTURE_READ = "future-read"
LOST_UPDATE = "lost-update"
CYCLIC_VERSIONS = "cyclic-versions"

_CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
_SUFFIXES = ("", "-process", "-realtime")

PLAINEST_FIRST: tuple[str, ...] = (
    DUPLICATE_ELEMENTS,
    INCOMPATIBLE_ORDER,
    ABORTED_READ,
    GARBAGE_READ,
    INTERMEDIATE_READ,
    DIRTY_UPDATE,
    FUTURE_READ,
    INTERNAL,
    CYCLIC_VERSIONS,
    LOST_UPDATE,
    *(name + suffix for suffix in _SUFFIXES for name in _CYCLES),
)
"""All anomalies; what needs the shortest explanation comes first."""

_IS_ALSO: Mapping[str, tuple[str, ...]] = {
    "G0": ("G1c",),
    "G-single": ("G-nonadjacent",),
    "G-nonadjacent": ("G2-item",),
    LOST_UPDATE: ("G2-item",),
    INCOMPATIBLE_ORDER: (ABORTED_READ,),
    GARBAGE_READ: (ABORTED_READ,),
    DIRTY_UPDATE: (ABORTED_READ,),
    FUTURE_READ: ("G1c",),
}
"""Special cases; the variants of cycles follow from them."""


class _Model(NamedTuple):
    """What a model implies, and what it forbids by itself."""

    implies: tuple[str, ...]
    forbids: tuple[str, ...]


_MODELS: Mapping[str, _Model] = {
    "read-uncommitted": _Model((), ("G0", DUPLICATE_ELEMENTS, CYCLIC_VERSIONS)),
    "read-committed": _Model(
        ("read-uncommitted",), (ABORTED_READ, INTERMEDIATE_READ, "G1c")
    ),
    "repeatable-read": _Model(("read-committed",), ("G2-item", LOST_UPDATE)),
    "snapshot-isolation": _Model(
        ("read-committed",), (INTERNAL, "G-nonadjacent", LOST_UPDATE)
    ),
    "serializable": _Model(("repeatable-read", "snapshot-isolation"), ()),
    "strong-session-snapshot-isolation": _Model(
        ("snapshot-isolation",), ("G1c-process", "G-nonadjacent-process")
    ),
    "strong-session-serializable": _Model(
        ("serializable", "strong-session-snapshot-isolation"), ("G2-item-process",)
    ),
    "strong-snapshot-isolation": _Model(
        ("strong-session-snapshot-isolation",),
        ("G1c-realtime", "G-nonadjacent-realtime"),
    ),
    "strict-serializable": _Model(
        ("strong-session-serializable", "strong-snapshot-isolation"),
        ("G2-item-realtime",),
    ),
}

LEVELS: tuple[str, ...] = tuple(_MODELS)
"""Names of the models, a weaker one always before a stronger one."""


def _more_general(name: str) -> list[str]:
    """Return what *name* is a special case of, by one step."""
    base, suffix = name, ""
    for candidate in _SUFFIXES[1:]:
        if name.endswith(candidate):
            base, suffix = name.removesuffix(candidate), candidate
    general = [
        each + suffix if each in _CYCLES else each for each in _IS_ALSO.get(base, ())
    ]
    # Clients do one thing at a time, so what contradicts their order contradicts
    # real time.
    if base in _CYCLES and suffix != _SUFFIXES[-1]:
        general.append(base + _SUFFIXES[_SUFFIXES.index(suffix) + 1])
    return general


@cache
def forbidden_by(level: str) -> frozenset[str]:
    """
    Return every anomaly that contradicts *level*.

    Raises:
        ValueError: There is no such level.
    """
    if level not in _MODELS:
        msg = f"no level is called {level!r}: there are {', '.join(LEVELS)}"
        raise ValueError(msg)
    model = _MODELS[level]
    forbidden = set(model.forbids)
    for weaker in model.implies:
        forbidden |= forbidden_by(weaker)
    while True:
        special = {
            name
            for name in PLAINEST_FIRST
            if name not in forbidden and forbidden.intersection(_more_general(name))
        }
        if not special:
            return frozenset(forbidden)
        forbidden |= special


def contradicted_by(names: Iterable[str]) -> tuple[str, ...]:
    """Return the levels that anomalies called *names* contradict, weak to strong."""
    present = set(names)
    return tuple(level for level in LEVELS if present & forbidden_by(level))


class Anomaly(NamedTuple):
    """
    One thing that went wrong.

    Attributes:
        name: One of `PLAINEST_FIRST`.
        explanation: What is contradictory about it.
        operations: Who took part.
        key: Where, if at one key.
    """

    name: str
    explanation: str
    operations: tuple[Operation, ...]
    key: Key = None


EXAMPLES_MAX = 3
"""So many of each kind are kept and shown; all are counted."""


class Findings:
    """Anomalies found so far: all counted, the first few of each kind kept."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._kept: dict[str, list[Anomaly]] = {}

    def wanted(self, name: str) -> bool:
        """Return whether one more example of *name* would be kept."""
        return len(self._kept.get(name, ())) < EXAMPLES_MAX

    def count(self, name: str, more: int = 1) -> None:
        """Count *more* anomalies."""
        assert name in PLAINEST_FIRST, f"an anomaly that no model knows: {name}"
        if more:
            self.counts[name] = self.counts.get(name, 0) + more

    def keep(self, anomaly: Anomaly) -> None:
        """Keep an example of what has been counted, if there is room."""
        if self.wanted(anomaly.name):
            self._kept.setdefault(anomaly.name, []).append(anomaly)

    def judgement(
        self, checker: str, level: str, figures: Mapping[str, int | float | str]
    ) -> Judgement:
        """Return what these findings say of *level*, with *figures* besides counts."""
        names = [name for name in PLAINEST_FIRST if name in self.counts]
        shown: dict[str, int | float | str] = dict(figures)
        shown.update((f"{name} anomalies", self.counts[name]) for name in names)
        if contradicted := contradicted_by(names):
            weakest = (
                level
                for level in contradicted
                if not any(weaker in contradicted for weaker in _MODELS[level].implies)
            )
            shown["weakest levels contradicted"] = ", ".join(weakest)
        guilty = [name for name in names if name in forbidden_by(level)]
        if not guilty:
            return Judgement(checker, Verdict.VALID, figures=shown)
        listed = ", ".join(f"{name} ({self.counts[name]})" for name in guilty)
        return Judgement(
            checker,
            Verdict.INVALID,
            reason=f"not {level}: {listed}",
            witnesses=tuple(
                Witness(each.name, each.explanation, _in_order(each), each.key)
                for name in guilty
                for each in self._kept[name]
            ),
            figures=shown,
        )


def _in_order(anomaly: Anomaly) -> tuple[Operation, ...]:
    unique = {id(operation): operation for operation in anomaly.operations}
    return tuple(sorted(unique.values(), key=lambda operation: operation.called))
