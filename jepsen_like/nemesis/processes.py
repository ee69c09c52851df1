"""
Processes: nodes that end, freeze, and come back.

A killed node forgets what it had not made durable; a paused one forgets nothing
and does not know that time has passed, so what it believes of others is stale.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import Kill, Pause, Resume, Start
from jepsen_like.nemesis.nemesis import Nemesis, some_of, windows
from jepsen_like.plan import Strike

_RESTARTS_MAX = 8
"""In one storm: a node that is killed while it recovers, again and again."""


def _kill(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        chosen = some_of(random, nodes)
        yield Strike(begin, Kill(chosen))
        yield Strike(end, Start(chosen))


def _pause(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        chosen = some_of(random, nodes)
        yield Strike(begin, Pause(chosen))
        yield Strike(end, Resume(chosen))


def _storm(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        count = min(2 * random.randint(2, _RESTARTS_MAX), end - begin)
        times = sorted(random.randint(begin, end) for _ in range(count))
        for down, up in zip(times[::2], times[1::2], strict=False):
            chosen = some_of(random, nodes)
            yield Strike(down, Kill(chosen))
            yield Strike(up, Start(chosen))


PROCESSES = (
    Nemesis("kill", "End nodes as a power cut would, and start them later.", _kill),
    Nemesis("pause", "Freeze nodes, and let them go on later.", _pause),
    Nemesis("restart-storm", "Kill and start nodes again and again.", _storm),
)
