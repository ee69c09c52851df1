"""
Lost updates: two transactions that read one version of a key and both wrote it.

Whichever came second should have read what the first wrote.  The order of the two
does not matter, so this is seen even where nothing tells the order of versions.

References:
    Berenson et al., 1995.  A critique of ANSI SQL isolation levels.  P4.
    Adya, 1999.  Weak Consistency.  Section 2.3.
"""

from collections.abc import Iterable

from jepsen_like.checkers.elle.anomalies import LOST_UPDATE, Anomaly, Findings
from jepsen_like.checkers.elle.explain import operation_key, value_shown
from jepsen_like.checkers.elle.transactions import READ, Transaction
from jepsen_like.history.operation import Value

_SHOWN_MAX = 4


def add_lost_updates(findings: Findings, transactions: Iterable[Transaction]) -> None:
    """Add one anomaly for each version that several committed transactions updated."""
    updaters: dict[tuple[Value, Value], list[Transaction]] = {}
    for transaction in transactions:
        if not transaction.ok:
            continue
        # Most transactions never write what they read; they cost one look.
        if len({key for _, key, _ in transaction.steps}) == len(transaction.steps):
            continue
        for version in _updated(transaction):
            updaters.setdefault(version, []).append(transaction)
    for (key, value), rivals in updaters.items():
        if len(rivals) < 2:  # noqa: PLR2004 - one transaction has no rival
            continue
        findings.count(LOST_UPDATE)
        shown = rivals[:_SHOWN_MAX]
        processes = ", ".join(str(each.operation.process) for each in shown)
        explanation = (
            f"{len(rivals)} committed transactions (of processes {processes}"
            f"{', ...' if len(shown) < len(rivals) else ''}) read key "
            f"{value_shown(key)} as {value_shown(value)} and wrote it: all but the "
            f"first missed an update"
        )
        findings.keep(
            Anomaly(
                LOST_UPDATE,
                explanation,
                tuple(each.operation for each in shown),
                operation_key(key),
            )
        )


def _updated(transaction: Transaction) -> list[tuple[Value, Value]]:
    """Return each key with the version of others that was read and then written."""
    reads: dict[Value, Value] = {}
    written: set[Value] = set()
    updated: list[tuple[Value, Value]] = []
    for f, key, value in transaction.steps:
        if key in written:
            continue
        if f != READ:
            written.add(key)
            if key in reads:
                updated.append((key, reads[key]))
        elif key not in reads:
            # An empty list and none at all are the same version.
            reads[key] = value if value != () else None
    return updated
