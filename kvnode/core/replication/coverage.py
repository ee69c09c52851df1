"""
Coverage of pushed batches: when a node may say that it has them.

Entries of a push are merged as they come.  The node *covers* the batch, and so
claims it to peers and sessions, once it covers all that the batch depends on and
the origin's earlier writes (rule D4, invariant I2).  Batches that wait are kept
here, in memory and bounded: what is dropped comes back with a delta.
"""

from dataclasses import dataclass

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.catch_up import is_here
from kvnode.core.versions.version import Entry, Version
from kvnode.types import Dot, EntryKey, Millis, ReplicaId

WAITING_BATCHES_MAX = 4096
"""About a second of pushes from a busy cluster; each is a few hundred bytes."""


@dataclass(slots=True)
class WaitingBatch:
    """Seqs *first*..*last* of *origin*, merged and not covered yet."""

    origin: ReplicaId
    first: int
    last: int
    dependencies: tuple[Dot, ...]
    sender: ReplicaId
    since: Millis
    missing: dict[EntryKey, Version]  # announced and not pulled yet (D6)


class WaitingBatches:
    """The batches that wait to be covered, by origin and first seq."""

    def __init__(self) -> None:
        self._batches: dict[tuple[ReplicaId, int], WaitingBatch] = {}

    def __len__(self) -> int:
        """Return how many batches wait."""
        return len(self._batches)

    def add(self, batch: WaitingBatch) -> None:
        """Keep *batch*; beyond the bound it is dropped and a delta brings it."""
        if len(self._batches) < WAITING_BATCHES_MAX:
            self._batches[batch.origin, batch.first] = batch

    def get(self, origin: ReplicaId, first: int) -> WaitingBatch | None:
        """Return the batch of *origin* that begins with seq *first*, if it waits."""
        return self._batches.get((origin, first))

    def held(self) -> VersionVector:
        """Return what the batches hold together."""
        held = EMPTY
        for batch in self._batches.values():
            held = held.with_range(batch.origin, batch.first, batch.last)
        return held

    def arrived(
        self, key: EntryKey, stored: Entry | None, clock: VersionVector
    ) -> list[WaitingBatch]:
        """
        Note that *key* holds *stored* after a pull; return batches now complete.

        A batch goes on waiting if what it announced is not in there: the pull
        may have begun before, or have been another peer's.
        """
        complete = []
        for batch in self._batches.values():
            if key in batch.missing and is_here(batch.missing[key], stored, clock):
                del batch.missing[key]
                if not batch.missing:
                    complete.append(batch)
        return complete

    def waiting_for(self, key: EntryKey) -> list[tuple[ReplicaId, Dot]]:
        """Return who announced a value of *key* that batches still wait for."""
        return [
            (batch.sender, batch.missing[key].dot)
            for batch in self._batches.values()
            if key in batch.missing
        ]

    def advance(self, clock: VersionVector) -> VersionVector:
        """Return *clock* with every batch that can be covered; forget those."""
        moved = bool(self._batches)
        while moved:
            moved = False
            for place, batch in sorted(self._batches.items()):
                if clock.covers(Dot(batch.origin, batch.last)):
                    del self._batches[place]
                elif _coverable(batch, clock):
                    clock = clock.with_range(batch.origin, batch.first, batch.last)
                    del self._batches[place]
                    moved = True
        return clock

    def stuck_senders(self, oldest: Millis) -> set[ReplicaId]:
        """Return who sent batches that have waited since before *oldest*."""
        return {b.sender for b in self._batches.values() if b.since <= oldest}

    def clock_stepped_back(self, now: Millis) -> None:
        """Let no batch have waited since a moment that is still to come."""
        for batch in self._batches.values():
            batch.since = min(batch.since, now)

    def drop_waiting(self, sender: ReplicaId, key: EntryKey) -> None:
        """Forget what waits for a value of *key* that *sender* does not have."""
        self._batches = {
            place: b
            for place, b in self._batches.items()
            if b.sender != sender or key not in b.missing
        }

    def drop_older(self, sender: ReplicaId, asked_at: Millis) -> None:
        """Forget what *sender* pushed before a delta of its was asked for."""
        self._batches = {
            place: b
            for place, b in self._batches.items()
            if b.sender != sender or b.since > asked_at
        }

    def drop_of(self, sender: ReplicaId) -> None:
        """Forget what *sender* sent: its connection is gone."""
        self._batches = {
            place: b for place, b in self._batches.items() if b.sender != sender
        }


def _coverable(batch: WaitingBatch, clock: VersionVector) -> bool:
    return (
        not batch.missing
        and (batch.first == 1 or clock.covers(Dot(batch.origin, batch.first - 1)))
        and clock.covers_all(batch.dependencies)
    )
