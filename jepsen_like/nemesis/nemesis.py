"""
What a nemesis is: a way to draw a schedule of faults.

Everything is drawn beforehand from one source of chance, so that a schedule is
data.  Whatever begins is ended again before the time is over, by what ends it.

Reference:
    Kingsbury, 2013-.  Jepsen: nemeses and their generators.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.plan import Strike

Draw = Callable[[Random, Sequence[str], int], Iterable[Strike]]
"""Draws faults for nodes, over so many ms, in any order."""

DURATION_MS_MIN = 20
"""Shorter schedules have no room for a beginning and an end."""


class UnfitNemesisError(ValueError):
    """A nemesis is asked for that is not known, or that cannot do what it should."""


@dataclass(frozen=True, slots=True)
class Nemesis:
    """
    A way to harm a system.

    Attributes:
        name: How users select it.
        summary: What it does, in a sentence, for people.
        draw: Draws its faults.
        nodes_min: With fewer nodes there is nothing to do.
    """

    name: str
    summary: str
    draw: Draw
    nodes_min: int = 1

    def strikes(
        self, random: Random, nodes: Sequence[str], duration_ms: int
    ) -> tuple[Strike, ...]:
        """
        Return a schedule within *duration_ms*, in order of time.

        Raises:
            UnfitNemesisError: There are too few nodes, or the time is too short.
        """
        if len(nodes) < self.nodes_min:
            msg = (
                f"nemesis {self.name} needs {self.nodes_min} nodes or more,"
                f" and there are {len(nodes)}"
            )
            raise UnfitNemesisError(msg)
        if duration_ms < DURATION_MS_MIN:
            msg = (
                f"a schedule of faults needs {DURATION_MS_MIN} ms or more,"
                f" not {duration_ms}"
            )
            raise UnfitNemesisError(msg)
        drawn = sorted(
            self.draw(random, tuple(nodes), duration_ms), key=lambda each: each.at
        )
        assert all(0 <= each.at <= duration_ms for each in drawn), "within its time"
        return tuple(drawn)


def windows(random: Random, duration_ms: int) -> Iterator[tuple[int, int]]:
    """
    Yield times (from, to) in ms in which something is wrong: one or more.

    Between them all is well for a while, because much of what goes wrong shows
    only when links open again and nodes come back.
    """
    at = 0
    while True:
        begin = at + random.randint(duration_ms // 20, duration_ms // 6)
        end = begin + random.randint(max(1, duration_ms // 10), duration_ms // 4)
        if end > duration_ms:
            assert at > 0, "the first window always fits"
            return
        yield begin, end
        at = end


def some_of(random: Random, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return one node, a minority, a majority or all, in the order of *nodes*."""
    majority = len(nodes) // 2 + 1
    count = random.choice((1, max(1, len(nodes) - majority), majority, len(nodes)))
    chosen = random.sample(range(len(nodes)), count)
    return tuple(nodes[position] for position in sorted(chosen))


def shuffled(random: Random, nodes: Sequence[str]) -> list[str]:
    """Return *nodes* in any order."""
    return random.sample(list(nodes), len(nodes))


def magnitude(random: Random, least: int, most: int) -> int:
    """Return a number of *least* to *most*, of each length in bits as likely."""
    assert 0 < least <= most, "both are there"
    # In whole numbers: a power of floats may differ from machine to machine.
    bits = random.randint(least.bit_length(), most.bit_length())
    return random.randint(max(least, 1 << (bits - 1)), min(most, (1 << bits) - 1))
