"""
Long forks: two readers who see two writes in opposite order.

Every key is written once, by a transaction that does nothing else; readers read a
whole group of keys at once.  If one saw x but not yet y and another saw y but not
yet x, no order of the two writes explains both.  Parallel snapshot isolation allows
that, snapshot isolation does not.

The sets of keys that reads of one group found written must be a chain, each a
subset of the next: sorted by size, comparing neighbours is enough, so that n reads
take O(n log n) and not the n^2 of comparing all pairs.

References:
    Sovran et al., 2011.  Transactional storage for geo-replicated systems.
    Kingsbury, 2018.  jepsen.tests.long-fork.
"""

from itertools import pairwise

from jepsen_like.checkers.elle.explain import operation_key, value_shown
from jepsen_like.checkers.elle.transactions import (
    READ,
    RW_REGISTER,
    Transaction,
    UnusableHistoryError,
    transactions_of,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.verdict import Judgement, Verdict, Witness

CHECKER = "long fork"

LONG_FORK = "long-fork"
"""The anomaly's name."""

FORKS_SHOWN_MAX = 3

_Group = tuple[Value, ...]


def check_long_fork(history: History, *, group_size: int | None = None) -> Judgement:
    """
    Judge single writes and reads of groups of keys.

    Args:
        history: Operations with `w` and `r` micro-operations: a write transaction
            has one `w` and nothing else, a read transaction only `r`.
        group_size: How many keys every read should have, >= 1; None takes each set
            of keys that was read together for a group.

    Returns:
        INVALID with two reads that see writes in opposite order; UNKNOWN if keys
        were written twice or with several values, or groups have other sizes.

    Raises:
        ValueError: An operation is no transaction on registers, or *group_size* is
            out of range.
    """
    if group_size is not None and group_size < 1:
        msg = f"a group has at least one key: {group_size}"
        raise ValueError(msg)
    transactions = transactions_of(history, RW_REGISTER)
    figures = {"transactions": len(transactions)}
    try:
        _require_single_writes(transactions)
        groups = _groups(transactions, group_size)
        figures["groups of keys"] = len(groups)
        forks = [
            fork for group, reads in groups.items() for fork in _forks(group, reads)
        ]
    except UnusableHistoryError as error:
        return Judgement(CHECKER, Verdict.UNKNOWN, reason=str(error), figures=figures)
    figures["long forks"] = len(forks)
    if not forks:
        return Judgement(CHECKER, Verdict.VALID, figures=figures)
    return Judgement(
        CHECKER,
        Verdict.INVALID,
        reason=f"{len(forks)} pairs of reads see writes in opposite order",
        witnesses=tuple(forks[:FORKS_SHOWN_MAX]),
        figures=figures,
    )


def _require_single_writes(transactions: list[Transaction]) -> None:
    written: set[Value] = set()
    for transaction in transactions:
        said = transaction.steps
        if len(said) == 1 and said[0][0] != READ:
            key = said[0][1]
            if key in written:
                msg = (
                    f"key {value_shown(key)} was written by several transactions; long "
                    f"forks are looked for where each key is written once"
                )
                raise UnusableHistoryError(msg)
            written.add(key)


def _groups(
    transactions: list[Transaction], group_size: int | None
) -> dict[_Group, list[tuple[Transaction, dict[Value, Value]]]]:
    """Return the answered reads by the keys that they read."""
    values: dict[Value, Value] = {}
    names: dict[frozenset[Value], _Group] = {}
    groups: dict[_Group, list[tuple[Transaction, dict[Value, Value]]]] = {}
    for transaction in transactions:
        if not transaction.ok or any(step[0] != READ for step in transaction.steps):
            continue
        seen = {key: value for _, key, value in transaction.steps}
        if group_size is not None and len(seen) != group_size:
            msg = (
                f"{transaction.operation!r} read {len(seen)} keys; with a group size "
                f"of {group_size} every read must have as many"
            )
            raise UnusableHistoryError(msg)
        for key, value in seen.items():
            if value is not None and values.setdefault(key, value) != value:
                msg = (
                    f"key {value_shown(key)} was read as {value_shown(values[key])} "
                    f"and as {value_shown(value)}; long forks are looked for where "
                    f"each key is written once"
                )
                raise UnusableHistoryError(msg)
        group = names.setdefault(frozenset(seen), tuple(seen))
        groups.setdefault(group, []).append((transaction, seen))
    return groups


def _forks(
    group: _Group, reads: list[tuple[Transaction, dict[Value, Value]]]
) -> list[Witness]:
    """Return neighbours in size of which neither saw all that the other saw."""
    states: dict[int, tuple[Transaction, dict[Value, Value]]] = {}
    for read in reads:
        bits = sum(
            1 << place for place, key in enumerate(group) if read[1][key] is not None
        )
        states.setdefault(bits, read)
    ordered = sorted(states, key=lambda bits: (bits.bit_count(), bits))
    return [
        _witness(group, states[smaller], states[larger])
        for smaller, larger in pairwise(ordered)
        if smaller & ~larger
    ]


def _witness(
    group: _Group,
    one: tuple[Transaction, dict[Value, Value]],
    other: tuple[Transaction, dict[Value, Value]],
) -> Witness:
    (first, seen), (second, also_seen) = one, other
    ours = next(k for k in group if seen[k] is not None and also_seen[k] is None)
    theirs = next(k for k in group if seen[k] is None and also_seen[k] is not None)
    explanation = (
        f"process {first.operation.process} saw the write of key {value_shown(ours)} "
        f"but not yet that of key {value_shown(theirs)}; process "
        f"{second.operation.process} saw that of {value_shown(theirs)} but not yet "
        f"that of {value_shown(ours)}: no order of the two writes explains both"
    )
    operations = sorted(
        (first.operation, second.operation), key=lambda operation: operation.called
    )
    return Witness(LONG_FORK, explanation, tuple(operations), operation_key(ours))
