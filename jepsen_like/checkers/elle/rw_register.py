"""
Read-write registers: transactions that write unique values and read them.

A read tells who wrote the value (wr), but not which value came before: the order of
versions must be inferred, and is partial.

    initial      nil, never written, comes before every other value
    wfr          a transaction that read v and then wrote w: v before w
    sequential   each client sees the versions of a key in their order
    linearizable the versions of a key agree with real time

Only the first holds always, so only it is taken for granted; that is also what Elle
does by default.  The others are promises of a store, and `VersionAssumptions` says
which to take as given.  If one contradicts the versions that were seen, that is an
anomaly of its own (cyclic-versions), and it is not used for that key.

From v before w follow ww (who wrote v -> who wrote w) and rw (who read v -> who
wrote w).  A value that nobody wrote is taken for one from before the history.

Reference:
    Kingsbury & Alvaro, 2020.  Elle: Inferring Isolation Anomalies from
        Experimental Observations.  VLDB 14(3).  Section 5.2.
"""

from collections.abc import Sequence

from jepsen_like.checkers.elle.anomalies import (
    ABORTED_READ,
    INTERMEDIATE_READ,
    INTERNAL,
    Anomaly,
    Findings,
    forbidden_by,
)
from jepsen_like.checkers.elle.deadline import Deadline, OutOfTimeError
from jepsen_like.checkers.elle.explain import (
    Named,
    add_cycles,
    operation_key,
    value_shown,
)
from jepsen_like.checkers.elle.graph import RW, WR, WW, Graph
from jepsen_like.checkers.elle.lost_update import add_lost_updates
from jepsen_like.checkers.elle.transactions import (
    READ,
    RW_REGISTER,
    Transaction,
    UnusableHistoryError,
    transactions_of,
)
from jepsen_like.checkers.elle.versions import (
    Register,
    VersionAssumptions,
    add_version_orders,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.verdict import Judgement, Verdict

CHECKER = "elle rw-register"


def check_rw_register(
    history: History,
    level: str = "strict-serializable",
    *,
    assumptions: VersionAssumptions | None = None,
    budget: float | None = None,
) -> Judgement:
    """
    Judge transactions of `w` and `r` micro-operations.

    Args:
        history: Operations called `txn` (or with micro-operations, whatever they
            are called); a read of None saw that nothing was written yet.
        level: What was promised; one of `LEVELS`.
        assumptions: What may be inferred about versions; by default only that nil
            comes first.
        budget: Seconds after which the answer is UNKNOWN; None means any time.

    Returns:
        INVALID with explained anomalies that contradict *level*; VALID if there is
        none; anomalies that *level* allows are only counted in the figures.
        UNKNOWN if a value that was read had several writers, or for want of time.

    Raises:
        ValueError: An unknown level, a budget that is not positive, or operations
            that are no transactions on registers.
    """
    forbidden_by(level)
    deadline = Deadline.after(budget)
    transactions = transactions_of(history, RW_REGISTER)
    findings = Findings()
    figures: dict[str, int | float | str] = {
        "transactions": len(transactions),
        "micro-operations": sum(len(each.steps) for each in transactions),
    }
    try:
        registers = _registers_of(transactions)
        figures["reads of values nobody wrote"] = sum(
            each.unwritten_reads for each in registers.values()
        )
        _add_flawed_reads(findings, registers, transactions)
        add_lost_updates(findings, transactions)
        deadline.check()
        add_version_orders(
            findings, registers, transactions, assumptions or VersionAssumptions()
        )
        graph = _dependencies(registers, len(transactions))
        deadline.check()
        add_cycles(
            findings,
            graph,
            transactions,
            _RegisterReasons(registers),
            level=level,
            deadline=deadline,
        )
    except (UnusableHistoryError, OutOfTimeError) as error:
        return Judgement(CHECKER, Verdict.UNKNOWN, reason=str(error), figures=figures)
    return findings.judgement(CHECKER, level, figures)


def _registers_of(transactions: Sequence[Transaction]) -> dict[Value, Register]:
    """Return who wrote and who read which value of each key."""
    registers: dict[Value, Register] = {}
    for transaction in transactions:
        for f, key, value in transaction.steps:
            register = registers.get(key) or registers.setdefault(key, Register(key))
            if f != READ:
                register.add_write(value, transaction)
        for key, value in transaction.intermediate_writes():
            registers[key].intermediate.add((value, transaction.number))
    for transaction in transactions:
        for f, key, value in transaction.steps:
            if f == READ and transaction.ok:
                registers[key].note_seen(value)
    # Only now it is known which of the crashed ones committed.
    for transaction in transactions:
        if transaction.committed:
            _add_committed(registers, transaction)
    return registers


def _add_committed(registers: dict[Value, Register], transaction: Transaction) -> None:
    for key, value in transaction.external_reads().items():
        registers[key].readers.setdefault(value, []).append(transaction)
    for key, value in transaction.external_writes().items():
        registers[key].final.setdefault(value, []).append(transaction)


def _add_flawed_reads(
    findings: Findings,
    registers: dict[Value, Register],
    transactions: Sequence[Transaction],
) -> None:
    for transaction in transactions:
        if not transaction.ok:
            continue
        state: dict[Value, Value] = {}
        for f, key, value in transaction.steps:
            if f == READ:
                _add_flaws_of_read(findings, registers[key], transaction, value)
                if state.get(key, value) != value:
                    findings.count(INTERNAL)
                    text = (
                        f"read key {value_shown(key)} as {value_shown(value)} where "
                        f"its own earlier steps leave only {value_shown(state[key])}"
                    )
                    _keep(findings, INTERNAL, key, text, transaction)
            state[key] = value


def _add_flaws_of_read(
    findings: Findings, register: Register, reader: Transaction, value: Value
) -> None:
    writers = register.writers.get(value)
    if writers is None:
        return
    writer = min(writers, key=lambda each: each.aborted)
    if writer is reader:
        return
    at = f"read key {value_shown(register.key)} as {value_shown(value)}"
    if writer.aborted:
        findings.count(ABORTED_READ)
        text = f"{at}, whose write was aborted"
        _keep(findings, ABORTED_READ, register.key, text, writer, reader)
    if (value, writer.number) in register.intermediate:
        findings.count(INTERMEDIATE_READ)
        text = (
            f"{at}, which the same transaction overwrote: a state that was never "
            f"committed"
        )
        _keep(findings, INTERMEDIATE_READ, register.key, text, writer, reader)


def _keep(
    findings: Findings, name: str, key: Value, text: str, *parties: Transaction
) -> None:
    if findings.wanted(name):
        findings.keep(
            Anomaly(
                name,
                f"process {parties[-1].operation.process} {text}",
                tuple(each.operation for each in parties),
                operation_key(key),
            )
        )


def _dependencies(registers: dict[Value, Register], count: int) -> Graph:
    graph = Graph(count)
    for register in registers.values():
        for value, readers in register.readers.items():
            for writer in register.final.get(value, ()):
                for reader in readers:
                    graph.link(writer.number, reader.number, WR)
        writers = [
            writer.number
            for value, finals in register.final.items()
            if value is not None
            for writer in finals
        ]
        initial = [reader.number for reader in register.readers.get(None, ())]
        graph.link_all(initial, writers, RW)
        for value, followers in register.followers.items():
            later = [
                writer.number
                for follower in followers
                for writer in register.final.get(follower, ())
            ]
            earlier = [writer.number for writer in register.final.get(value, ())]
            graph.link_all(earlier, later, WW)
            readers_before = [each.number for each in register.readers.get(value, ())]
            graph.link_all(readers_before, later, RW)
    return graph


class _RegisterReasons:
    """Why transactions on registers depend on each other."""

    def __init__(self, registers: dict[Value, Register]) -> None:
        self._registers = registers

    def reason(self, kind: int, before: Named, after: Named) -> str:
        """Return the first reason found in the order of *before*'s steps."""
        first, second = before.transaction, after.transaction
        if kind == WR:
            reads = second.external_reads()
            for key, value in first.external_writes().items():
                if key in reads and reads[key] == value:
                    return (
                        f"{before} wrote {value_shown(value)} to key "
                        f"{value_shown(key)}, which {after} read"
                    )
        writes = second.external_writes()
        did = first.external_writes() if kind == WW else first.external_reads()
        for key, value in did.items():
            if key in writes and self._registers[key].precedes(value, writes[key]):
                verb = "wrote" if kind == WW else "read"
                return (
                    f"{before} {verb} key {value_shown(key)} as {value_shown(value)}, "
                    f"and {after} wrote {value_shown(writes[key])}, a later version"
                )
        msg = f"no reason for {before} before {after}"
        raise AssertionError(msg)
