"""
Members: nodes that come, are declared gone, and come back all the same.

    churn            nodes join under new names; one is removed and comes back all the
                     same, or loses its store, and what it was before is removed
    tombstone-race   many short cuts and freezes, so that deletions meet each other
                     while they are forgotten; best with few keys and many deletions
    coordinator-cut  whoever works something out for all is cut off, again and again

Reference:
    Kingsbury, 2013-.  jepsen.nemesis.membership.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import (
    Cut,
    CutCoordinator,
    Heal,
    Join,
    Pause,
    RemoveFormer,
    RemoveMember,
    RestoreBackup,
    Resume,
    Start,
    TakeBackup,
    Wipe,
)
from jepsen_like.nemesis.nemesis import Nemesis, windows
from jepsen_like.nemesis.partitions import one, one_way
from jepsen_like.plan import Strike

_RACE_MS = (30, 700)
"""Around the time in which a store that forgets quickly forgets once."""


def _churn(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    joined = random.randint(1, 2)
    for number in range(1, joined + 1):
        at = random.randint(duration_ms // 10, duration_ms * 3 // 4)
        yield Strike(at, Join(f"new{number}", random.choice(nodes)))
    chosen = random.choice(nodes)
    at = random.randint(duration_ms // 3, duration_ms // 2)
    later = random.randint(at, duration_ms)
    match random.randrange(4):
        case 0:
            yield Strike(at, RemoveMember(chosen))
            yield Strike(duration_ms, Start((chosen,)))
        case 1:
            yield Strike(at, RemoveMember(chosen))
            yield Strike(later, Start((chosen,)))
        case 2:
            yield Strike(at, Wipe(chosen))
            yield Strike(later, RemoveFormer(chosen))
        case _:
            yield Strike(at // 4, TakeBackup(chosen))
            yield Strike(at, RestoreBackup(chosen))
            yield Strike(later, RemoveFormer(chosen))


def _race(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    at = random.randint(0, duration_ms // 10)
    while True:
        end = at + random.randint(*_RACE_MS)
        if end > duration_ms:
            return
        match random.randrange(3):
            case 0:
                yield Strike(at, Cut(one(random, nodes)))
                yield Strike(end, Heal())
            case 1:
                yield Strike(at, Cut(one_way(random, nodes)))
                yield Strike(end, Heal())
            case _:
                chosen = (random.choice(nodes),)
                yield Strike(at, Pause(chosen))
                yield Strike(end, Resume(chosen))
        at = end + random.randint(*_RACE_MS)


def _coordinator(
    random: Random, nodes: Sequence[str], duration_ms: int
) -> Iterator[Strike]:
    del nodes
    for begin, end in windows(random, duration_ms):
        yield Strike(begin, CutCoordinator())
        yield Strike(end, Heal())


RACES = (
    Nemesis(
        "tombstone-race", "Cut and freeze for moments while all is forgotten.", _race, 2
    ),
    Nemesis(
        "coordinator-cut",
        "Cut off whoever works something out for all.",
        _coordinator,
        2,
    ),
)
CHURN = (
    Nemesis(
        "member-churn",
        "Let nodes join, be removed, and come back all the same.",
        _churn,
        2,
    ),
)
