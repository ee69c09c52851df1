"""
Causal convergence (CCv): who sees an effect sees its causes, in one order for all.

If a transaction read x of T1, and T2 writes x too and happens before it, then T2
committed before T1.  This is what AWDIT and Plume call causal consistency.

Of each session the last writer of the key that happens before the reader is enough,
because those before it commit before it; the reader's past says where to look, and a
binary search finds it.  If T2 happens before T1 anyway, nothing is added.  Cost:
O(n · sessions · log n), and for the pasts O(n · sessions).

References:
    Burckhardt, 2014.  Principles of eventual consistency.
    Bouajjani, Enea, Guerraoui & Hamza, 2017.  On verifying causal consistency.
    Liu et al., 2024.  Plume: efficient and complete black-box checking of weak
        isolation levels.
    Møldrup & Pavlogiannis, 2025.  AWDIT, section 4.
"""

from bisect import bisect_left
from collections.abc import Sequence

from jepsen_like.checkers.isolation.commit_order import CommitOrder
from jepsen_like.checkers.isolation.happens_before import moments
from jepsen_like.checkers.isolation.transactions import OPEN, Transactions
from jepsen_like.history.operation import Key


def infer(order: CommitOrder, topological: Sequence[int]) -> None:
    """
    Add to *order* what causal convergence demands.

    Args:
        order: Where to.
        topological: All transactions, each after those that happen before it.
    """
    transactions = order.transactions
    writers = writing_positions(transactions)
    members, readers = transactions.members, order.readers
    for number, past, pasts in moments(transactions, topological):
        for read in transactions.reads[number]:
            source = read.source
            if source == OPEN:
                continue
            source_past = pasts[source] if source >= 0 else None
            for session, positions in writers.get(read.key, ()):
                happened = past[session]
                if positions[0] >= happened:
                    continue
                position = positions[bisect_left(positions, happened) - 1]
                if source_past is not None and source_past[session] > position:
                    continue
                other = members[session][position]
                if other != source:
                    readers.setdefault(order.pair(other, source), number)


def writing_positions(
    transactions: Transactions,
) -> dict[Key, list[tuple[int, list[int]]]]:
    """Return for each key the sessions that write it, and where, in their order."""
    writers: dict[Key, list[tuple[int, list[int]]]] = {}
    for session, members in enumerate(transactions.members):
        of_session: dict[Key, list[int]] = {}
        for position, number in enumerate(members):
            for key in transactions.writes[number]:
                of_session.setdefault(key, []).append(position)
        for key, positions in of_session.items():
            writers.setdefault(key, []).append((session, positions))
    return writers
