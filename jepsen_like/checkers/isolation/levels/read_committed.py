"""
Read committed: reads of one transaction do not go back.

If a transaction read anything of T2 and afterwards read x of T1, and T2 writes x
too, then T2 committed before T1.

Only the first read of each T2 is looked at, and of each key that T2 writes only the
next read that is of somebody else: what later reads demand follows from these, or
they form a cycle already (if the reader comes back to a writer of x that it had
left, each writer on the way leads to the next, and a walk without an end in a finite
graph is a cycle).  So the cost of a transaction is the sum over its sources of the
smaller of keys written there and keys read here: O(n^1.5) at worst over a history,
which is optimal.

References:
    Berenson et al., 1995.  A critique of ANSI SQL isolation levels.
    Biswas & Enea, 2019.  On the complexity of checking transactional consistency.
    Møldrup & Pavlogiannis, 2025.  AWDIT, section 3.
"""

from jepsen_like.checkers.isolation.commit_order import CommitOrder
from jepsen_like.checkers.isolation.transactions import OPEN, Read
from jepsen_like.history.operation import Key


def infer(order: CommitOrder) -> None:
    """Add to *order* what read committed demands."""
    for number, reads in enumerate(order.transactions.reads):
        if len(reads) > 1:
            _infer(order, number, reads)


def _infer(order: CommitOrder, number: int, reads: list[Read]) -> None:
    """Go backwards, knowing of each key the next source and the next other one."""
    first: dict[int, int] = {}
    for index, read in enumerate(reads):
        first.setdefault(read.source, index)
    ahead: dict[Key, tuple[int, int]] = {}
    for index in range(len(reads) - 1, -1, -1):
        read = reads[index]
        source = read.source
        if source == OPEN:
            continue
        if source >= 0 and first[source] == index:
            written = order.transactions.writes[source]
            keys = written if len(written) < len(ahead) else ahead
            for key in keys:
                if key in written and key in ahead:
                    following, other = ahead[key]
                    target = other if following == source else following
                    if target != OPEN:
                        order.readers.setdefault(order.pair(source, target), number)
        following, other = ahead.get(read.key, (OPEN, OPEN))
        if following != source:
            ahead[read.key] = (source, following)
