"""
Isolation levels of histories of reads and writes.

Levels, weaker ones left:

    read-committed < read-atomic < causal
                     weak-causal < causal

(Sessions that disagree for ever about an order of writes are weakly causal, but not
even read atomic.)

Every read is linked to the transaction that wrote its value; what the level demands
of the commit order is inferred from that; a cycle of demands is the contradiction.

Where a value was written to a key more than once, a read of it is open.  The level
then holds if it does for some choice of sources:

1. Without the open reads fewer demands are made; what is contradictory without them
   stays so with them.
2. Otherwise sources are tried, first those that a store most likely returned.  A
   contradiction names the choices on which it rests; no trial repeats such a
   combination.  When there is no other left, the history is invalid; when the
   trials or the time run out, nothing is known.

References:
    Møldrup & Pavlogiannis, 2025.  AWDIT: an optimal weak database isolation tester.
    Bouajjani, Enea, Guerraoui & Hamza, 2017.  On verifying causal consistency.
    Nieuwenhuis, Oliveras & Tinelli, 2006.  Solving SAT and SAT modulo theories (for
        learning from contradictions).
"""

from collections.abc import Mapping
from itertools import islice

from jepsen_like.checkers.budget import SECONDS_DEFAULT, Budget
from jepsen_like.checkers.isolation.commit_order import CYCLES_MAX, CommitOrder
from jepsen_like.checkers.isolation.explanation import Contradiction, Level, explain
from jepsen_like.checkers.isolation.happens_before import topological_order
from jepsen_like.checkers.isolation.levels import (
    causal,
    read_atomic,
    read_committed,
    weak_causal,
)
from jepsen_like.checkers.isolation.open_reads import ExhaustedError, OpenReads
from jepsen_like.checkers.isolation.sources import Linked, link
from jepsen_like.checkers.isolation.transactions import (
    Transactions,
    UnsuitableHistoryError,
)
from jepsen_like.history.history import History
from jepsen_like.verdict import Judgement, Verdict

TRIALS_MAX = 1_000
"""Combinations of sources that are tried."""

LEVELS = tuple(level.value for level in Level)
"""The levels by name."""


def check(history: History, level: str, *, budget: float | None = None) -> Judgement:
    """
    Judge whether *history* satisfies an isolation *level*.

    Args:
        history: Operations `read`, `write`, `delete` (writes the initial value) and
            `txn` of micro-operations ("r" or "w", key, value).
        level: One of `LEVELS`.
        budget: Seconds, > 0, that may be spent on reads whose value was written more
            than once; None for `SECONDS_DEFAULT`.

    Returns:
        UNKNOWN if there are other operations, or the budget did not suffice.

    Raises:
        ValueError: There is no such level, or *budget* is not positive.
    """
    if level not in LEVELS:
        msg = f"no level is called {level!r}; there are {', '.join(LEVELS)}"
        raise ValueError(msg)
    try:
        linked = link(history)
    except UnsuitableHistoryError as error:
        return Judgement(level, Verdict.UNKNOWN, str(error))
    return _Check(linked, Level(level)).judge(
        Budget(SECONDS_DEFAULT if budget is None else budget)
    )


class _Check:
    """One history at one level."""

    def __init__(self, linked: Linked, level: Level) -> None:
        self._linked = linked
        self._level = level
        transactions = linked.transactions
        self._figures: dict[str, int | float | str] = {
            "transactions": len(transactions),
            "micro-operations": transactions.micro_operations,
            "sessions": len(transactions.members),
            "open reads": len(linked.choices),
        }

    def judge(self, budget: Budget) -> Judgement:
        """Return the verdict; trials of open reads end with the *budget*."""
        linked = self._linked
        if linked.anomalies:
            first = linked.anomalies[0]
            reason = f"{linked.anomaly_count} reads that no level allows: {first.kind}"
            return Judgement(
                self._level.value,
                Verdict.INVALID,
                reason,
                tuple(linked.anomalies),
                self._figures,
            )
        found = contradiction(linked.transactions, self._level)
        if found is not None:
            return self._invalid(found)
        if not linked.choices:
            return self._valid()
        return self._try_sources(budget)

    def _valid(self) -> Judgement:
        return Judgement(self._level.value, Verdict.VALID, figures=self._figures)

    def _invalid(self, found: Contradiction, remark: str = "") -> Judgement:
        witness = found.witness
        return Judgement(
            self._level.value,
            Verdict.INVALID,
            f"{witness.kind}{remark}",
            (witness,),
            self._figures,
        )

    def _try_sources(self, budget: Budget) -> Judgement:
        transactions = self._linked.transactions
        open_reads = OpenReads(self._linked.choices, transactions)
        found = None
        for trial in range(1, TRIALS_MAX + 1):
            self._figures["trials"] = trial
            try:
                chosen = open_reads.next_choice()
            except ExhaustedError:
                break
            if chosen is None:
                assert found is not None, "what rules a choice out was found"
                return self._invalid(
                    found, "; no other choice of equal writes to read from helps"
                )
            found = contradiction(transactions.with_sources(chosen), self._level)
            if found is None:
                return self._valid()
            open_reads.rule_out(_chosen_in(found, chosen))
            if not budget.spend(len(transactions)):
                break
        reason = (
            f"{len(self._linked.choices)} reads are of values that were written more"
            f" than once; {self._figures['trials']} combinations were tried and none"
            " fits: write each value once, or allow more time"
        )
        return Judgement(
            self._level.value, Verdict.UNKNOWN, reason, figures=self._figures
        )


def _chosen_in(
    found: Contradiction, chosen: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], int]:
    """Return those choices on which what was *found* rests."""
    reads = set(found.reads)
    return {
        place: source for place, source in chosen.items() if (place[0], source) in reads
    }


def contradiction(transactions: Transactions, level: Level) -> Contradiction | None:
    """Return what contradicts *level*, or None; open reads demand nothing."""
    order = CommitOrder(transactions)
    match level:
        case Level.READ_COMMITTED:
            read_committed.infer(order)
        case Level.READ_ATOMIC:
            read_atomic.infer(order)
        case Level.CAUSAL | Level.WEAK_CAUSAL:
            topological = topological_order(transactions)
            if topological is not None:
                infer = causal.infer if level is Level.CAUSAL else weak_causal.infer
                infer(order, topological)
    cycles = [[step] for step in islice(order.before_initial(), CYCLES_MAX)]
    explained = [explain(order, cycle, level) for cycle in cycles or order.cycles()]
    return min(explained, key=lambda one: len(one.witness.operations), default=None)
