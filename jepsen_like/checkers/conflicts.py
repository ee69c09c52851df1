"""
Conflicts accounted for: a concurrent write that lost is in a conflict log.

Last-writer-wins drops one of two writes that did not know each other.  It must
not be silent: some node keeps the loser in the key's conflict log (rule R4).

A write need not be there if it was overwritten by one that built on it; that one
was in turn overwritten, or won, or is in a log.  So, going up the chain, an
acknowledged write W is accounted for if it is the final one, or in a log, or some
write that is may have built on it, that is: returned after W was called.  Logs
show a lost delete as None, and such a one may have been any delete.  If none of
these holds W is certainly gone without a trace.  A node whose log is full may have
dropped it, and a fault that makes nodes forget takes logs along, so nothing is
proved of such a key, nor of what was written before such a fault.

Reference:
    Rule R4 of the replication design.
"""

from collections.abc import Iterator

from jepsen_like.checkers.access import writes_of
from jepsen_like.checkers.convergence import final_values
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "conflicts"

LOSERS_MAX = 4
"""How many losers a log keeps of each key, unless said otherwise."""

_DELETED = "\0deleted"
"""Stands for a lost delete among lost values as text."""

_Log = list[Operation]


def check(history: History, *, losers_max: int = LOSERS_MAX) -> Judgement:
    """
    Judge whether every write that lost to a concurrent one can be found.

    Args:
        history: With final reads and final conflicts of each node.
        losers_max: A log with so many may have dropped others, >= 1.

    Returns:
        UNKNOWN if there are no final answers.  The figures say of how many keys the
        logs had room, so that all losers must be there.  Costs O(n).
    """
    if losers_max < 1:
        msg = f"a conflict log keeps at least one loser, not {losers_max}"
        raise ValueError(msg)
    finals, logs = final_values(history, "read"), final_values(history, "conflicts")
    keys = [key for key in finals if key in logs]
    if not keys:
        reason = "there are no final reads and conflict logs of the same key"
        return Judgement(NAME, Verdict.UNKNOWN, reason)
    since = Losses(history).ended
    by_key = _writes_by_key(history)
    witnesses: list[Witness] = []
    judged = listed = 0
    for key in keys:
        listed += len(_losers(logs[key]))
        witnesses += _listed_wrongly(by_key.get(key, []), finals[key], logs[key])
        if _may_be_judged(history, finals[key], logs[key], losers_max):
            judged += 1
            witnesses += _witnesses(
                by_key.get(key, []), finals[key], logs[key], since=since
            )
    figures = {"keys": len(keys), "keys judged": judged, "losers listed": listed}
    if witnesses:
        reason = f"{len(witnesses)} writes are not accounted for"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _writes_by_key(history: History) -> dict[Key, list[tuple[Operation, Value]]]:
    """Return what was or may have been written to each key, in order of calls."""
    found: dict[Key, list[tuple[Operation, Value]]] = {}
    for operation in history.operations:
        if operation.outcome is not Outcome.FAIL:
            for access in writes_of(operation):
                found.setdefault(access.key, []).append((operation, access.value))
    return found


def _may_be_judged(
    history: History, finals: list[Operation], logs: _Log, losers_max: int
) -> bool:
    asked = {log.node for log in logs}
    return (
        len({final.result for final in finals}) == 1
        and all(node in asked for node in history.header.nodes)
        and all(len(_losers([log])) < losers_max for log in logs)
    )


def _losers(logs: _Log) -> tuple[str, ...]:
    """Return what the logs list, as text, which is how logs show values."""
    found: list[str] = []
    for log in logs:
        if isinstance(log.result, tuple):
            found += [_DELETED if value is None else str(value) for value in log.result]
    return tuple(found)


def _listed_wrongly(
    writes: list[tuple[Operation, Value]], finals: list[Operation], logs: _Log
) -> Iterator[Witness]:
    """Yield what is in the logs of one key and cannot have lost."""
    winner = finals[0].result
    written = {str(value) for _, value in writes}
    for log in logs:
        losers = _losers([log])
        if winner is not None and str(winner) in losers:
            explanation = (
                f"{log.node} lists {winner!r} as a write of {log.key!r} that lost, and"
                " yet it is the final value."
            )
            yield Witness("winner lost", explanation, (finals[0], log), log.key)
        for loser in losers:
            if loser not in written and loser != _DELETED:
                explanation = (
                    f"{log.node} lists {loser} as a write of {log.key!r} that lost, and"
                    " nobody had tried to write it."
                )
                yield Witness("phantom loser", explanation, (log,), log.key)


def _witnesses(
    writes: list[tuple[Operation, Value]],
    finals: list[Operation],
    logs: _Log,
    *,
    since: int,
) -> list[Witness]:
    """Return what is missing in the logs of one key."""
    winner = finals[0].result
    kept = frozenset(_losers(logs))
    found = []
    # An expired value has won and is not shown: it may have built on anything.
    explaining = [
        operation.returned
        for operation, value in writes
        if value == winner
        or (value is None and _DELETED in kept)
        or str(value) in kept
        or operation.f == "write-expiring"
    ]
    last = max(explaining, default=-1)
    for operation, value in writes:
        accounted = value is None or value == winner or str(value) in kept
        judged = operation.outcome is Outcome.OK and operation.called > since
        if accounted or not judged or last >= operation.called:
            continue
        explanation = (
            f"The write of {value!r} to {operation.key!r} was acknowledged, is not"
            " the final value, is in no conflict log, and whatever won or is in a log"
            " had returned before it was asked for, so nothing can have built on it."
        )
        evidence = (operation, finals[0], *logs)
        found.append(Witness("silent loss", explanation, evidence, operation.key))
    return found
