"""
From loss to loss: when which writes may be gone with the store of a node.

A write that only one node had is gone when that node loses its store, and then nobody
need be shown it, whoever wrote or read it.  Until then everybody must, as if nothing
were going to happen.  So a history is judged once up to each moment at which something
may have gone, without what may have gone before, and once as a whole: each operation is
held against all that was there when it returned.

Only what somebody did to the node counts, and what the node then says itself: a store
that starts over of its own accord has lost what it had acknowledged
(jepsen_like.checkers.losses).  A write that anybody read at a node which has lost
nothing since is not gone.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from jepsen_like.checkers.losses import Losses
from jepsen_like.checkers.sessions.observations import (
    NO_PROCESS,
    Call,
    Observations,
    call_of,
)
from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome

MOMENTS_MAX = 64
"""Each costs another walk over the history; runs have a handful of such faults."""


class TooManyLossesError(ValueError):
    """More losses than can be told apart."""


def gone_from(history: History, observations: Observations) -> Mapping[Call, int]:
    """
    Return which writes may be gone, and from when on.

    Raises:
        TooManyLossesError: There are more than MOMENTS_MAX moments.
    """
    losses = Losses(history)
    kept = {
        event.source
        for event in observations.events
        if losses.gone_from(event.operation) is None
    }
    found = {
        call_of(write.operation): moment
        for number, write in enumerate(observations.writes)
        if number not in kept
        and write.process != NO_PROCESS  # of others nobody knows where they were
        and (moment := losses.gone_from(write.operation)) is not None
    }
    if len(set(found.values())) > MOMENTS_MAX:
        msg = f"writes may have gone at more than {MOMENTS_MAX} moments"
        raise TooManyLossesError(msg)
    return found


def phases(
    history: History, gone: Mapping[Call, int]
) -> Iterator[tuple[History, Collection[Call]]]:
    """
    Yield what to judge, the whole history last, each with the writes that may be gone.

    What was not answered yet at the end of a phase may have happened or not.
    """
    lost: set[Call] = set()
    for moment in sorted(set(gone.values())):
        operations = (
            _as_of(operation, moment)
            for operation in history.operations
            if operation.called < moment
        )
        yield replace(history, operations=tuple(operations)), frozenset(lost)
        lost.update(call for call, since in gone.items() if since == moment)
    yield history, lost


def _as_of(operation: Operation, moment: int) -> Operation:
    if operation.returned < moment or operation.outcome is not Outcome.OK:
        return operation
    return operation._replace(outcome=Outcome.INFO, returned=FOREVER)
