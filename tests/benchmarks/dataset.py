"""
Keys, values and orders drawn from one seed, so that two runs measure the same.

Keys look like those of a site's sessions and flags: 24 bytes.  Values are 100
bytes of noise, which no store can compress.
"""

from dataclasses import dataclass
from random import Random

SEED = 20240229
KEY_COUNT = 10_000
VALUE_BYTES = 100
ORDER_LENGTH = 4096  # draws before a caller's order repeats


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pairs by index; `keys[i]` belongs to `values[i]`."""

    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Return all pairs in order of index."""
        return list(zip(self.keys, self.values, strict=True))

    def order(self, caller: int, callers: int) -> tuple[int, ...]:
        """
        Return the indexes that *caller* works on, in its order.

        No two of the *callers* share an index, so that the last value a caller
        has put is the one that must be there afterwards.
        """
        assert 0 <= caller < callers <= len(self.keys), "every caller has a key"
        rng = Random(SEED + caller)
        own = range(caller, len(self.keys), callers)
        return tuple(rng.choices(own, k=ORDER_LENGTH))

    def sample(self, count: int) -> list[int]:
        """Return *count* different indexes, or all if there are fewer."""
        rng = Random(SEED)
        return rng.sample(range(len(self.keys)), min(count, len(self.keys)))


def draw(prefix: str, count: int) -> Dataset:
    """Return *count* pairs whose keys begin with *prefix* and a slash."""
    rng = Random(f"{SEED}/{prefix}")
    numbers = rng.sample(range(10**12), count)
    keys = tuple(f"{prefix}/{number:018}".encode() for number in numbers)
    return Dataset(keys, tuple(rng.randbytes(VALUE_BYTES) for _ in range(count)))
