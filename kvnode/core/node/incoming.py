"""
What comes in: pushes, deltas and pulled values, until it is covered.

Entries are merged as they come; what they are part of is *covered*, and so claimed to
peers and sessions, only when it is whole (rules D2, D4, D6).  All that waits here is
forgotten in a crash, and comes again with a delta.

An entry is not merged where merging cannot be right:

  - what is covered already, or will be with the delta under way, brings nothing new:
    it may be older than a deletion that is forgotten meanwhile;
  - a fresh write that may have been ended by something forgotten here is left to a
    delta from a node that can tell (kvnode.core.versions.floor);
  - a delta whose sender does not cover this node's floor is not taken at all (G2b).
"""

from collections.abc import Callable, Mapping, Sequence

from kvnode.core.clocks.hybrid_logical_clock import absorb
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.bootstrap import (
    DonorChoice,
    is_empty,
    nobody_has_anything,
    passed,
    possible_donors,
    take_page,
)
from kvnode.core.node.events import Send
from kvnode.core.node.healing import Healed, Healing
from kvnode.core.node.peer import Peer
from kvnode.core.node.repairing import Repairing
from kvnode.core.node.served_records import ServedRecords
from kvnode.core.node.spreading import Spreading
from kvnode.core.node.turn import Turn
from kvnode.core.replication.catch_up import CatchUp
from kvnode.core.replication.coverage import WaitingBatch, WaitingBatches
from kvnode.core.replication.fetch import Fetches
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    WireEntry,
)
from kvnode.core.versions.floor import GROUND, Floor, may_merge
from kvnode.core.versions.merge import includes
from kvnode.core.versions.record import WIRE, decode
from kvnode.core.versions.store_view import Filling
from kvnode.core.versions.version import CRDT_KINDS, Entry, Version
from kvnode.errors import DamagedRecordError, PeerProtocolError
from kvnode.types import Dot, EntryKey, Millis, ReplicaId

Missing = dict[EntryKey, Version]


class Incoming:
    """Everything on its way into this node."""

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        peers: Mapping[ReplicaId, Peer],
        *,
        clock_ahead_max: Millis,
        retry_after: Millis,
        region: str = "",
        report_to: Callable[[ReplicaId, Turn], None],
        spreading: Spreading,
    ) -> None:
        """
        Make it empty.

        Args:
            peers: Those connected, kept current by the caller.
            clock_ahead_max: Stamps further ahead do not move our clock (C2), in ms.
            retry_after: How long after a refused delta the next is asked for, in ms.
            region: This node's own: a bootstrap asks there first.
            report_to: Sends a peer what this node covers.
            spreading: Passes on what has been pushed.
        """
        self.batches = WaitingBatches()
        self.completed: dict[ReplicaId, int] = {}  # deltas of each, to their end
        self._peers = peers
        self._clock_ahead_max = clock_ahead_max
        self._retry_after = retry_after
        self._report_to = report_to
        self._spreading = spreading
        self._fetches = Fetches()
        self.repairing = Repairing(self._fetches)
        self._healing = Healing()
        self._served = ServedRecords()
        self._catch_ups: dict[ReplicaId, CatchUp] = {}
        self._held_back: dict[
            ReplicaId, Millis
        ] = {}  # senders of what only deltas tell
        self._sessions = 0
        self._donors = DonorChoice(region)
        self._delta_after = Millis(0)

    # -- the frame of a turn -------------------------------------------------

    def heal(self, turn: Turn) -> None:
        """Go on with damaged records that are being pulled again."""
        if turn.damaged or self._healing:
            for key, healed in self._healing.advance(turn, self._peers, self._fetches):
                self._healed(key, healed, turn)

    def cover(self, turn: Turn) -> None:
        """Cover what can be covered now, and start pulls that may run."""
        if self.batches:
            turn.clock = self.batches.advance(turn.clock)
        if turn.pending and self._covers_pending(turn):
            turn.pending = EMPTY
        turn.effects.extend(Send(*request) for request in self._fetches.start(turn.now))

    def _covers_pending(self, turn: Turn) -> bool:
        """
        Tell whether nothing that deltas brought can depend on what is not here.

        If all that any member covers is here, the rest is lost for good.
        """
        if turn.clock.includes(turn.pending):
            return True
        return all(
            peer.replica in self._peers
            and turn.clock.includes(self._peers[peer.replica].clock)
            for peer in turn.peers
        )

    @property
    def donor(self) -> ReplicaId | None:
        """Return the peer that fills this node just now, if any (D10)."""
        whole = (c.peer for c in self._catch_ups.values() if c.whole)
        return next(whole, None)

    def held(self) -> VersionVector:
        """Return what is merged here, not covered, and may have been passed on."""
        return self.batches.held()

    def drop_of(self, replica: ReplicaId) -> None:
        """Forget what *replica* sent: its connection is gone."""
        self.completed.pop(replica, None)
        self._catch_ups.pop(replica, None)
        self._held_back.pop(replica, None)
        self._fetches.drop_of(replica)
        self._healing.drop_of(replica)
        self.repairing.drop_of(replica)
        self.batches.drop_of(replica)
        self._served.drop_of(replica)

    def abort(self) -> None:
        """Forget what was on its way: its turn has not happened."""
        self._forget_merged()
        self._fetches.forget()
        self._healing.forget()
        self.repairing.forget()
        self._served = ServedRecords()  # it may hold what has not happened

    def _forget_merged(self) -> None:
        """Forget what is merged and not covered: it comes again with a delta."""
        self._catch_ups.clear()
        self.batches = WaitingBatches()

    # -- pushes (D4, D6) -----------------------------------------------------

    def push(self, peer: ReplicaId, push: Push, turn: Turn) -> None:
        """Take in fresh writes."""
        if not 1 <= push.first <= push.last:
            msg = f"a push of seqs {push.first}..{push.last} is empty"
            raise PeerProtocolError(msg)
        if turn.filling is not None:
            return  # a delta brings them, once all is here that they build on
        if turn.roster.gone(push.origin):
            return  # a delta brings what members have of it, and there is no more
        if self._is_being_pulled(peer, push):
            return
        merged = self._merge_fresh(peer, push.entries, turn)
        if merged is None:
            self._held_back.setdefault(peer, turn.now)
            return
        missing, dependencies = merged
        batch = WaitingBatch(
            push.origin,
            push.first,
            push.last,
            dependencies,
            peer,
            turn.now,
            missing,
        )
        self.batches.add(batch, turn.clock)
        if missing:
            self._spreading.incomplete(push, peer, turn)
            return
        self._acknowledge(batch, turn)
        self._spreading.received(push, peer, turn)

    def _is_being_pulled(self, peer: ReplicaId, push: Push) -> bool:
        """Tell whether large values of *push* are on their way from another peer."""
        batch = self.batches.get(push.origin, push.first)
        return batch is not None and bool(batch.missing) and batch.sender != peer

    def _acknowledge(self, batch: WaitingBatch, turn: Turn) -> None:
        message = PushAcknowledgement(batch.origin, batch.first, batch.last)
        turn.effects.append(Send(batch.sender, message))

    def _merge_fresh(
        self, peer: ReplicaId, entries: Sequence[WireEntry], turn: Turn
    ) -> tuple[Missing, tuple[Dot, ...]] | None:
        """Merge a push; None if part of it is left to a delta."""
        missing: Missing = {}
        dependencies: set[Dot] = set()
        for wire in entries:
            entry = decode(wire.record, WIRE)
            dots = entry.version.index_dots
            dependencies.update(entry.version.dependencies)
            if turn.clock.covers_all(dots):
                continue
            if turn.pending and turn.pending.covers_all(dots):
                return None
            if not self._may_merge(wire.key, entry, turn):
                return None
            self._take_in(peer, wire, entry, turn, missing, GROUND)
        return missing, tuple(sorted(dependencies))

    @staticmethod
    def _may_merge(key: EntryKey, entry: Entry, turn: Turn) -> bool:
        stored = None
        if entry.version.kind in CRDT_KINDS:  # of all others their stamp tells
            try:
                stored = turn.entry(key)
            except DamagedRecordError:
                return not turn.floor
        return may_merge(turn.floor, stored, entry.version)

    def _take_in(  # noqa: PLR0913, PLR0917 -- one entry, and all it is to be held against
        self,
        peer: ReplicaId,
        wire: WireEntry,
        entry: Entry,
        turn: Turn,
        missing: Missing,
        above: Floor,
    ) -> None:
        """Merge an entry, or add it to what must be pulled as a whole first."""
        self._absorb(entry, turn)
        announced = bool(wire.value_bytes)
        if self._have(peer, wire.key, entry, turn, announced=announced, above=above):
            return
        if not self._fetches.want(peer, wire.key, entry.version.dot):
            msg = "more large values were announced than can be waited for"
            raise PeerProtocolError(msg)
        missing[wire.key] = entry.version

    def _have(  # noqa: PLR0913 -- each named at the call
        self,
        peer: ReplicaId,
        key: EntryKey,
        entry: Entry,
        turn: Turn,
        *,
        announced: bool,
        above: Floor,
    ) -> bool:
        """Merge *entry* if it came in full; tell whether the key need not be pulled."""
        try:
            if announced:
                return includes(turn.entry(key), entry.version)
            turn.merge(key, entry, above=above)
        except DamagedRecordError:
            # Ours is damaged, which is no fault of the peer's: its record of the
            # key takes the damaged one's place once it is here as a whole.
            if not self._fetches.wants(peer, key):
                self._healing.expect(key, peer, self._peers[peer], turn)
            return False
        return True

    def _absorb(self, entry: Entry, turn: Turn) -> None:
        turn.hlc = absorb(
            turn.hlc, entry.version.hlc, now=turn.now, ahead_max=self._clock_ahead_max
        )

    # -- deltas (D1, D2) and bootstraps (D10) ---------------------------------

    def ask_for_delta(self, peer: ReplicaId, turn: Turn) -> bool:
        """
        Ask *peer* for what is lacking here, one delta at a time; tell whether it was.

        In a bootstrap for everything, from where the last sender stopped.
        """
        known = self._peers[peer]
        if self._catch_ups or not known.clock.includes(turn.floor.vector):
            return False
        if turn.roster.fences_part_of(known.clock):
            return False  # it starts over, or a member has that, and the fence moves
        if turn.filling not in (None, Filling()) and not known.speaks_digests:
            return False  # nor would it tell what it has forgotten since
        # A number of before a restart must not come again: its pages may still come.
        self._sessions = max(self._sessions + 1, turn.now)
        whole = turn.filling is not None and known.speaks_digests
        after = turn.filling.after if turn.filling and whole else None
        self._catch_ups[peer] = CatchUp(peer, self._sessions, turn.now, whole)
        self.batches.close(turn.now)
        request = DeltaRequest(self._sessions, turn.clock, whole, after)
        turn.effects.append(Send(peer, request))
        return True

    def begin_to_fill(self, turn: Turn) -> bool:
        """
        Begin a bootstrap if this store is empty; tell whether it did.

        What else was on its way would be merged into the middle of it: it is given up,
        and the bootstrap, or a delta after it, brings it.
        """
        if turn.filling is not None or not is_empty(turn):
            return False
        if self.batches and not turn.digest.known:
            return False  # what they have brought is here, and does not show
        for catch_up in tuple(self._catch_ups.values()):
            self._abandon(catch_up, turn)
        self._forget_merged()
        self._fetches.forget()
        turn.filling = Filling()
        return True

    def fill(self, turn: Turn) -> None:
        """Go on with a bootstrap: ask the next peer that has anything, in turn."""
        donors = possible_donors(self._peers)
        if not donors:
            if nobody_has_anything(self._peers, turn):
                turn.filling = None  # whoever had something is gone, or has lost it
            return
        if turn.now >= self._delta_after and not self._catch_ups:
            absent = any(peer.replica not in self._peers for peer in turn.peers)
            donor = self._donors.next(donors, turn.now, absent=absent)
            if donor is not None:
                self.ask_for_delta(donor, turn)

    def page(self, peer: ReplicaId, page: DeltaPage, turn: Turn) -> None:
        """Take in one page."""
        catch_up = self._catch_ups.get(peer)
        if catch_up is None or catch_up.session != page.session:
            give_up = DeltaAcknowledgement(page.session, page.number, abandoned=True)
            turn.effects.append(Send(peer, give_up))
            return
        known = self._peers[peer]
        if page.refused:
            known.floor = known.floor.join(page.floor)
            self._give_up(catch_up, turn)
            return
        if not page.snapshot_clock.includes(turn.floor.vector):
            self._give_up(catch_up, turn)  # it must start over first
            return
        if turn.roster.fences_part_of(page.snapshot_clock):
            self._give_up(catch_up, turn)
            return
        catch_up.take(page, turn.now)
        turn.pending = turn.pending.join(page.snapshot_clock)
        known.clock = known.clock.join(page.snapshot_clock)
        catch_up.missing |= self._merge_page(peer, page, turn)
        self._pace(catch_up, turn)

    def _merge_page(self, peer: ReplicaId, page: DeltaPage, turn: Turn) -> Missing:
        missing: Missing = {}
        for wire in page.entries:
            entry = decode(wire.record, WIRE)
            if not turn.clock.covers_all(entry.version.index_dots):
                self._take_in(peer, wire, entry, turn, missing, page.floor)
        return missing

    def _give_up(self, catch_up: CatchUp, turn: Turn) -> None:
        self._abandon(catch_up, turn)
        self._delta_after = Millis(turn.now + self._retry_after)

    def _abandon(self, catch_up: CatchUp, turn: Turn) -> None:
        del self._catch_ups[catch_up.peer]
        pages = max(0, catch_up.pages - 1)
        give_up = DeltaAcknowledgement(catch_up.session, pages, abandoned=True)
        turn.effects.append(Send(catch_up.peer, give_up))

    def _pace(self, catch_up: CatchUp, turn: Turn) -> None:
        """Acknowledge pages whose values are all here; end a complete delta."""
        if catch_up.missing:
            return
        if turn.roster.fences_part_of(catch_up.snapshot_clock):
            self._give_up(catch_up, turn)  # the fence is newer than its last page
            return
        message = DeltaAcknowledgement(catch_up.session, catch_up.pages - 1)
        turn.effects.append(Send(catch_up.peer, message))
        if catch_up.whole:
            take_page(catch_up, turn)
        if not catch_up.complete:
            return
        del self._catch_ups[catch_up.peer]
        if catch_up.whole and not passed(turn):
            return  # the store starts over
        if not catch_up.whole:
            turn.clock = turn.clock.join(catch_up.snapshot_clock)
            turn.filling = None
        self.completed[catch_up.peer] = self.completed.get(catch_up.peer, 0) + 1
        self._peers[catch_up.peer].lacking_since = None
        self._held_back.pop(catch_up.peer, None)
        # What came before that is not covered now never will be by waiting.
        self.batches.drop_older(catch_up.peer, catch_up.asked_at)
        self._spreading.delta_arrived(turn)

    # -- large values (D6) ---------------------------------------------------

    def serve(self, peer: ReplicaId, request: FetchRequest, turn: Turn) -> None:
        """Send chunks of a record that a peer pulls."""
        chunks = self._served.serve(peer, request, turn)
        turn.effects.extend(Send(peer, chunk) for chunk in chunks)

    def chunk(self, peer: ReplicaId, chunk: FetchChunk, turn: Turn) -> None:
        """Take in a part of a record that is being pulled."""
        if peer in self._catch_ups:
            self._catch_ups[peer].heard_at = turn.now
        result = self._fetches.chunk(peer, chunk, turn.now)
        if isinstance(result, FetchRequest):
            turn.effects.append(Send(peer, result))
        elif result is not None:
            key, record = result
            if not record:
                self._has_none(peer, key, turn)
            else:
                self._take_pulled(peer, key, decode(record, WIRE), turn)

    def _has_none(self, peer: ReplicaId, key: EntryKey, turn: Turn) -> None:
        """Give up what waits for a record that *peer* does not have, or has damaged."""
        self.repairing.pulled(peer, key, None, turn)
        self._healed(key, self._healing.has_none(key, peer, turn), turn)
        self._stop_waiting(peer, key, turn)

    def _stop_waiting(self, peer: ReplicaId, key: EntryKey, turn: Turn) -> None:
        """Leave to another delta what *peer* announced of *key*."""
        self.batches.drop_waiting(peer, key)
        catch_up = self._catch_ups.get(peer)
        if catch_up is not None and key in catch_up.missing:
            self._give_up(catch_up, turn)

    def _take_pulled(
        self, peer: ReplicaId, key: EntryKey, entry: Entry, turn: Turn
    ) -> None:
        """Merge a pulled record, or see whether it may replace a damaged one."""
        self._absorb(entry, turn)
        self.repairing.pulled(peer, key, entry, turn)
        floor, catch_up = GROUND, self._catch_ups.get(peer)
        # What it covers tells only if it covers what is forgotten here by now.
        tells = catch_up is not None and catch_up.tells(turn.floor)
        if catch_up is not None and tells:
            floor = catch_up.floor
        try:
            stored = turn.entry(key)
            if not turn.clock.covers_all(entry.version.index_dots):
                if not tells and not may_merge(turn.floor, stored, entry.version):
                    self._held_back.setdefault(peer, turn.now)
                    self._stop_waiting(peer, key, turn)
                    return
                turn.merge(key, entry, above=floor)
        except DamagedRecordError:
            self._healed(
                key, self._healing.take(key, peer, self._peers[peer], entry, turn), turn
            )
        else:
            self._arrived(key, turn)

    def _healed(self, key: EntryKey, healed: Healed, turn: Turn) -> None:
        """Go on with a key whose damaged record has been replaced, if it has."""
        if healed is Healed.PARTLY:
            # What was merged into the damaged record is gone with it.
            self._forget_merged()
            for peer in self._peers:
                self._report_to(peer, turn)  # before it is asked for anything
        if healed is not Healed.NOT_YET:
            self._arrived(key, turn)

    def _arrived(self, key: EntryKey, turn: Turn) -> None:
        """Let go on what waited for a record of *key*, which has been looked at."""
        stored = turn.entry(key)
        for batch in self.batches.arrived(key, stored, turn.clock):
            self._acknowledge(batch, turn)
            self._spreading.completed(batch, turn)
        for catch_up in list(self._catch_ups.values()):
            if catch_up.arrived(key, stored, turn.clock):
                self._pace(catch_up, turn)
            elif key in catch_up.missing:
                self._fetches.want(catch_up.peer, key, catch_up.missing[key].dot)
        # What was announced after the pull had begun needs another one.
        for sender, dot in self.batches.waiting_for(key):
            self._fetches.want(sender, key, dot)

    # -- time ----------------------------------------------------------------

    def tick(
        self, turn: Turn, gap_patience: Millis, lacking: frozenset[ReplicaId]
    ) -> None:
        """
        Repeat what has gone silent, and ask again for what does not come.

        Args:
            turn: Now.
            gap_patience: How long a gap in pushes may last (D4).
            lacking: Peers that have been known for long to have what is lacking here.
        """
        now = turn.now
        turn.effects.extend(Send(*request) for request in self._fetches.repeat(now))
        for peer, catch_up in list(self._catch_ups.items()):
            if catch_up.silent_since(now):
                del self._catch_ups[peer]
        oldest = Millis(now - gap_patience)
        stuck = self.batches.stuck_senders(oldest)
        stuck |= {peer for peer, since in self._held_back.items() if since <= oldest}
        for replica in sorted(stuck | lacking):
            if replica in self._peers and now >= self._delta_after:
                self._ask_again(replica, turn)

    def _ask_again(self, replica: ReplicaId, turn: Turn) -> None:
        peer = self._peers[replica]
        if peer.lacking_since is not None and turn.clock.includes(peer.clock):
            peer.lacking_since = None
            return
        self.ask_for_delta(replica, turn)

    def clock_stepped_back(self, now: Millis) -> None:
        """Move what is timed by the wall clock, which was set back, to *now*."""
        self.batches.clock_stepped_back(now)
        self._delta_after = now
        self._held_back = {p: min(s, now) for p, s in self._held_back.items()}
