"""
How fast anomalies of transactions are found, at the size of a long test.

Twenty clients run 100,000 transactions of one to four micro-operations, a quarter
of each length.  Ten keys are in use at a time and each is replaced after 32 writes,
as in Elle's own generator.  In the bad histories one read in fifty misses the newest
version, all over, and one long after the end sees the very first key still empty:
that makes all transactions one component of the dependency graph, the worst case.
"""

from collections.abc import Callable
from functools import partial
from random import Random

from jepsen_like.benchmarks.section import Section
from jepsen_like.checkers.elle import (
    VersionAssumptions,
    check_list_append,
    check_rw_register,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict

SEED = 20200831
TRANSACTIONS = 100_000
LENGTHS = (1, 2, 3, 4)
MICRO_OPERATIONS = TRANSACTIONS * sum(LENGTHS) // len(LENGTHS)
CLIENTS = 20
KEYS = 10
WRITES_PER_KEY_MAX = 32
READ_SHARE = 0.5
STALE_SHARE = 0.02
AIM_S = 30.0

_TICKS = 10
"""Ticks between calls; a client's next call is CLIENTS times later."""

_Versions = list[Value]


class _Database:
    """Keys with all their versions; transactions happen at their calls, in order."""

    def __init__(self, write: str, stale_share: float) -> None:
        self._rng = Random(SEED)  # noqa: S311 - the same history every time
        self._write = write
        self._stale_share = stale_share
        self._written = 0
        self._next_key = KEYS
        self._keys = list(range(KEYS))
        self._versions: dict[int, _Versions] = {key: [None] for key in self._keys}

    def operation(self, number: int, length: int) -> Operation:
        """Return transaction *number*, of *length* micro-operations."""
        asked: list[Value] = []
        done: list[Value] = []
        seen: dict[int, Value] = {}
        for _ in range(length):
            place = self._rng.randrange(KEYS)
            key = self._keys[place]
            if self._rng.random() < READ_SHARE:
                # A transaction never contradicts itself, not even here.
                value = seen.setdefault(key, self._read(key))
                asked.append(("r", key, None))
                done.append(("r", key, value))
                continue
            step, seen[key] = self._written_step(key)
            asked.append(step)
            done.append(step)
            if len(self._versions[key]) > WRITES_PER_KEY_MAX:
                self._keys[place] = self._next_key
                self._versions[self._next_key] = [None]
                self._next_key += 1
        called = number * _TICKS
        return Operation(
            process=number % CLIENTS,
            f="txn",
            key=None,
            argument=tuple(asked),
            result=tuple(done),
            called=called,
            returned=called + self._rng.randrange(1, _TICKS * (CLIENTS - 1)),
            outcome=Outcome.OK,
        )

    def _read(self, key: int) -> Value:
        versions = self._versions[key]
        stale = len(versions) > 1 and self._rng.random() < self._stale_share
        return versions[-2] if stale else versions[-1]

    def _written_step(self, key: int) -> tuple[Value, Value]:
        self._written += 1
        versions = self._versions[key]
        value: Value = self._written
        if self._write == "append":
            before = versions[-1]
            value = (*(before if isinstance(before, tuple) else ()), self._written)
        versions.append(value)
        return (self._write, key, self._written), value


def history_of(write: str, stale_share: float) -> History:
    """
    Return the history of `TRANSACTIONS` transactions; the same at every call.

    Args:
        write: `append` for lists, `w` for registers.
        stale_share: How many reads miss the newest version, from 0 to 1.
    """
    database = _Database(write, stale_share)
    lengths = list(LENGTHS) * (TRANSACTIONS // len(LENGTHS))
    Random(SEED).shuffle(lengths)  # noqa: S311 - the same history every time
    lengths.remove(LENGTHS[0])
    lengths.append(LENGTHS[0])  # the last may become a single read
    operations = [
        database.operation(number, length) for number, length in enumerate(lengths)
    ]
    if stale_share > 0:
        operations[-1] = _blind(operations[-1])
    return History.of(operations)


def _blind(operation: Operation) -> Operation:
    """Return a read long after *operation* that sees the first key still empty."""
    late = operation.called + TRANSACTIONS * _TICKS
    return operation._replace(
        argument=(("r", 0, None),),
        result=(("r", 0, None),),
        called=late,
        returned=late + 1,
    )


def _registers(history: History) -> Judgement:
    """Judge registers with all that their versions can tell under strictness."""
    assumptions = VersionAssumptions(writes_follow_reads=True, linearizable_keys=True)
    return check_rw_register(history, assumptions=assumptions)


def sections() -> list[Section]:
    """Return what is measured: lists and registers, good and bad."""
    sizes = f"{TRANSACTIONS:,} transactions, {MICRO_OPERATIONS:,} micro-operations"
    kinds: list[tuple[str, str, Callable[[History], Judgement]]] = [
        ("list-append", "append", check_list_append),
        ("rw-register", "w", check_rw_register),
        ("rw-register with inferred versions", "w", _registers),
    ]
    return [
        Section(
            name=f"Elle {name}, {quality}, {sizes}",
            aim_s=AIM_S,
            make=partial(history_of, write, share),
            judge=judge,
            expected=expected,
        )
        for name, write, judge in kinds
        for quality, share, expected in (
            ("good", 0.0, Verdict.VALID),
            ("bad", STALE_SHARE, Verdict.INVALID),
        )
    ]
