"""
What stores promise, as sets of checkers.

An eventually consistent store with sessions promises convergence, durability,
that conflicts are accounted for, and the four guarantees to sessions, which are
causal consistency together.  A strong one promises linearizability.

Versions, where a store tells them, are texts in the order in which it ranks
writes: an adapter writes them so.
"""

from collections.abc import Callable, Sequence

from jepsen_like.checkers import (
    conflicts,
    convergence,
    durability,
    isolation,
    linearizable,
    sessions,
    staleness,
)
from jepsen_like.checkers.access import writes_of
from jepsen_like.checkers.finals import with_finals
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.workload import Final

VERSION_BYTES_MAX = 256
"""Versions are compared by so many bytes; kvnode's have about 60."""

WRONG_CLOCK_SLACK_MS = 1000
"""
Bounds are kept whatever clocks say, but for what a report takes on its way.

A peer's clock that was set is noticed by the next probe only; until then what it
dates may seem to have been sent when it came (docs/decisions/0014).
"""

Judge = Callable[[History], tuple[Judgement, ...]]


def rank(version: str) -> str:
    """Return by what versions compare: they are in order as they are."""
    return version


def finals_of(keys: Sequence[Key], asked: Sequence[str]) -> tuple[Final, ...]:
    """Return all that is *asked* of each of *keys*; conflict logs are a node's own."""
    return tuple(Final(f, key, alike=f != "conflicts") for key in keys for f in asked)


def place_of(operation: Operation) -> int | None:
    """Return the version of *operation* as a number, in the order of versions."""
    if not operation.version:
        return None
    padded = operation.version.encode()[:VERSION_BYTES_MAX]
    return int.from_bytes(padded.ljust(VERSION_BYTES_MAX, b"\0"))


def eventual_register(history: History) -> tuple[Judgement, ...]:
    """Judge registers of an eventually consistent store with sessions."""
    return (
        convergence.check(history),
        durability.check(history, order_of=rank),
        conflicts.check(history),
        *sessions.check(plain(history), order_of=place_of),
        staleness.check(
            history, order_of=rank, wrong_clock_slack_ms=WRONG_CLOCK_SLACK_MS
        ),
    )


def causal_register(history: History) -> tuple[Judgement, ...]:
    """Judge causal convergence besides, for histories without deletes."""
    causal = isolation.check(plain(history), "causal")
    return (*eventual_register(history), causal)


def plain(history: History) -> History:
    """Return reads, writes and deletes of *history*, swaps as what they wrote."""
    return History(
        tuple(filter(None, map(_plain, history.operations))),
        history.faults,
        history.header,
    )


def _plain(operation: Operation) -> Operation | None:
    if operation.f in {"read", "write", "delete"}:
        return operation
    if operation.f != "cas":
        return None
    for access in writes_of(operation):
        return operation._replace(f="write", argument=access.value, result=None)
    return None


def linearizable_register(history: History) -> tuple[Judgement, ...]:
    """Judge registers of a store that claims linearizability."""
    return (linearizable.check(with_finals(history), "register"),)


def linearizable_cas(history: History) -> tuple[Judgement, ...]:
    """Judge registers that can be swapped, of a store that claims linearizability."""
    return (linearizable.check(with_finals(history), "cas-register"),)


def linearizable_restores(history: History) -> tuple[Judgement, ...]:
    """Judge registers that can be restored, of a store that claims linearizability."""
    return (linearizable.check(with_finals(history), "restorable-register"),)
