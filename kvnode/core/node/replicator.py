"""
The replicator: what a node says to its peers, and makes of what they say.

It holds all that a node forgets in a crash: who is connected, what has been
pushed and not acknowledged, batches that wait for what they depend on, deltas
and large values on their way in.  Losing it at any instant costs time, never
data: the store alone is enough to find out what is missing.

References:
    Demers et al., 1987.  Epidemic algorithms: anti-entropy and direct mail.
    Petersen et al., 1997.  Flexible update propagation (Bayou).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from kvnode.core.clocks.hybrid_logical_clock import absorb
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.acknowledgements import Acknowledgements
from kvnode.core.node.events import (
    Damaged,
    Dial,
    Disconnect,
    PaceDelta,
    PeerDown,
    PeersConfigured,
    PeerUp,
    Received,
    Send,
    ServeDelta,
    Tick,
)
from kvnode.core.node.healing import Healed, Healing
from kvnode.core.node.pushes import pushes
from kvnode.core.node.served_records import ServedRecords
from kvnode.core.node.staleness import Staleness
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
    Report,
    WireEntry,
)
from kvnode.core.replication.outbox import Outbox
from kvnode.core.versions.merge import includes
from kvnode.core.versions.record import WIRE, decode
from kvnode.core.versions.store_view import PeerAddress
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import (
    CorruptRecordError,
    DamagedRecordError,
    PeerProtocolError,
)
from kvnode.types import Dot, EntryKey, Millis, ReplicaId


class Settings(NamedTuple):
    """
    What the protocol lets an operator choose; see kvnode.config.

    Attributes:
        own: This node's name, address and region; `replica` is not used.
        report_interval: Between two reports to every peer, in ms.
        gap_patience: How long a gap in pushes may last, in ms (D4).
        outbox_bytes_max: Unacknowledged pushes a peer may have (D5).
        clock_ahead_max: Stamps further ahead do not move our clock (C2), in ms.
    """

    own: PeerAddress
    report_interval: Millis = Millis(1000)
    gap_patience: Millis = Millis(100)
    outbox_bytes_max: int = 8 * 1024 * 1024
    clock_ahead_max: Millis = Millis(500)


PEERS_MAX = 256
"""As many as a write may depend on (kvnode.limits.DEPENDENCIES_MAX)."""


@dataclass(slots=True)
class Peer:
    """What is known of a connected peer."""

    address: PeerAddress
    clock: VersionVector
    outbox: Outbox
    lacking_since: Millis | None = None  # when its clock first showed what we lack


class Replicator:
    """The volatile half of a node; everything it does is staged in a turn."""

    def __init__(self, settings: Settings, acknowledgements: Acknowledgements) -> None:
        self.peers: dict[ReplicaId, Peer] = {}
        self.staleness = Staleness()
        self.waiting_batches = WaitingBatches()
        self._settings = settings
        self._acknowledgements = acknowledgements
        self._fetches = Fetches()
        self._healing = Healing()
        self._served = ServedRecords()
        self._catch_ups: dict[ReplicaId, CatchUp] = {}
        self._sessions = 0
        self._report_due = Millis(0)
        self._delta_after = Millis(0)
        self._ticked_at = Millis(0)

    def finish(self, turn: Turn, own: ReplicaId) -> None:
        """Cover what can be covered now, and push what originated here."""
        if turn.damaged or self._healing:
            for key, healed in self._healing.advance(turn, self.peers, self._fetches):
                self._healed(key, healed, turn)
        if turn.seq > turn.seq_before:
            first = turn.seq_before + 1
            turn.clock = turn.clock.with_range(own, first, turn.seq)
            for push in (
                pushes(own, first, turn.seq, turn.originated) if self.peers else ()
            ):
                for replica, peer in self.peers.items():
                    if peer.outbox.offer(push):
                        turn.effects.append(Send(replica, push))
        if self.waiting_batches:
            turn.clock = self.waiting_batches.advance(turn.clock)
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
            peer.replica in self.peers
            and turn.clock.includes(self.peers[peer.replica].clock)
            for peer in turn.peers
        )

    def abort(self) -> None:
        """Forget what was on its way in or out: its turn has not happened."""
        self._forget_incoming()
        self._fetches.forget()
        self._healing.forget()
        self._served = ServedRecords()  # it may hold what has not happened
        for peer in self.peers.values():
            peer.outbox.forget()

    def _forget_incoming(self) -> None:
        """Forget what is merged and not covered: it comes again with a delta."""
        self._catch_ups.clear()
        self.waiting_batches = WaitingBatches()

    def take(
        self,
        event: PeersConfigured | PeerUp | PeerDown | Received | Tick | Damaged,
        turn: Turn,
    ) -> None:
        """Take in one event."""
        match event:
            case PeersConfigured(peers):
                turn.effects.extend(Dial(p) for p in turn.peers if p.address)
                self._learn(peers, turn, first_hand=True)
            case PeerUp():
                self._peer_up(event, turn)
            case PeerDown(peer):
                self._peer_down(peer)
            case Received(peer, message):
                if peer not in self.peers:
                    return  # a rest of a connection that has ended
                try:
                    self._receive(peer, message, turn)
                except (PeerProtocolError, CorruptRecordError) as error:
                    # The message counts as never come, and so must those behind
                    # it: with the next page of a delta, this one would be covered.
                    self._peer_down(peer)
                    turn.effects.append(Disconnect(peer, str(error)))
            case Tick():
                self._tick(turn)
            case Damaged(key):
                turn.is_damaged(key)  # if it is, the turn notes it
            case _:
                assert_never(event)

    def _peer_up(self, event: PeerUp, turn: Turn) -> None:
        replica = event.peer.replica
        self._peer_down(replica)
        outbox = Outbox(self._settings.outbox_bytes_max)
        self.peers[replica] = Peer(event.peer, event.clock, outbox)
        self._learn((event.peer,), turn, first_hand=True)
        self._learn(event.known, turn)
        if not turn.clock.includes(event.clock):
            self._ask_for_delta(replica, turn)

    def _peer_down(self, replica: ReplicaId) -> None:
        self.peers.pop(replica, None)
        self._catch_ups.pop(replica, None)
        self._fetches.drop_of(replica)
        self._healing.drop_of(replica)
        self.waiting_batches.drop_of(replica)
        self._served.drop_of(replica)

    def _learn(
        self,
        addresses: Sequence[PeerAddress],
        turn: Turn,
        *,
        first_hand: bool = False,
    ) -> None:
        """
        Remember peers heard of, and dial those that are new.

        Only the operator and a peer itself change what is known of it: hearsay
        may be of an identity or an address that it had before.
        """
        known = {peer.name: peer for peer in turn.peers}
        for peer in addresses:
            before = known.get(peer.name)
            if peer.name == self._settings.own.name or before == peer:
                continue
            if before is None and len(known) >= PEERS_MAX:
                continue
            if before and not first_hand:
                if before.replica or not peer.replica:
                    continue
                peer = before._replace(replica=peer.replica, region=peer.region)  # noqa: PLW2901 -- the rest of it is known
            elif before and not peer.replica:
                peer = before._replace(address=peer.address)  # noqa: PLW2901 -- configured: only where it is
            known[peer.name] = peer
            if peer.address and (before is None or before.address != peer.address):
                turn.effects.append(Dial(peer))
        turn.peers = tuple(known[name] for name in sorted(known))

    def _receive(self, peer: ReplicaId, message: object, turn: Turn) -> None:
        match message:
            case Push():
                self._receive_push(peer, message, turn)
            case PushAcknowledgement():
                self._receive_acknowledgement(peer, message, turn)
            case Report():
                self._receive_report(peer, message, turn)
            case DeltaRequest(session, clock):
                turn.effects.append(ServeDelta(peer, session, clock))
            case DeltaPage():
                self._receive_page(peer, message, turn)
            case DeltaAcknowledgement(session, number, abandoned):
                turn.effects.append(PaceDelta(peer, session, number, abandoned))
            case FetchRequest():
                chunks = self._served.serve(peer, message, turn)
                turn.effects.extend(Send(peer, chunk) for chunk in chunks)
            case FetchChunk():
                self._receive_chunk(peer, message, turn)
            case _:
                msg = f"{type(message).__name__} is no message of this protocol"
                raise PeerProtocolError(msg)

    # -- pushes (D4, D6) -----------------------------------------------------

    def _receive_push(self, peer: ReplicaId, push: Push, turn: Turn) -> None:
        if not 1 <= push.first <= push.last:
            msg = f"a push of seqs {push.first}..{push.last} is empty"
            raise PeerProtocolError(msg)
        missing, dependencies = self._merge_entries(peer, push.entries, turn)
        batch = WaitingBatch(
            push.origin,
            push.first,
            push.last,
            dependencies,
            peer,
            turn.now,
            missing,
        )
        self.waiting_batches.add(batch)
        if not missing:
            self._acknowledge(batch, turn)

    def _acknowledge(self, batch: WaitingBatch, turn: Turn) -> None:
        message = PushAcknowledgement(batch.origin, batch.first, batch.last)
        turn.effects.append(Send(batch.sender, message))

    def _merge_entries(
        self, peer: ReplicaId, entries: Sequence[WireEntry], turn: Turn
    ) -> tuple[dict[EntryKey, Version], tuple[Dot, ...]]:
        """Merge what came in full; return what must be pulled, and dependencies."""
        missing: dict[EntryKey, Version] = {}
        dependencies: set[Dot] = set()
        for key, record, value_bytes in entries:
            entry = decode(record, WIRE)
            dependencies.update(entry.version.dependencies)
            self._absorb(entry, turn)
            if self._have(peer, key, entry, turn, announced=bool(value_bytes)):
                continue
            if not self._fetches.want(peer, key, entry.version.dot):
                msg = "more large values were announced than can be waited for"
                raise PeerProtocolError(msg)
            missing[key] = entry.version
        return missing, tuple(sorted(dependencies))

    def _have(
        self,
        peer: ReplicaId,
        key: EntryKey,
        entry: Entry,
        turn: Turn,
        *,
        announced: bool,
    ) -> bool:
        """Merge *entry* if it came in full; tell whether the key need not be pulled."""
        try:
            if announced:
                return includes(turn.entry(key), entry.version)
            turn.merge(key, entry)
        except DamagedRecordError:
            # Ours is damaged, which is no fault of the peer's: its record of the
            # key takes the damaged one's place once it is here as a whole.
            if not self._fetches.wants(peer, key):
                self._healing.expect(key, peer, self.peers[peer], turn)
            return False
        return True

    def _absorb(self, entry: Entry, turn: Turn) -> None:
        turn.hlc = absorb(
            turn.hlc,
            entry.version.hlc,
            now=turn.now,
            ahead_max=self._settings.clock_ahead_max,
        )

    def _receive_acknowledgement(
        self, peer: ReplicaId, message: PushAcknowledgement, turn: Turn
    ) -> None:
        if self.peers[peer].outbox.acknowledge(message):
            self._report_to(peer, turn)  # it can see now what it has missed
        turn.effects.extend(self._acknowledgements.heard(self.peers))

    # -- anti-entropy and deltas (D1, D2, D8) --------------------------------

    def _receive_report(self, peer: ReplicaId, report: Report, turn: Turn) -> None:
        known = self.peers[peer]
        known.clock = report.clock
        if known.outbox.covered(report.clock):
            self._report_to(peer, turn)
        self.staleness.heard(peer, report.clock.newest(peer), report.sent_at)
        self._learn(report.known, turn)
        if turn.clock.includes(report.clock):
            known.lacking_since = None
        elif known.lacking_since is None:
            known.lacking_since = turn.now
        turn.effects.extend(self._acknowledgements.heard(self.peers))

    def _report_to(self, peer: ReplicaId, turn: Turn) -> None:
        report = Report(turn.clock, turn.now, turn.peers)
        turn.effects.append(Send(peer, report))

    def _ask_for_delta(self, peer: ReplicaId, turn: Turn) -> None:
        """Ask *peer* for what we lack, one delta at a time."""
        if self._catch_ups:
            return
        # A number of before a restart must not come again: its pages may still come.
        self._sessions = max(self._sessions + 1, turn.now)
        self._catch_ups[peer] = CatchUp(peer, self._sessions, turn.now)
        turn.effects.append(Send(peer, DeltaRequest(self._sessions, turn.clock)))

    def _receive_page(self, peer: ReplicaId, page: DeltaPage, turn: Turn) -> None:
        catch_up = self._catch_ups.get(peer)
        if catch_up is None or catch_up.session != page.session:
            give_up = DeltaAcknowledgement(page.session, page.number, abandoned=True)
            turn.effects.append(Send(peer, give_up))
            return
        if page.refused:
            del self._catch_ups[peer]
            self._delta_after = Millis(turn.now + self._settings.report_interval)
            return
        catch_up.take(page, turn.now)
        turn.pending = turn.pending.join(page.snapshot_clock)
        known = self.peers[peer]
        known.clock = known.clock.join(page.snapshot_clock)
        missing, _ = self._merge_entries(peer, page.entries, turn)
        catch_up.missing |= missing
        self._pace(catch_up, turn)

    def _pace(self, catch_up: CatchUp, turn: Turn) -> None:
        """Acknowledge pages whose values are all here; end a complete delta."""
        if catch_up.missing:
            return
        message = DeltaAcknowledgement(catch_up.session, catch_up.pages - 1)
        turn.effects.append(Send(catch_up.peer, message))
        if catch_up.complete:
            turn.clock = turn.clock.join(catch_up.snapshot_clock)
            self.peers[catch_up.peer].lacking_since = None
            # What came before that is not covered now never will be by waiting.
            self.waiting_batches.drop_older(catch_up.peer, catch_up.asked_at)
            del self._catch_ups[catch_up.peer]

    # -- large values (D6) ---------------------------------------------------

    def _receive_chunk(self, peer: ReplicaId, chunk: FetchChunk, turn: Turn) -> None:
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
        self._healed(key, self._healing.has_none(key, peer, turn), turn)
        self.waiting_batches.drop_waiting(peer, key)
        catch_up = self._catch_ups.get(peer)
        if catch_up is not None and key in catch_up.missing:
            del self._catch_ups[peer]
            give_up = DeltaAcknowledgement(
                catch_up.session, catch_up.pages - 1, abandoned=True
            )
            turn.effects.append(Send(peer, give_up))
            self._delta_after = Millis(turn.now + self._settings.report_interval)

    def _take_pulled(
        self, peer: ReplicaId, key: EntryKey, entry: Entry, turn: Turn
    ) -> None:
        """Merge a pulled record, or see whether it may replace a damaged one."""
        self._absorb(entry, turn)
        try:
            turn.merge(key, entry)
        except DamagedRecordError:
            self._healed(
                key, self._healing.take(key, peer, self.peers[peer], entry, turn), turn
            )
        else:
            self._arrived(key, turn)

    def _healed(self, key: EntryKey, healed: Healed, turn: Turn) -> None:
        """Go on with a key whose damaged record has been replaced, if it has."""
        if healed is Healed.PARTLY:
            # What was merged into the damaged record is gone with it.
            self._forget_incoming()
            for peer in self.peers:
                self._report_to(peer, turn)  # before it is asked for anything
        if healed is not Healed.NOT_YET:
            self._arrived(key, turn)

    def _arrived(self, key: EntryKey, turn: Turn) -> None:
        """Let go on what waited for a record of *key*, which is stored now."""
        stored = turn.entry(key)
        assert stored is not None, "something was stored"
        for batch in self.waiting_batches.arrived(key, stored):
            self._acknowledge(batch, turn)
        for catch_up in list(self._catch_ups.values()):
            if catch_up.arrived(key, stored):
                self._pace(catch_up, turn)
            elif key in catch_up.missing:
                self._fetches.want(catch_up.peer, key, catch_up.missing[key].dot)
        # What was announced after the pull had begun needs another one.
        for sender, dot in self.waiting_batches.waiting_for(key):
            self._fetches.want(sender, key, dot)

    # -- time ----------------------------------------------------------------

    def _tick(self, turn: Turn) -> None:
        now = turn.now
        if now < self._ticked_at:
            self._clock_stepped_back(now)
        self._ticked_at = now
        turn.effects.extend(self._acknowledgements.expire(self.peers, now))
        turn.effects.extend(Send(*request) for request in self._fetches.repeat(now))
        for peer, catch_up in list(self._catch_ups.items()):
            if catch_up.silent_since(now):
                del self._catch_ups[peer]
        stuck = self.waiting_batches.stuck_senders(
            Millis(now - self._settings.gap_patience)
        )
        lacking = {
            replica
            for replica, peer in self.peers.items()
            if peer.lacking_since is not None
            and now - peer.lacking_since >= self._settings.report_interval // 2
        }
        for replica in sorted(stuck | lacking):
            if replica in self.peers and now >= self._delta_after:
                self._ask_again(replica, turn)
        if now >= self._report_due:
            self._report_due = Millis(now + self._settings.report_interval)
            for replica in self.peers:
                self._report_to(replica, turn)

    def _clock_stepped_back(self, now: Millis) -> None:
        """Move what is timed by the wall clock, which was set back, to *now*."""
        self._acknowledgements.clock_stepped_back(Millis(self._ticked_at - now))
        self.waiting_batches.clock_stepped_back(now)
        self._delta_after = self._report_due = now
        for peer in self.peers.values():
            if peer.lacking_since is not None:
                peer.lacking_since = min(peer.lacking_since, now)

    def _ask_again(self, replica: ReplicaId, turn: Turn) -> None:
        peer = self.peers[replica]
        if peer.lacking_since is not None and turn.clock.includes(peer.clock):
            peer.lacking_since = None
            return
        self._ask_for_delta(replica, turn)
