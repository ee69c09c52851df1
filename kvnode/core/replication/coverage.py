"""
Coverage of pushed batches: when a node may say that it has them.

Entries of a push are merged as they come.  The node *covers* the batch, and so
claims it to peers and sessions, once it covers all that the batch depends on and
the origin's earlier writes (rule D4, invariant I2).  Batches that wait are kept
here, in memory and bounded: what is dropped comes back with a delta.

While a node catches up, pushes wait by the thousand for what a delta has yet to
bring.  So a batch that follows upon one that waits, and waits for nothing else, is
joined to it; and a turn looks at those alone that its clock has reached.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
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
        self._rows: dict[ReplicaId, list[WaitingBatch]] = {}  # ascending, none empty
        self._closed_at = Millis(0)

    def __len__(self) -> int:
        """Return how many batches wait; those joined count as one."""
        return sum(map(len, self._rows.values()))

    def __iter__(self) -> Iterator[WaitingBatch]:
        """Yield them, by no order that means anything."""
        for row in self._rows.values():
            yield from row

    def add(self, batch: WaitingBatch, clock: VersionVector) -> None:
        """
        Keep *batch*; beyond the bound it is dropped and a delta brings it.

        Args:
            batch: What has come, once or again.
            clock: What is covered: what a batch depends on there is not waited for.
        """
        row = self._rows.get(batch.origin, [])
        place = bisect_right(row, batch.first, key=_first)
        before = row[place - 1] if place else None
        if before is not None and before.last >= batch.first:
            if before.first == batch.first and before.last <= batch.last:
                row[place - 1] = batch
        elif before is not None and self._continues(before, batch, clock):
            before.last = batch.last
        elif len(self) < WAITING_BATCHES_MAX:
            row.insert(place, batch)
            self._rows[batch.origin] = row

    def _continues(
        self, before: WaitingBatch, batch: WaitingBatch, clock: VersionVector
    ) -> bool:
        """Tell whether *batch* waits for nothing but *before*."""
        return (
            before.last + 1 == batch.first
            and before.sender == batch.sender
            and before.since > self._closed_at
            and not before.missing
            and not batch.missing
            and all(
                clock.covers(dot)
                or (dot.replica == batch.origin and before.first <= dot.seq)
                for dot in batch.dependencies
            )
        )

    def close(self, now: Millis) -> None:
        """Join nothing to what came until *now*: see `drop_older`."""
        self._closed_at = now

    def get(self, origin: ReplicaId, first: int) -> WaitingBatch | None:
        """Return the batch of *origin* that has seq *first*, if it waits."""
        row = self._rows.get(origin, [])
        place = bisect_right(row, first, key=_first)
        if place and first <= row[place - 1].last:
            return row[place - 1]
        return None

    def held(self) -> VersionVector:
        """Return what the batches hold together."""
        held = EMPTY
        for batch in self:
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
        for batch in self:
            if key in batch.missing and is_here(batch.missing[key], stored, clock):
                del batch.missing[key]
                if not batch.missing:
                    complete.append(batch)
        return complete

    def waiting_for(self, key: EntryKey) -> list[tuple[ReplicaId, Dot]]:
        """Return who announced a value of *key* that batches still wait for."""
        return [
            (batch.sender, batch.missing[key].dot)
            for batch in self
            if key in batch.missing
        ]

    def advance(self, clock: VersionVector) -> VersionVector:
        """Return *clock* with every batch that can be covered; forget those."""
        moved = bool(self._rows)
        while moved:
            before = clock
            for origin, row in sorted(self._rows.items()):
                clock = _advance(row, clock)
                if not row:
                    del self._rows[origin]
            moved = clock is not before
        return clock

    def stuck_senders(self, oldest: Millis) -> set[ReplicaId]:
        """Return who sent batches that have waited since before *oldest*."""
        return {batch.sender for batch in self if batch.since <= oldest}

    def clock_stepped_back(self, now: Millis) -> None:
        """Let no batch have waited since a moment that is still to come."""
        self._closed_at = min(self._closed_at, now)
        for batch in self:
            batch.since = min(batch.since, now)

    def drop_waiting(self, sender: ReplicaId, key: EntryKey) -> None:
        """Forget what waits for a value of *key* that *sender* does not have."""
        self._keep(lambda batch: batch.sender != sender or key not in batch.missing)

    def drop_older(self, sender: ReplicaId, asked_at: Millis) -> None:
        """Forget what *sender* pushed before a delta of its was asked for."""
        self._keep(lambda batch: batch.sender != sender or batch.since > asked_at)

    def drop_of(self, sender: ReplicaId) -> None:
        """Forget what *sender* sent: its connection is gone."""
        self._keep(lambda batch: batch.sender != sender)

    def _keep(self, is_kept: Callable[[WaitingBatch], bool]) -> None:
        for origin, row in list(self._rows.items()):
            row[:] = filter(is_kept, row)
            if not row:
                del self._rows[origin]


def _first(batch: WaitingBatch) -> int:
    return batch.first


def _advance(row: list[WaitingBatch], clock: VersionVector) -> VersionVector:
    """Return *clock* with what can be covered of one origin; leave the others."""
    origin = row[0].origin
    reached, waiting = 0, []
    for batch in row:
        if batch.first > clock.newest(origin) + 1:
            break
        reached += 1
        if clock.covers(Dot(origin, batch.last)):
            continue
        if _coverable(batch, clock):
            clock = clock.with_range(origin, batch.first, batch.last)
        else:
            waiting.append(batch)
    row[:reached] = waiting
    return clock


def _coverable(batch: WaitingBatch, clock: VersionVector) -> bool:
    return (
        not batch.missing
        and (
            batch.first == 1
            or clock.covers(Dot(batch.origin, batch.first - 1))
            # Of batches that were joined, a delta may have brought the first.
            or clock.covers(Dot(batch.origin, batch.first))
        )
        and clock.covers_all(batch.dependencies)
    )
