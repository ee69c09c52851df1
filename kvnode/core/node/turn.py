"""
A turn: many events, one time, one transaction.

Events of one turn see each other's writes, which are staged here on top of the
store's snapshot.  Nothing of a turn exists until its commit is durable; if that
fails, the node goes back to the state from before the turn.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kvnode.core.crdt.kinds import join
from kvnode.core.node.events import Effect
from kvnode.core.node.pushes import Originated
from kvnode.core.replication.fingerprint import DigestChange
from kvnode.core.replication.repair import Trust, is_same_write, repaired
from kvnode.core.versions.conflict_log import append, fresh
from kvnode.core.versions.floor import GROUND, Floor, forgets
from kvnode.core.versions.merge import merge
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    LostVersion,
    Mortal,
    TurnView,
    Write,
    staged_rows,
)
from kvnode.core.versions.version import CRDT_KINDS, Entry
from kvnode.errors import DamagedRecordError, PeerProtocolError
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, ReplicaId


class Turn:
    """
    What one turn has staged so far.

    `seq` is the last sequence number given to a write.  `was_filling` tells whether
    the store was being filled before the turn.  `digest` is that of the store before
    the turn, which a scan may settle; `digest_change` is told of all that the turn
    changes.
    """

    def __init__(self, state: DurableState, view: TurnView, now: Millis) -> None:
        self.now = now
        self.clock = state.clock
        self.pending = state.pending
        self.hlc = state.hlc
        self.seq = state.seq
        self.peers = state.peers
        self.roster = state.roster
        self.floor = state.floor
        self.filling = state.filling
        self.was_filling = state.filling is not None
        self.start_over = state.start_over
        self.effects: list[Effect] = []
        self.at_once: list[Effect] = []  # what holds whatever becomes of the turn
        self.originated: dict[EntryKey, Originated] = {}
        self.seq_before = state.seq
        self.damaged: dict[EntryKey, None] = {}  # keys met with damaged records
        self.digest = state.digest
        self.digest_change = DigestChange()
        self._state = state
        self._view = view
        self._writes: dict[EntryKey, Write] = {}
        self._conflicts: dict[EntryKey, tuple[ConflictRecord, ...]] = {}
        self._conflict_count = 0

    def entry(self, key: EntryKey) -> Entry | None:
        """
        Return what is stored under *key*, this turn's writes included.

        Raises:
            DamagedRecordError: The record is damaged; `damaged` notes that.
        """
        staged = self._writes.get(key)
        if staged is not None:
            return staged.entry
        try:
            return self._view.entry(key)
        except DamagedRecordError:
            self.damaged[key] = None
            raise

    def is_damaged(self, key: EntryKey) -> bool:
        """Tell whether the record of *key* is damaged."""
        try:
            self.entry(key)
        except DamagedRecordError:
            return True
        return False

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """Return the dots that a damaged record of *key* has in the index."""
        return self._view.dots_of(key)

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows, this turn's writes included."""
        rows = self._view.index(replica, first, last)
        return staged_rows(rows, self._writes.values(), replica, first, last)

    def replace_damaged(
        self, key: EntryKey, entry: Entry, dots: tuple[Dot, ...]
    ) -> None:
        """Stage *entry* over a damaged record that has *dots* in the index."""
        assert key not in self._writes, "what is staged is not damaged"
        self._writes[key] = Write(key, entry, LostVersion(dots))
        self.digest_change.replace_damaged(key, entry)

    def put(self, key: EntryKey, entry: Entry, stored: Entry | None) -> None:
        """Stage *entry* over *stored*, which `entry(key)` returned."""
        staged = self._writes.get(key)
        before = stored.version if stored else None
        replaced = staged.replaced if staged else before
        self._writes[key] = Write(key, entry, replaced)
        self.digest_change.replace(key, stored, entry)

    def originate(self, key: EntryKey, entry: Entry, stored: Entry | None) -> None:
        """Stage *entry* as a write of this node's own; `seq` is its number."""
        self.put(key, entry, stored)
        before = self.originated.get(key)
        first_seq = before.first_seq if before else self.seq
        self.originated[key] = Originated(first_seq, entry)

    def drop(self, key: EntryKey, stored: Entry) -> None:
        """Stage that nothing is left of *key*, which holds *stored* (rule G2)."""
        staged = self._writes.get(key)
        replaced = staged.replaced if staged is not None else stored.version
        self._writes[key] = Write(key, None, replaced)
        self.digest_change.replace(key, stored, None)

    def drop_damaged(self, key: EntryKey, dot: Dot) -> None:
        """Stage that nothing is left of a damaged record, whose only dot is *dot*."""
        assert key not in self._writes, "what is staged is not damaged"
        self._writes[key] = Write(key, None, LostVersion((dot,)))
        self.digest_change.replace_damaged(key, None)
        self.damaged.pop(key, None)

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """Yield what is due before *until*; look at the entries as they are now."""
        return self._view.mortals(until, after)

    def merge(self, key: EntryKey, incoming: Entry, *, above: Floor = GROUND) -> None:
        """
        Merge what a peer sent; note a concurrent loser (R4).

        Args:
            key: Where it belongs.
            incoming: What the peer holds there.
            above: The floor of a peer that covers it.  What that forgets, the peer
                has merged with whatever it sends, and it holds against nothing.

        Raises:
            DamagedRecordError: The record is damaged; `damaged` notes that.
            PeerProtocolError: Members have agreed that they have nothing of it, and
                count on each other for that (kvnode.core.node.closing).
        """
        if self.roster.fences(incoming.version.index_dots):
            msg = f"{key.key!r} is from after the end of a replica that is gone"
            raise PeerProtocolError(msg)
        stored = self.entry(key)
        if (
            stored is not None
            and stored.version != incoming.version
            and forgets(above, stored.version)
        ):
            self.put(key, incoming, stored)
            return
        merged = merge(stored, incoming, join)
        if merged.changed:
            self.put(key, merged.entry, stored)
        if merged.loser:
            self._note_conflict(key, merged.loser, merged.entry)

    def repair(
        self, key: EntryKey, incoming: Entry, trust: Trust = Trust.EQUAL
    ) -> None:
        """
        Merge what a peer sent that should hold the same and does not (D9).

        Raises:
            DamagedRecordError: The record is damaged; `damaged` notes that.
        """
        stored = self.entry(key)
        if (
            trust is Trust.EQUAL
            or stored is None
            or not is_same_write(stored, incoming)
        ):
            self.merge(key, incoming)
            stored = self.entry(key)
        settled = repaired(stored, incoming, join, trust)
        if stored is None or settled == stored:
            return
        self.put(key, settled, stored)
        if settled.version.kind not in CRDT_KINDS:
            self._note_conflict(key, stored, settled)

    def _note_conflict(self, key: EntryKey, loser: Entry, winner: Entry) -> None:
        log = self._conflicts.get(key)
        if log is None:
            try:
                log = self._view.conflicts(key)
            except DamagedRecordError:
                log = ()  # it is this node's alone: nobody can give it back
        record = ConflictRecord(loser, winner.version.dot, self.now)
        longer = append(log, record)
        if longer is not log:
            self._conflicts[key] = longer
            self._conflict_count += 1

    def forget_conflicts(self, keys: Iterable[EntryKey]) -> None:
        """Stage the conflict logs of *keys* without what is too old to show (R4)."""
        for key in keys:
            try:
                log = self._conflicts.get(key) or self._view.conflicts(key)
            except DamagedRecordError:
                self._conflicts[key] = ()  # it tells nothing, and nobody else has it
                continue
            kept = fresh(log, self.now)
            if kept != log:
                self._conflicts[key] = kept

    def state(self) -> DurableState:
        """Return the state to commit with this turn's writes."""
        return replace(
            self._state,
            clock=self.clock,
            pending=self.pending,
            hlc=self.hlc,
            seq=self.seq,
            peers=self.peers,
            roster=self.roster,
            floor=self.floor,
            filling=self.filling,
            start_over=self.start_over,
            conflicts_ever=self._state.conflicts_ever + self._conflict_count,
            digest=self.digest_change.applied_to(self.digest),
        )

    def may_be_empty(self) -> bool:
        """
        Tell whether nothing is stored, as far as the digest shows; it may be unknown.

        Costs a fingerprint or two for each key that the turn has changed.
        """
        digest = self.digest_change.applied_to(self.digest)
        return not digest.total or not digest.known

    def commit(self, state: DurableState) -> Commit | None:
        """Return what to make durable, None if nothing has changed."""
        if not self._writes and not self._conflicts and state == self._state:
            return None
        return Commit(state, tuple(self._writes.values()), self._conflicts)
