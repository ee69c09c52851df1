"""
Session guarantees of histories of reads, writes and deletes.

Where the store shows the order of all writes that matter, one walk over the history
tells (`ranked`).  Where it does not, demands on that order are put together and a
contradiction is searched (`demands`, `contradictions`); written values must then be
unique for each key.

References:
    Terry et al., 1994.  Session guarantees for weakly consistent replicated data.
    Viotti & Vukolić, 2016.  Consistency in non-transactional distributed storage
        systems.
"""

from collections.abc import Mapping

from jepsen_like.checkers.sessions import ranked
from jepsen_like.checkers.sessions.contradictions import contradictions
from jepsen_like.checkers.sessions.demands import demands_of
from jepsen_like.checkers.sessions.explanation import explain
from jepsen_like.checkers.sessions.guarantees import Demand, Guarantee
from jepsen_like.checkers.sessions.observations import (
    Observations,
    OrderOf,
    Placement,
    UnsuitableHistoryError,
    ValueOf,
    observe,
)
from jepsen_like.checkers.sessions.phases import (
    TooManyLossesError,
    gone_from,
    phases,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

GUARANTEES = tuple(guarantee.title for guarantee in Guarantee)
"""The guarantees by name, in the order in which they are judged."""


def result_of(operation: Operation) -> Value:
    """Return what *operation* returned, whole."""
    return operation.result


def check(
    history: History, *, order_of: OrderOf | None = None, value_of: ValueOf = result_of
) -> tuple[Judgement, ...]:
    """
    Judge the four session guarantees, each by itself.

    Args:
        history: Operations `read`, `write` and `delete`; a process is a session.
        order_of: Returns the place of the version that an operation wrote or showed,
            in the order by which the store decides between writes of one key, or
            None; such as its timestamp.  Versions in `Operation.version` need no
            order: they tell which write a read returned.
        value_of: Returns the value that a read returned, None for an absent key; for
            reads whose result has more than that.

    Returns:
        One judgement for each of `GUARANTEES`.  UNKNOWN where nothing is broken but
        reads returned what nothing wrote, or what several wrote and no version
        or rank tells apart.
    """
    try:
        whole = observe(history, order_of, value_of)
        gone = gone_from(history, whole)
    except (UnsuitableHistoryError, TooManyLossesError) as error:
        return tuple(
            Judgement(title, Verdict.UNKNOWN, str(error)) for title in GUARANTEES
        )
    broken: dict[Guarantee, Witness] = {}
    for part, lost in phases(history, gone):
        observations = observe(part, order_of, value_of, lost) if gone else whole
        for guarantee, cycle in _found(observations).items():
            if guarantee not in broken:
                broken[guarantee] = explain(observations, guarantee, cycle)
    return tuple(
        _judgement(whole, guarantee, broken.get(guarantee)) for guarantee in Guarantee
    )


def _found(observations: Observations) -> Mapping[Guarantee, list[Demand]]:
    if observations.ranked():
        return _by_rank(observations)
    return contradictions(demands_of(observations))


def _by_rank(observations: Observations) -> dict[Guarantee, list[Demand]]:
    found: dict[Guarantee, list[Demand]] = {}
    for demand, contrary in ranked.violations(observations):
        found.setdefault(Guarantee(demand.kind), [demand, contrary])
        if len(found) == len(Guarantee):
            break
    return found


def _judgement(
    observations: Observations, guarantee: Guarantee, witness: Witness | None
) -> Judgement:
    figures: dict[str, int | float | str] = {
        "operations": len(observations.events),
        "sessions": len(observations.sessions),
    }
    for placement in (Placement.ABSENT, Placement.OPEN, Placement.UNWRITTEN):
        figures[f"{placement.value} reads"] = observations.count(placement)
    title = guarantee.title
    if witness is not None:
        return Judgement(title, Verdict.INVALID, witness.kind, (witness,), figures)
    unknown = []
    if count := figures["unwritten reads"]:
        unknown.append(f"{count} reads returned what nothing before them wrote")
    if count := figures["open reads"]:
        unknown.append(
            f"{count} reads returned a value that was written more than once, with no"
            " version that tells which it is"
        )
    if unknown:
        return Judgement(title, Verdict.UNKNOWN, "; ".join(unknown), figures=figures)
    return Judgement(title, Verdict.VALID, figures=figures)
