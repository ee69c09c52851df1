"""
Where reads come from, and the reads that no level allows.

A read that follows a write of its own transaction to the key returns the last of
them.  Any other returns what some committed transaction wrote last to the key, or
the initial value.  What else a read can return is an anomaly at every level:

- thin-air read: nothing ever wrote the value
- aborted read (G1a): what wrote it had failed
- intermediate read (G1b): its transaction wrote the key again afterwards
- future read: the reading transaction itself wrote it, later
- own write missed: the reading transaction had written the key before

References:
    Adya, Liskov & O'Neil, 2000.  Generalized isolation level definitions.
    Møldrup & Pavlogiannis, 2025.  AWDIT, section 2: read consistency.
"""

from dataclasses import dataclass, field

from jepsen_like.checkers.isolation.transactions import (
    INITIAL,
    OPEN,
    CellValue,
    Choice,
    MicroOperation,
    Read,
    Transactions,
    Unlinked,
    lay_out,
    unlinked,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Witness

WITNESSES_MAX = 8
"""Anomalies of single reads that are shown; people need one."""


@dataclass(slots=True)
class Linked:
    """
    Transactions with their sources.

    Attributes:
        transactions: With every read that has one source linked to it.
        choices: Reads that may be of several transactions.
        anomalies: Reads that no level allows, `WITNESSES_MAX` at most.
        anomaly_count: How many there are.
    """

    transactions: Transactions
    choices: list[Choice] = field(default_factory=list)
    anomalies: list[Witness] = field(default_factory=list)
    anomaly_count: int = 0


@dataclass(slots=True)
class _Writers:
    """Who wrote a value to a key: last, before a later write, or in vain."""

    final: dict[CellValue, list[int]] = field(default_factory=dict)
    intermediate: dict[CellValue, Unlinked] = field(default_factory=dict)
    aborted: dict[CellValue, Unlinked] = field(default_factory=dict)


def link(history: History) -> Linked:
    """
    Return the transactions of *history* with the source of every read.

    Raises:
        UnsuitableHistoryError: An operation is no read, write or transaction.
    """
    everything = unlinked(history)
    asked_for = {
        (step.key, step.value)
        for one in everything
        for step in one.steps
        if not step.write
    }
    committed = []
    aborted = []
    for one in everything:
        if one.operation.outcome is Outcome.FAIL:
            aborted.append(one)
        elif one.operation.outcome is Outcome.OK or any(
            (step.key, step.value) in asked_for for step in one.steps
        ):
            committed.append(one)
    linked = Linked(lay_out(committed))
    writers = _writers(committed, aborted, linked.transactions)
    linker = _Linker(linked, writers, history.header.initial)
    for number, one in enumerate(committed):
        linker.link(number, one)
    return linked


def _writers(
    committed: list[Unlinked], aborted: list[Unlinked], transactions: Transactions
) -> _Writers:
    writers = _Writers()
    for number, one in enumerate(committed):
        final = transactions.writes[number]
        for cell in final.items():
            writers.final.setdefault(cell, []).append(number)
        if sum(step.write for step in one.steps) == len(final):
            continue
        for step in one.steps:
            if step.write and final[step.key] != step.value:
                writers.intermediate.setdefault((step.key, step.value), one)
    for one in aborted:
        for step in one.steps:
            writers.aborted.setdefault((step.key, step.value), one)
    return writers


class _Linker:
    """Links one transaction after the other."""

    def __init__(self, linked: Linked, writers: _Writers, initial: Value) -> None:
        self._linked = linked
        self._writers = writers
        self._initial = initial

    def link(self, number: int, one: Unlinked) -> None:
        """Find the sources of all that transaction *number* read."""
        own: dict[Key, Value] = {}
        for place, step in enumerate(one.steps):
            if step.write:
                own[step.key] = step.value
            elif step.key not in own:
                self._link_external(number, one, place, step)
            elif own[step.key] != step.value:
                self._report(
                    "own write missed",
                    f"{_who(one)} wrote {step.key}={own[step.key]!r} and then read"
                    f" {step.key}={step.value!r}.",
                    step.key,
                    one.operation,
                )

    def _link_external(
        self, number: int, one: Unlinked, place: int, step: MicroOperation
    ) -> None:
        final = self._writers.final.get((step.key, step.value), ())
        initial = step.value == self._initial
        if len(final) == 1 and not initial and final[0] != number:
            read = Read(place, step.key, step.value, final[0])
            self._linked.transactions.reads[number].append(read)
            return
        candidates = [writer for writer in final if writer != number]
        if initial:
            candidates.append(INITIAL)
        if not candidates:
            self._report_impossible(number, one, step)
            return
        reads = self._linked.transactions.reads[number]
        if len(candidates) == 1:
            reads.append(Read(place, step.key, step.value, candidates[0]))
            return
        choice = Choice(number, len(reads), tuple(candidates))
        self._linked.choices.append(choice)
        reads.append(Read(place, step.key, step.value, OPEN))

    def _report_impossible(
        self, number: int, one: Unlinked, step: MicroOperation
    ) -> None:
        cell = (step.key, step.value)
        shown = f"{step.key}={step.value!r}"
        aborted = self._writers.aborted.get(cell)
        intermediate = self._writers.intermediate.get(cell)
        if number in self._writers.final.get(cell, ()) or intermediate is one:
            self._report(
                "future read",
                f"{_who(one)} read {shown}, which only it itself wrote, afterwards.",
                step.key,
                one.operation,
            )
        elif intermediate is not None:
            self._report(
                "intermediate read (G1b)",
                f"{_who(one)} read {shown} of {_who(intermediate)}, which wrote"
                f" {step.key} again before it committed.",
                step.key,
                one.operation,
                intermediate.operation,
            )
        elif aborted is not None:
            self._report(
                "aborted read (G1a)",
                f"{_who(one)} read {shown} of {_who(aborted)}, which failed.",
                step.key,
                one.operation,
                aborted.operation,
            )
        else:
            self._report(
                "thin-air read",
                f"{_who(one)} read {shown}, which nothing ever wrote"
                f" and which is not the initial value {self._initial!r}.",
                step.key,
                one.operation,
            )

    def _report(
        self, kind: str, explanation: str, key: Key, *operations: Operation
    ) -> None:
        self._linked.anomaly_count += 1
        if len(self._linked.anomalies) < WITNESSES_MAX:
            ordered = tuple(sorted(operations, key=lambda one: one.called))
            self._linked.anomalies.append(Witness(kind, explanation, ordered, key))


def _who(one: Unlinked) -> str:
    return f"T{one.place} (process {one.operation.process})"
