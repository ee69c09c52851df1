"""
Session guarantees when the store shows ranks: one walk over the history.

The order of the writes is known, so every demand can be looked at by itself: it is
broken if what must come before has the greater rank.  Of all that a session must not
be shown anything older than, the greatest of each key is enough: its *floor*.

What a session has seen of another is a beginning of what that other one did.  When it
is shown a later write of it, the walk goes on from where it was, so every pair of
sessions is gone through once: O(n) for a given number of sessions, and reads cost
one look at each floor.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from jepsen_like.checkers.sessions.guarantees import BY_RANK, Demand, Guarantee
from jepsen_like.checkers.sessions.observations import (
    INITIAL,
    NO_PROCESS,
    Event,
    Observations,
)
from jepsen_like.history.operation import Key

_Floors: TypeAlias = dict[Key, tuple[int, int]]
"""For each key the greatest rank, and the write that has it."""


class _Session(NamedTuple):
    """What one process must not be shown anything older than, by guarantee."""

    written: _Floors
    read: _Floors
    written_elsewhere: _Floors
    read_elsewhere: _Floors
    walked: dict[int, int]


def violations(observations: Observations) -> Iterator[tuple[Demand, Demand]]:
    """
    Yield demands that ranks contradict, each with the contrary one.

    Needs `Observations.ranked`.
    """
    sessions = {
        process: _Session({}, {}, {}, {}, {}) for process in observations.sessions
    }
    for index, event in enumerate(observations.events):
        session = sessions[event.process]
        if event.write is not None:
            yield from _written(observations, session, index, event)
            continue
        shown = event.ceiling if event.source is None else event.source
        if shown is None:
            continue
        if event.source is not None and event.source != INITIAL:
            _see(observations, session, event.process, event.source)
        for floors, guarantee in (
            (session.written, Guarantee.READ_YOUR_WRITES),
            (session.read, Guarantee.MONOTONIC_READS),
            (session.written_elsewhere, Guarantee.MONOTONIC_WRITES),
            (session.read_elsewhere, Guarantee.WRITES_FOLLOW_READS),
        ):
            yield from _compared(observations, floors, guarantee, index, shown)
        if event.source is not None:
            _raise(observations, session.read, event.source)


def _written(
    observations: Observations, session: _Session, index: int, event: Event
) -> Iterator[tuple[Demand, Demand]]:
    assert event.write is not None, "the event is a write"
    write = observations.writes[event.write]
    if write.rank is not None:
        for floors, guarantee in (
            (session.written, Guarantee.MONOTONIC_WRITES),
            (session.read, Guarantee.WRITES_FOLLOW_READS),
        ):
            yield from _compared(observations, floors, guarantee, index, event.write)
    if write.acknowledged:
        _raise(observations, session.written, event.write)


def _compared(
    observations: Observations,
    floors: _Floors,
    guarantee: Guarantee,
    index: int,
    shown: int,
) -> Iterator[tuple[Demand, Demand]]:
    floor = floors.get(observations.events[index].key)
    if floor is None:
        return
    rank, number = floor
    shown_rank = None if shown == INITIAL else observations.writes[shown].rank
    if shown_rank is None or shown_rank < rank:
        yield (
            Demand(number, shown, guarantee, index),
            Demand(shown, number, BY_RANK, -1),
        )


def _raise(observations: Observations, floors: _Floors, number: int) -> None:
    """Let *floors* be no lower than write *number*, unless that is lost."""
    if number == INITIAL:
        return
    write = observations.writes[number]
    if write.lost:
        return
    assert write.rank is not None, "what is shown or acknowledged has a rank"
    floor = floors.get(write.key)
    if floor is None or floor[0] < write.rank:
        floors[write.key] = (write.rank, number)


def _see(
    observations: Observations, session: _Session, process: int, seen: int
) -> None:
    """Go through what the writer of *seen* had done before it."""
    write = observations.writes[seen]
    writer = write.process
    if writer in {process, NO_PROCESS}:
        return
    walked = session.walked.get(writer, 0)
    if walked >= write.position:
        return
    session.walked[writer] = write.position
    for event in observations.sessions[writer][walked : write.position]:
        if event.source is not None:
            _raise(observations, session.read_elsewhere, event.source)
        elif event.write is not None and observations.writes[event.write].acknowledged:
            _raise(observations, session.written_elsewhere, event.write)
