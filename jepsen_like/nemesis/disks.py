"""
Disks: no room, no speed, and bits that are not what they were.

Reference:
    Alagappan, Ganesan, Lee, Albarghouthi, Chidambaram, Arpaci-Dusseau &
        Arpaci-Dusseau, 2018.  Protocol-aware recovery for consensus-based
        storage.  What stores do with a damaged record.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import FillDisk, FlipBits, FreeDisk, SlowDisk
from jepsen_like.nemesis.nemesis import Nemesis, magnitude, some_of, windows
from jepsen_like.plan import Strike

_SYNC_MS = (5, 2_000)


def _full(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        for node in some_of(random, nodes):
            yield Strike(begin, FillDisk(node))
            yield Strike(end, FreeDisk(node))


def _slow(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, end in windows(random, duration_ms):
        for node in some_of(random, nodes):
            yield Strike(begin, SlowDisk(node, magnitude(random, *_SYNC_MS)))
            yield Strike(end, SlowDisk(node, 0))


def _flip(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    # One node only: what is damaged everywhere, nobody can repair.
    node = random.choice(nodes)
    for begin, _ in windows(random, duration_ms):
        # Later, because at first there is nothing stored that could be damaged.
        yield Strike((begin + duration_ms) // 2, FlipBits(node))


DISKS = (
    Nemesis("disk-full", "Leave nodes no room, and give it back.", _full),
    Nemesis("disk-slow", "Make syncs of nodes slow.", _slow),
    Nemesis("bit-flips", "Damage stored records of one node.", _flip),
)
