"""
Linearizability of sets in linear time, when each member is added once.

A set is the product of one yes-or-no object a member, and linearizability is
local, so each member is judged alone.  It is absent, then there from the instant
of its addition a until that of its removal r, then absent.  Who saw it there must
have an instant between a and r, who saw it absent one before a or after r.  So a
should be as late, and r as early, as those who saw it allow:

    a in [called(a), A]     A = min(returned(a), first return of a sighting)
    r in [R, returned(r)]   R = max(called(r), last call of a sighting)

If A >= R both may share an instant, and whoever saw it absent steps aside.  If
not, the member was certainly there from A to R, and nobody who saw it absent may
lie within.  This is the decrease-and-conquer of Lee & Mathur, for one member.

A removal without an answer (whether it had found the member) may be the one that
took effect, or may have come before the addition.  An operation that was never
answered may be left out, unless somebody saw what only it can have done.

Exact for: `insert` (or `add`) and `remove`, with or without an answer True or False,
and `contains`; at most one insertion of a member that was not answered False, at most
one unanswered removal that returned.  Anything else, such as reads of all members,
is handed over: another checker must judge it.

References:
    Lee & Mathur, 2025.  Efficient decrease-and-conquer linearizability monitoring.
    Herlihy & Wing, 1990.  Linearizability: a correctness condition for concurrent
        objects.  Theorem 1: locality.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value
from jepsen_like.models.model import exact
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "linearizable set"


class _Member(NamedTuple):
    """
    What happened to one member.

    Attributes:
        value: Which.
        additions: That may have added it: not answered False, not failed.
        removals: That certainly removed it: answered True.
        blind: Removals that returned without saying whether they did.
        pending: Removals that never returned.
        present: Who saw it there.
        absent: Who saw it absent.
    """

    value: Value
    additions: list[Operation]
    removals: list[Operation]
    blind: list[Operation]
    pending: list[Operation]
    present: list[Operation]
    absent: list[Operation]


class _NotHereError(Exception):
    """The history is outside of what this checker can judge."""


def check(history: History) -> Judgement | None:
    """
    Judge a history of sets, one a key, that are empty at first.

    Returns:
        None if the history is not of the form that is judged here.  Costs O(n).
    """
    if history.header.initial not in {None, ()}:
        return None
    try:
        members = _members(history)
        witnesses = [
            found
            for (key, _), member in members.items()
            if (found := _judged(key, member)) is not None
        ]
    except _NotHereError:
        return None
    figures = {"members": len(members)}
    if witnesses:
        reason = f"{len(witnesses)} of {len(members)} members have no order"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _members(history: History) -> dict[tuple[Key, Hashable], _Member]:
    members: dict[tuple[Key, Hashable], _Member] = {}
    for operation in history.operations:
        if operation.f not in {"insert", "add", "remove", "contains"}:
            raise _NotHereError
        if operation.outcome is Outcome.FAIL:
            continue
        place = (operation.key, exact(operation.argument))
        member = members.get(place)
        if member is None:
            member = members[place] = _Member(
                operation.argument, [], [], [], [], [], []
            )
        _note(member, operation)
    return members


def _note(member: _Member, operation: Operation) -> None:
    done = operation.outcome is Outcome.OK
    match operation.f, operation.result if done else None:
        case "insert" | "add", True | None:
            member.additions.append(operation)
        case "remove", True:
            member.removals.append(operation)
        case "remove", None:
            (member.blind if done else member.pending).append(operation)
        case ("insert" | "add", False) | ("contains", True):
            member.present.append(operation)
        case ("remove", False) | ("contains", False):
            member.absent.append(operation)
        case "contains", None if not done:
            pass
        case _:
            raise _NotHereError


def _judged(key: Key, member: _Member) -> Witness | None:
    if len(member.additions) > 1 or len(member.blind) > 1:
        raise _NotHereError
    what = f"Member {member.value!r} of {key!r}"
    if not member.additions:
        return _without_addition(key, what, member)
    addition = member.additions[0]
    if len(member.removals) > 1:
        evidence = (addition, *member.removals[:2])
        return _witness(f"{what} was added once and removed twice.", evidence, key)
    seen = (*member.present, *member.removals)
    if addition.outcome is Outcome.INFO and not seen:
        return None  # it need not have happened, and then nothing was ever there
    contradictions = [
        _contradiction(addition, removal, member.present, absent)
        for removal, absent in _removals(member)
    ]
    if None in contradictions:
        return None
    explanation, evidence = next(each for each in contradictions if each is not None)
    return _witness(f"{what} {explanation}", evidence, key)


def _removals(
    member: _Member,
) -> Iterator[tuple[Operation | None, Sequence[Operation]]]:
    """
    Yield each removal that may have taken effect, with who saw the member absent.

    Of those that never returned the earliest is as good as any other.
    """
    if member.removals:
        yield member.removals[0], (*member.absent, *member.blind)
        return
    for removal in member.blind:
        yield removal, member.absent
    earliest = min(member.pending, key=lambda each: each.called, default=None)
    yield earliest, (*member.absent, *member.blind)


def _without_addition(key: Key, what: str, member: _Member) -> Witness | None:
    seen = [*member.present, *member.removals]
    if not seen:
        return None
    return _witness(f"{what} was seen and never added.", (seen[0],), key)


_Contradiction = tuple[str, tuple[Operation, ...]]


def _contradiction(
    addition: Operation,
    removal: Operation | None,
    present: Sequence[Operation],
    absent: Sequence[Operation],
) -> _Contradiction | None:
    """Return why there are no instants for *addition* and *removal*, or None."""
    surely = min((addition, *present), key=lambda each: each.returned)
    if surely.returned < addition.called:
        return "was seen before it was added.", (surely, addition)
    still = max(
        (*present, removal) if removal else present,
        key=lambda each: each.called,
        default=None,
    )
    if removal is not None and still is not None:
        if removal.returned < addition.called:
            return "was removed before it was added.", (removal, addition)
        if removal.returned < still.called:
            return "was seen after it had been removed.", (removal, still)
    until = FOREVER if removal is None or still is None else still.called
    for sight in absent:
        if surely.returned < sight.called and sight.returned < until:
            evidence = [surely, sight]
            if until != FOREVER and still is not None:
                evidence.append(still)
            return "was seen absent while it was certainly there.", tuple(evidence)
    return None


def _witness(explanation: str, evidence: tuple[Operation, ...], key: Key) -> Witness:
    ordered = tuple(sorted(evidence, key=lambda each: each.called))
    return Witness("not linearizable", explanation, ordered, key)
