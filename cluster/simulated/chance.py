"""
Chance: many streams of random numbers from one seed.

Each purpose draws from a stream of its own, seeded by the run's seed and the
stream's name, so what one purpose draws, or whether it draws at all, changes no
other.  A stream that is *calm* gives its nominal value instead of drawing: to
cut a failing run down, streams are calmed one by one.

Seeds go through SHA-256, never through `hash`, which differs between processes.

Reference:
    L'Ecuyer, Simard, Chen & Kelton, 2002.  An object-oriented random-number
        package with many long streams and substreams.
"""

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

_WORD_BITS = 64


class Stream:
    """What one purpose draws from."""

    __slots__ = ("_random", "calm", "name", "word")

    def __init__(self, seed: int, name: str, *, calm: bool) -> None:
        digest = sha256(f"{seed}/{name}".encode()).digest()
        generator = Random(int.from_bytes(digest))  # noqa: S311 -- to be repeatable
        self.name = name
        self.calm = calm
        self._random = generator.random
        self.word = generator.getrandbits

    def between(self, low: float, high: float, nominal: float) -> float:
        """Draw from [*low*, *high*); *nominal* if calm."""
        return nominal if self.calm else low + (high - low) * self._random()

    def uniform(self, low: float, high: float) -> float:
        """Draw from [*low*, *high*); the middle if calm."""
        return low + (high - low) * (0.5 if self.calm else self._random())

    def happens(self, probability: float) -> bool:
        """Tell whether something of *probability* comes to be; never if calm."""
        return not self.calm and self._random() < probability

    def below(self, count: int) -> int:
        """Draw one of 0 to *count* - 1; 0 if calm."""
        return 0 if self.calm else int(count * self._random())

    def randrange(self, stop: int, /) -> int:
        """Draw as `below` does: what a node's core asks for."""
        return self.below(stop)

    def pick(self, items: Sequence[Item]) -> Item:
        """Draw one of *items*; the first if calm."""
        return items[self.below(len(items))]

    def identity(self) -> int:
        """Draw 64 bits, not 0; calm or not, since identities must differ."""
        return self.word(_WORD_BITS) or 1


class Chance:
    """All streams of a run."""

    def __init__(self, seed: int, calm: frozenset[str] = frozenset()) -> None:
        """
        Make streams of *seed*.

        Args:
            seed: Any integer.
            calm: Streams that give their nominal values, by name.
        """
        self.seed = seed
        self.calm = calm
        self._streams: dict[str, Stream] = {}

    def stream(self, name: str) -> Stream:
        """Return the stream called *name*, always the same one."""
        stream = self._streams.get(name)
        if stream is None:
            stream = Stream(self.seed, name, calm=name in self.calm)
            self._streams[name] = stream
        return stream

    def names(self) -> tuple[str, ...]:
        """Return the streams asked for so far, sorted: what can be calmed."""
        return tuple(sorted(self._streams))
