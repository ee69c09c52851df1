"""
What happens before what: the transitive closure of session order and wr.

Transactions are met in an order in which every one comes after all that happens
before it.  The *past* of a transaction says for every session how many of its
transactions happen before it; since those are always the first ones of the session,
n numbers say it all, and one transaction happens before another if its position is
below that number.

A past is kept until the last transaction that builds on it has been met, so memory
grows with the transactions that are in use at once, not with the history.

References:
    Lamport, 1978.  Time, clocks, and the ordering of events.
    Mattern, 1989.  Virtual time and global states of distributed systems.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jepsen_like.checkers.isolation.transactions import NOBODY, Transactions

_NEW, _ENTERED, _DONE = 0, 1, 2


class Moment(NamedTuple):
    """
    A transaction when it is met.

    Attributes:
        number: Which one.
        past: How many transactions of each session happen before it.
        pasts: Those of all transactions; None for those no longer needed, never
            for those that it read from.
    """

    number: int
    past: list[int]
    pasts: Sequence[list[int] | None]


def topological_order(transactions: Transactions) -> list[int] | None:
    """
    Return all transactions, each after all that happens before it.

    Keeps close to the order of calls.  None if something happens before itself.
    """
    state = bytearray(len(transactions))
    order: list[int] = []
    for root in range(len(transactions)):
        stack = [root]
        while stack:
            number = stack[-1]
            if state[number] != _NEW:
                stack.pop()
                if state[number] == _ENTERED:
                    state[number] = _DONE
                    order.append(number)
                continue
            state[number] = _ENTERED
            before = transactions.sources(number)
            if transactions.predecessor[number] != NOBODY:
                before.append(transactions.predecessor[number])
            for one in before:
                if state[one] == _NEW:
                    stack.append(one)
                elif state[one] == _ENTERED:
                    return None
    return order


def moments(transactions: Transactions, order: Sequence[int]) -> Iterator[Moment]:
    """Yield every transaction with its past, in the given topological *order*."""
    width = len(transactions.members)
    session, position = transactions.session, transactions.position
    pasts: list[list[int] | None] = [None] * len(transactions)
    needed = _needs(transactions)
    for number in order:
        before = transactions.predecessor[number]
        if before == NOBODY:
            past = [0] * width
        else:
            past = list(_kept(pasts, before))
            past[session[before]] = position[before] + 1
        sources = transactions.sources(number)
        for source in sources:
            if past[session[source]] <= position[source]:
                past = list(map(max, past, _kept(pasts, source)))
                past[session[source]] = position[source] + 1
        pasts[number] = past
        yield Moment(number, past, pasts)
        if before != NOBODY:
            sources.append(before)
        for one in sources:
            needed[one] -= 1
            if not needed[one]:
                pasts[one] = None
        if not needed[number]:
            pasts[number] = None


def _needs(transactions: Transactions) -> list[int]:
    """Return how many transactions build on each one."""
    needed = [len(followers) for followers in transactions.followers]
    for number in range(len(transactions)):
        for source in transactions.sources(number):
            needed[source] += 1
    return needed


def _kept(pasts: Sequence[list[int] | None], number: int) -> list[int]:
    past = pasts[number]
    assert past is not None, "a past is kept while something builds on it"
    return past
