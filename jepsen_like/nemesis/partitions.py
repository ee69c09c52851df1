"""
Partitions: who hears whom.

    halves    two groups that do not hear each other
    one       one node hears nobody and is heard by nobody
    ring      each hears a majority, and no two hear the same one
    bridge    two groups that hear each other only through one node
    one-way   one group is heard by the other and does not hear it

Rings and bridges are what breaks protocols that take "I hear a majority" for "the
majority hears me"; one-way cuts what takes an open link for two.

Reference:
    Kingsbury, 2013-.  jepsen.nemesis: complete-grudge, bridge, majorities-ring.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import Cut, Heal, Link
from jepsen_like.nemesis.nemesis import Draw, Nemesis, shuffled, windows
from jepsen_like.plan import Strike

Links = Callable[[Random, Sequence[str]], tuple[Link, ...]]


def between(ones: Iterable[str], others: Sequence[str]) -> tuple[Link, ...]:
    """Return the links between two groups, both ways."""
    return tuple(
        link
        for one in ones
        for other in others
        for link in ((one, other), (other, one))
    )


def halves(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return what parts *nodes* into two groups of about one size."""
    order = shuffled(random, nodes)
    return between(order[: len(order) // 2], order[len(order) // 2 :])


def one(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return what parts one of *nodes* from all others."""
    lonely, *others = shuffled(random, nodes)
    return between([lonely], others)


def ring(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return what leaves each of *nodes* a majority of its own to hear."""
    order = shuffled(random, nodes)
    heard_count = len(order) // 2  # with itself a majority
    steps = [(i // 2 + 1) * (-1 if i % 2 else 1) for i in range(heard_count)]
    heard = [
        [order[(place + step) % len(order)] for step in steps]
        for place in range(len(order))
    ]
    return tuple(
        (sender, receiver)
        for receiver, open_to in zip(order, heard, strict=True)
        for sender in order
        if sender != receiver and sender not in open_to
    )


def bridge(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return what leaves two groups of *nodes* one common node."""
    _, *others = shuffled(random, nodes)
    return between(others[: len(others) // 2], others[len(others) // 2 :])


def one_way(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    """Return what makes one group of *nodes* deaf for the other."""
    order = shuffled(random, nodes)
    count = random.randint(1, len(order) - 1)
    return tuple(
        (sender, receiver) for sender in order[:count] for receiver in order[count:]
    )


_KINDS: dict[str, tuple[Links, str, int]] = {
    "halves": (halves, "Cut the nodes into two groups.", 2),
    "one": (one, "Cut one node off from all others.", 2),
    "ring": (ring, "Let each node hear a majority, and no two the same one.", 3),
    "bridge": (bridge, "Cut the nodes into two groups with one node in both.", 3),
    "one-way": (one_way, "Make some nodes deaf for others that hear them.", 2),
}


def _of(links: Links) -> Draw:
    def draw(
        random: Random, nodes: Sequence[str], duration_ms: int
    ) -> Iterator[Strike]:
        for begin, end in windows(random, duration_ms):
            yield Strike(begin, Cut(links(random, nodes)))
            yield Strike(end, Heal())

    return draw


def _any(random: Random, nodes: Sequence[str]) -> tuple[Link, ...]:
    fitting = [links for links, _, least in _KINDS.values() if least <= len(nodes)]
    return random.choice(fitting)(random, nodes)


PARTITIONS = (
    *(
        Nemesis(f"partition-{name}", summary, _of(links), least)
        for name, (links, summary, least) in _KINDS.items()
    ),
    Nemesis("partition", "Cut links, each time in another way.", _of(_any), 2),
)
