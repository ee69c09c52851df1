"""
Weak causal consistency (CC): effects after causes, but each session has its own order.

A history has it if none of four patterns is there: something happens before itself
(CyclicCO), a read of what was never written (ThinAirRead), a read of the initial value
after a write of the key happened before it (WriteCOInitRead), and a read of x from T1
when T1 happens before T2, T2 happens before the reader, and T2 writes x
(WriteCORead).  Causal convergence also forbids that sessions disagree about the order
of writes that do not know of each other; this level does not.

Of what causal convergence infers, only that is kept which contradicts what happened
before: "T2 before T1" when T1 happens before T2.

Reference:
    Bouajjani, Enea, Guerraoui & Hamza, 2017.  On verifying causal consistency,
        definition 3.2 and table 1.
"""

from collections.abc import Sequence

from jepsen_like.checkers.isolation.commit_order import CommitOrder
from jepsen_like.checkers.isolation.happens_before import moments
from jepsen_like.checkers.isolation.levels import causal
from jepsen_like.checkers.isolation.transactions import INITIAL


def infer(order: CommitOrder, topological: Sequence[int]) -> None:
    """
    Add to *order* the reads that weak causal consistency forbids.

    Args:
        order: Where to.
        topological: All transactions, each after those that happen before it.
    """
    transactions = order.transactions
    demanded = CommitOrder(transactions)
    causal.infer(demanded, topological)
    sources: dict[int, list[int]] = {}
    for pair in demanded.readers:
        other, source = order.unpair(pair)
        sources.setdefault(other, []).append(source)
    for number, past, _ in moments(transactions, topological):
        for source in sources.get(number, ()):
            if source != INITIAL:
                session = transactions.session[source]
                if past[session] <= transactions.position[source]:
                    continue
            pair = order.pair(number, source)
            order.readers[pair] = demanded.readers[pair]
