"""
Clocks: wall clocks that are wrong, jump, flicker and run at the wrong speed.

    skew     nodes' clocks differ from the beginning to the end
    jump     a clock is set wrong at once, and set right later
    strobe   a clock flickers between right and wrong
    drift    a clock gains or loses time steadily

Reference:
    Kingsbury, 2013-.  jepsen.nemesis.time: bump, strobe, skew.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import SetClock
from jepsen_like.nemesis.nemesis import Nemesis, magnitude, some_of, windows
from jepsen_like.plan import Strike

_SKEW_MS = (1, 60_000)
_JUMP_MS = (4, 3_600_000)
_STROBE_MS = (1, 10_000)
_STROBES_MAX = 40
_DRIFT_PPM = (100, 200_000)
"""From a bad crystal up to a virtual machine's clock gone mad."""


def _either_way(random: Random, bounds: tuple[int, int]) -> int:
    return random.choice((1, -1)) * magnitude(random, *bounds)


def _skew(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for node in some_of(random, nodes):
        yield Strike(0, SetClock(node, _either_way(random, _SKEW_MS)))
        yield Strike(duration_ms, SetClock(node))


def _jump(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        for node in some_of(random, nodes):
            yield Strike(begin, SetClock(node, _either_way(random, _JUMP_MS)))
            yield Strike(end, SetClock(node))


def _strobe(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        node = random.choice(nodes)
        offset_ms = _either_way(random, _STROBE_MS)
        count = min(random.randint(2, _STROBES_MAX), end - begin)
        for i in range(count):
            wrong = 0 if i % 2 else offset_ms
            yield Strike(begin + (end - begin) * i // count, SetClock(node, wrong))
        yield Strike(end, SetClock(node))


def _drift(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        for node in some_of(random, nodes):
            drift_ppm = _either_way(random, _DRIFT_PPM)
            yield Strike(begin, SetClock(node, drift_ppm=drift_ppm))
            yield Strike(end, SetClock(node))


CLOCKS = (
    Nemesis("clock-skew", "Let clocks differ all the time.", _skew),
    Nemesis("clock-jump", "Set clocks wrong, and right again.", _jump),
    Nemesis("clock-strobe", "Let a clock flicker between right and wrong.", _strobe),
    Nemesis("clock-drift", "Let clocks run at the wrong speed.", _drift),
)
