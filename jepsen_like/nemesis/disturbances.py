"""
Disturbances: links that work, but badly.

A store over TCP sees loss and reordering as delay, and duplication never; one
over datagrams sees them all.  What of it a system can suffer, its adapter knows.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import Disturb, Heal, Link
from jepsen_like.nemesis.nemesis import Draw, Nemesis, magnitude, windows
from jepsen_like.plan import Strike

Worsen = Callable[[Random, tuple[Link, ...]], Disturb]

_DELAY_MS = (10, 1_000)
_BYTES_PER_SECOND = (2_000, 200_000)
"""From what a keep-alive needs up to what a page of a delta takes a second for."""


def _chance(random: Random, most: float) -> float:
    return round(random.uniform(0.02, most), 3)


def _delay(random: Random, links: tuple[Link, ...]) -> Disturb:
    delay_ms = magnitude(random, *_DELAY_MS)
    return Disturb(links, delay_ms=delay_ms, jitter_ms=random.randint(0, delay_ms))


def _loss(random: Random, links: tuple[Link, ...]) -> Disturb:
    return Disturb(links, loss=_chance(random, 0.5))


def _duplication(random: Random, links: tuple[Link, ...]) -> Disturb:
    return Disturb(links, duplication=_chance(random, 0.9))


def _reordering(random: Random, links: tuple[Link, ...]) -> Disturb:
    return Disturb(links, reordering=_chance(random, 0.9))


def _slow_link(random: Random, links: tuple[Link, ...]) -> Disturb:
    return Disturb(links, bytes_per_second=magnitude(random, *_BYTES_PER_SECOND))


def _disorder(random: Random, links: tuple[Link, ...]) -> Disturb:
    delay = _delay(random, links)
    return Disturb(
        links,
        delay_ms=delay.delay_ms,
        jitter_ms=delay.jitter_ms,
        loss=_chance(random, 0.3),
        duplication=_chance(random, 0.5),
        reordering=_chance(random, 0.5),
    )


def _some_links(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return all links, those of one node, or one alone."""
    links = tuple((one, other) for one in nodes for other in nodes if one != other)
    match random.randrange(3):
        case 0:
            return links
        case 1:
            chosen = random.choice(nodes)
            return tuple(link for link in links if chosen in link)
        case _:
            return (random.choice(links),)


def _of(worsen: Worsen) -> Draw:
    def draw(
        random: Random, nodes: Sequence[str], duration_ms: int
    ) -> Iterator[Strike]:
        for begin, end in windows(random, duration_ms):
            yield Strike(begin, worsen(random, _some_links(random, nodes)))
            yield Strike(end, Heal())

    return draw


DISTURBANCES = (
    Nemesis("delay", "Make messages late, each by another while.", _of(_delay), 2),
    Nemesis("loss", "Lose some messages.", _of(_loss), 2),
    Nemesis("duplication", "Let some messages arrive twice.", _of(_duplication), 2),
    Nemesis("reordering", "Let messages overtake each other.", _of(_reordering), 2),
    Nemesis("slow-link", "Leave links little bandwidth.", _of(_slow_link), 2),
    Nemesis("disorder", "Do all of that to links at once.", _of(_disorder), 2),
)
