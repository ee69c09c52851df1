"""
Read atomic: who sees anything of a transaction sees all of it.

If a transaction read x of T1, and T2 writes x too, and it either read anything of T2
or follows T2 in its session, then T2 committed before T1.

In its own session the last writer of the key is enough, because those before it
commit before it.  Of each other source the smaller of keys written there and keys
read here is gone through: O(n^1.5) at worst over a history, which is optimal.

References:
    Bailis et al., 2014.  Scalable atomic visibility with RAMP transactions.
    Biswas & Enea, 2019.  On the complexity of checking transactional consistency.
    Møldrup & Pavlogiannis, 2025.  AWDIT, section 3.
"""

from jepsen_like.checkers.isolation.commit_order import CommitOrder
from jepsen_like.checkers.isolation.transactions import OPEN, Transactions
from jepsen_like.history.operation import Key, Outcome


def infer(order: CommitOrder) -> None:
    """Add to *order* what read atomic demands."""
    transactions = order.transactions
    latest: dict[tuple[int, Key], int] = {}
    for number in range(len(transactions)):
        process = transactions.operations[number].process
        _infer_from_session(order, number, process, latest)
        _infer_from_sources(order, number)
        if transactions.operations[number].outcome is Outcome.OK:
            for key in transactions.writes[number]:
                latest[process, key] = number


def _infer_from_session(
    order: CommitOrder, number: int, process: int, latest: dict[tuple[int, Key], int]
) -> None:
    for read in order.transactions.reads[number]:
        earlier = latest.get((process, read.key))
        if earlier is not None and read.source not in {earlier, OPEN}:
            order.readers.setdefault(order.pair(earlier, read.source), number)


def _infer_from_sources(order: CommitOrder, number: int) -> None:
    transactions: Transactions = order.transactions
    reads = transactions.reads[number]
    if len(reads) < 2:  # noqa: PLR2004 - one read sees one transaction
        return
    by_key: dict[Key, list[int]] = {}
    for read in reads:
        if read.source != OPEN:
            of_key = by_key.setdefault(read.key, [])
            if read.source not in of_key:
                of_key.append(read.source)
    for seen in transactions.sources(number):
        written = transactions.writes[seen]
        for key in written if len(written) < len(by_key) else by_key:
            if key in written and key in by_key:
                for source in by_key[key]:
                    if source != seen:
                        order.readers.setdefault(order.pair(seen, source), number)
