"""
Cycles in words: who must commit before whom, and why.

Every step of a cycle becomes a sentence; one that was inferred also says how its
reader had seen the write that it did not read.  The transactions that take part are
listed first, by their places in the history, counted from 0.
"""

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from jepsen_like.checkers.isolation.commit_order import CommitOrder, Relation, Step
from jepsen_like.checkers.isolation.transactions import (
    INITIAL,
    Transactions,
    micro_operations,
)
from jepsen_like.history.operation import Key, Value
from jepsen_like.verdict import Witness

_VALUE_CHARS_MAX = 60
_STEPS_MAX = 12


class Level(Enum):
    """An isolation level, by the name under which users select it."""

    READ_COMMITTED = "read-committed"
    READ_ATOMIC = "read-atomic"
    CAUSAL = "causal"
    WEAK_CAUSAL = "weak-causal"


class Contradiction(NamedTuple):
    """
    Steps that cannot all be, and the reads on which they rest.

    Attributes:
        witness: The steps for people.
        reads: (reader, source) of all reads that take part.
    """

    witness: Witness
    reads: tuple[tuple[int, int], ...]


def explain(order: CommitOrder, cycle: Sequence[Step], level: Level) -> Contradiction:
    """Return *cycle*, which contradicts *level*, as a witness."""
    return _Explainer(order, level).explain(cycle)


class _Explainer:
    """Writes down one cycle."""

    def __init__(self, order: CommitOrder, level: Level) -> None:
        self._order = order
        self._transactions: Transactions = order.transactions
        self._level = level
        self._involved: set[int] = set()
        self._keys: set[Key] = set()
        self._reads: dict[tuple[int, int], None] = {}

    def explain(self, cycle: Sequence[Step]) -> Contradiction:
        """Return the witness of *cycle*."""
        sentences = [self._sentence(step) for step in cycle]
        numbers = sorted(self._involved)
        listed = [self._described(number) for number in numbers]
        loop = " < ".join(self._label(step.before) for step in cycle)
        if cycle[-1].after == INITIAL:
            end = "Nothing commits before the initial values are there."
        else:
            end = (
                f"So {loop} < {self._label(cycle[0].before)}"
                " in the order of commits, which no order allows."
            )
        witness = Witness(
            kind=self._kind(cycle),
            explanation="\n".join([*listed, *sentences, end]),
            operations=tuple(self._transactions.operations[n] for n in numbers),
            key=next(iter(self._keys)) if len(self._keys) == 1 else None,
        )
        return Contradiction(witness, tuple(self._reads))

    def _kind(self, cycle: Sequence[Step]) -> str:
        inferred = [step for step in cycle if step.relation is Relation.INFERRED]
        if not inferred:
            return "cyclic causal order (CyclicCO)"
        if self._level is Level.READ_COMMITTED:
            return "non-monotonic reads"
        if self._level is Level.READ_ATOMIC:
            return "fractured read"
        if inferred[0].after == INITIAL:
            return "initial value read after a write (WriteCOInitRead)"
        if len(inferred) == 1:
            return "overwritten value read (WriteCORead)"
        return "no common order of conflicting writes (CyclicCF)"

    def _label(self, number: int) -> str:
        if number == INITIAL:
            return "the initial values"
        self._involved.add(number)
        return self._transactions.labels[number]

    def _described(self, number: int) -> str:
        transactions = self._transactions
        operation = transactions.operations[number]
        process = operation.process
        steps = [
            f"{'w' if step.write else 'r'} {step.key}={_shown(step.value)}"
            for step in micro_operations(operation, number, None)
        ]
        if len(steps) > _STEPS_MAX:
            steps = [*steps[:_STEPS_MAX], f"and {len(steps) - _STEPS_MAX} more"]
        return f"{transactions.labels[number]} (process {process}): {', '.join(steps)}."

    def _reason(self, step: Step) -> str:
        """Return why a *step* of session order or wr is there."""
        if step.relation is Relation.SESSION:
            process = self._transactions.operations[step.before].process
            return f"process {process} ran {self._label(step.before)} first"
        read = next(
            read
            for read in self._transactions.reads[step.after]
            if read.source == step.before
        )
        self._reads[step.after, step.before] = None
        return (
            f"{self._label(step.after)} read {read.key}={_shown(read.value)}"
            f" from {self._label(step.before)}"
        )

    def _sentence(self, step: Step) -> str:
        before, after = self._label(step.before), self._label(step.after)
        if step.relation is not Relation.INFERRED:
            return f"{before} committed before {after} because {self._reason(step)}."
        number = self._order.reader(step)
        read = self._order.decisive_read(step)
        self._keys.add(read.key)
        self._reads[number, step.after] = None
        reader = self._label(number)
        written = self._transactions.writes[step.before][read.key]
        origin = ", the initial value" if step.after == INITIAL else f" from {after}"
        return (
            f"{before} committed before {after} because {reader} read"
            f" {read.key}={_shown(read.value)}{origin}, although it had seen"
            f" {before}, which wrote {read.key}={_shown(written)}:"
            f" {self._seen(step.before, number)}."
        )

    def _seen(self, before: int, reader: int) -> str:
        """Return how *reader* had seen *before*."""
        if any(read.source == before for read in self._transactions.reads[reader]):
            return self._reason(Step(before, reader, Relation.READ))
        steps = self._order.path(before, reader)
        assert steps, "what a level says was seen happens before the reader"
        assert all(a.after == b.before for a, b in pairwise(steps)), "a path is whole"
        return ", ".join(self._reason(step) for step in steps)


def _shown(value: Value) -> str:
    text = repr(value)
    if len(text) <= _VALUE_CHARS_MAX:
        return text
    return f"{text[:_VALUE_CHARS_MAX]}..."
