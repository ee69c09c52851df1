"""Hostile peers: old messages in floods, and messages that no correct peer sends."""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import Flood, Garble
from jepsen_like.nemesis.nemesis import Nemesis, magnitude, windows
from jepsen_like.plan import Strike

_FLOOD_MESSAGES = (5, 60)
"""Each may take a node as long as an honest one, and other faults wait meanwhile."""

_GARBLE_MESSAGES = (1, 50)


def _flood(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, _ in windows(random, duration_ms):
        messages = magnitude(random, *_FLOOD_MESSAGES)
        yield Strike(begin, Flood(random.choice(nodes), messages))


def _garble(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    for begin, _ in windows(random, duration_ms):
        messages = magnitude(random, *_GARBLE_MESSAGES)
        yield Strike(begin, Garble(random.choice(nodes), messages))


HOSTILE = (
    Nemesis("flood", "Repeat many old messages of its peers to a node.", _flood, 2),
    Nemesis("garble", "Send a node what no correct peer sends.", _garble, 2),
)
