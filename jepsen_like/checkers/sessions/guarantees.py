"""
The four session guarantees, and what each demands of the order of writes.

A store decides between writes of one key by some order of them.  A session that was
shown a write of a key was shown nothing older than what the guarantee has it see:

- read your writes: no older than what it wrote itself
- monotonic reads: no older than what it read before
- monotonic writes: no older than what another session wrote before a write that this
  one has been shown; and a session's writes of a key are in its order
- writes follow reads: no older than what another session had read before a write
  that this one has been shown; and a write of a key comes after what its session
  had read of that key

Each such "no older than" is an edge between writes of one key.

References:
    Terry et al., 1994.  Session guarantees for weakly consistent replicated data.
    Viotti & Vukolić, 2016.  Consistency in non-transactional distributed storage
        systems, section 3.4.
"""

from enum import IntEnum
from typing import NamedTuple


class Guarantee(IntEnum):
    """A session guarantee, as a bit."""

    READ_YOUR_WRITES = 1
    MONOTONIC_READS = 2
    MONOTONIC_WRITES = 4
    WRITES_FOLLOW_READS = 8

    @property
    def title(self) -> str:
        """How users select it."""
        return self.name.lower().replace("_", "-")


BY_RANK = 0
"""The kind of a demand that no guarantee makes: the store's ranks show it."""


class Demand(NamedTuple):
    """
    One write must come before another.

    Attributes:
        before: The number of a write.
        after: The number of a write, or INITIAL.
        kind: The `Guarantee` that demands it, or BY_RANK.
        cause: The index of the event that shows it; -1 if BY_RANK.
    """

    before: int
    after: int
    kind: int
    cause: int
