"""
The replicator: what a node says to its peers, and makes of what they say.

It holds all that a node forgets in a crash: who is connected, what has been
pushed and not acknowledged, what is on its way in.  Losing it at any instant costs
time, never data: the store alone is enough to find out what is missing.

References:
    Demers et al., 1987.  Epidemic algorithms: anti-entropy and direct mail.
    Petersen et al., 1997.  Flexible update propagation (Bayou).
"""

from typing import NamedTuple, assert_never

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.messages import Absent, Announce, Graft, Prune
from kvnode.core.membership.events import Rng
from kvnode.core.membership.messages import Ack, Health, Nack, Ping, PingRequest
from kvnode.core.node.acknowledgements import Acknowledgements
from kvnode.core.node.bootstrap import nobody_has_anything
from kvnode.core.node.closing import Closing
from kvnode.core.node.comparing import Comparing, Hearers
from kvnode.core.node.departure import farewell, only_here
from kvnode.core.node.digest_watch import DigestWatch
from kvnode.core.node.events import (
    Damaged,
    Dial,
    Disconnect,
    LeaveCluster,
    PaceDelta,
    PeerDown,
    PeersConfigured,
    PeerUp,
    Received,
    RemoveMember,
    RepairArrived,
    RepairSaid,
    Scanned,
    SeedReached,
    ServeDelta,
    StaleConflicts,
    Tick,
)
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.health import HealthWatch
from kvnode.core.node.incoming import Incoming
from kvnode.core.node.members import Links, Members
from kvnode.core.node.peer import Peer
from kvnode.core.node.pushes import pushes
from kvnode.core.node.seeds import Seeds
from kvnode.core.node.spreading import Spreading
from kvnode.core.node.staleness import Staleness
from kvnode.core.node.turn import Turn
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairPage,
    RepairRange,
    Report,
)
from kvnode.core.replication.outbox import Outbox
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import CorruptRecordError, PeerProtocolError
from kvnode.types import Millis, ReplicaId

GRAFTED_FIRST = 10
"""
Patiences that a gap may last where pushes are passed on: a second, by default.

What is missing is asked for by name within 400 ms of when it should have been there
(kvnode.core.dissemination); a delta is for what nobody near has.
"""


class Settings(NamedTuple):
    """
    What the protocol lets an operator choose; see kvnode.config.

    Attributes:
        own: This node's name, address and region; `replica` is not used.
        report_interval: Between two digests or reports to a peer, in ms.
        gap_patience: How long a gap in pushes may last, in ms (D4).
        outbox_bytes_max: Unacknowledged pushes a peer may have (D5).
        clock_ahead_max: Stamps further ahead do not move our clock (C2), and a node
            whose clock is further off takes no client writes (C1), in ms.
        forget_interval: Between two attempts to forget, in ms (G1).
        incarnation: Where the failure detector begins, >= 0: when the node was
            started, in ms since 1970.
        repair_automatically: Whether a repair begins when digests differ (D9).
        seeds: Addresses to learn the others from, whoever is there.
    """

    own: PeerAddress
    report_interval: Millis = Millis(1000)
    gap_patience: Millis = Millis(100)
    outbox_bytes_max: int = 8 * 1024 * 1024
    clock_ahead_max: Millis = Millis(500)
    forget_interval: Millis = Millis(5000)
    incarnation: int = 0
    repair_automatically: bool = True
    seeds: tuple[str, ...] = ()


class Replicator:
    """The volatile half of a node; everything it does is staged in a turn."""

    def __init__(
        self,
        settings: Settings,
        acknowledgements: Acknowledgements,
        own: ReplicaId,
        rng: Rng,
    ) -> None:
        self.peers: dict[ReplicaId, Peer] = {}
        self.staleness = Staleness()
        seeds = Seeds(settings.seeds, settings.own.address)
        self.forgetting = Forgetting(settings.forget_interval, seeds)
        self.spreading = Spreading(
            own,
            settings.own.region,
            self.peers,
            waiting=lambda name: self.incoming.batches.get(name.origin, name.first),
            healthy=lambda member: self.health.health(member) is not Health.DEAD,
            rtt=lambda member: self.health.fence.rtt(member),  # noqa: PLW0108 -- it is made below
        )
        self.health = HealthWatch(
            own,
            self.peers,
            incarnation=settings.incarnation,
            clock_offset_max=settings.clock_ahead_max,
            rng=rng,
            on_change=self.spreading.changed,
        )
        digests = DigestWatch(own, repairs=settings.repair_automatically)
        self.digests = digests
        self.comparing = Comparing(
            own,
            self.peers,
            Hearers(
                self.forgetting,
                digests,
                self.staleness,
                self.health,
                acknowledgements,
            ),
            held=self._held,
            waiting=lambda: bool(self.incoming.batches),
        )
        self.incoming = Incoming(
            self.peers,
            clock_ahead_max=settings.clock_ahead_max,
            retry_after=settings.report_interval,
            region=settings.own.region,
            report_to=self.comparing.report_to,
            spreading=self.spreading,
        )
        self.members = Members(
            own,
            settings.own,
            self.peers,
            self.forgetting,
            Links(
                self.comparing.report_to,
                self._peer_down,
                digests.forget,
                self.incoming.begin_to_fill,
            ),
        )
        self._closing = Closing()
        self._own = own
        self._settings = settings
        self._acknowledgements = acknowledgements
        self._report_due = Millis(0)
        self._ticked_at = Millis(0)

    def finish(self, turn: Turn) -> None:
        """Cover what can be covered now, and push what originated here."""
        self.incoming.heal(turn)
        if turn.seq > turn.seq_before:
            self._push(turn)
        self.incoming.cover(turn)
        self.forgetting.advance(turn)
        if turn.was_filling != (turn.filling is not None):
            self.comparing.tell_the_empty(turn)

    def _push(self, turn: Turn) -> None:
        first, own = turn.seq_before + 1, self._own
        turn.clock = turn.clock.with_range(own, first, turn.seq)
        if self.peers:
            made = pushes(own, first, turn.seq, turn.originated)
            self.spreading.originate(made, turn)

    def abort(self) -> None:
        """Forget what was on its way in or out: its turn has not happened."""
        self.incoming.abort()
        self.forgetting.abort()
        self.spreading.abort()
        self._closing.forget()
        for peer in self.peers.values():
            peer.outbox.forget()

    def take(
        self,
        event: PeersConfigured
        | PeerUp
        | PeerDown
        | SeedReached
        | Received
        | Tick
        | Damaged
        | RemoveMember
        | Scanned
        | RepairArrived
        | LeaveCluster
        | StaleConflicts,
        turn: Turn,
    ) -> None:
        """Take in one event."""
        match event:
            case PeersConfigured(peers):
                turn.effects.extend(Dial(p) for p in turn.peers if p.address)
                self.members.join_roster(turn)
                self.members.learn(peers, turn, first_hand=True)
            case PeerUp() | PeerDown() | SeedReached() | Received():
                self._take_of_peers(event, turn)
            case Tick():
                self._tick(turn)
            case RemoveMember() | LeaveCluster():
                self._take_membership(event, turn)
            case Damaged() | Scanned() | RepairArrived() | StaleConflicts():
                self._take_care(event, turn)
            case _:
                assert_never(event)

    def _take_of_peers(
        self, event: PeerUp | PeerDown | SeedReached | Received, turn: Turn
    ) -> None:
        """Take in what connections bring."""
        match event:
            case PeerUp():
                self._peer_up(event, turn)
            case PeerDown(peer):
                self._peer_down(peer)
            case SeedReached(address, replica):
                self.forgetting.seeds.reached(address, replica)
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
            case _:
                assert_never(event)

    def _take_membership(self, event: RemoveMember | LeaveCluster, turn: Turn) -> None:
        """Take in who is gone for good."""
        match event:
            case RemoveMember(replica):
                self.members.remove(replica, turn)
            case LeaveCluster():
                self.members.leave(self.only_here(turn.clock, turn.roster), turn)
            case _:
                assert_never(event)

    def _take_care(
        self, event: Damaged | Scanned | RepairArrived | StaleConflicts, turn: Turn
    ) -> None:
        """Take in what looking after the store has found."""
        match event:
            case Damaged(key):
                turn.is_damaged(key)  # if it is, the turn notes it
            case Scanned(total, then):
                turn.digest = turn.digest.settled(total, then)
            case RepairArrived(peer):
                if peer in self.peers:
                    self.incoming.repairing.page(event, turn)
            case StaleConflicts(keys):
                turn.forget_conflicts(keys)
            case _:
                assert_never(event)

    # -- who is there (M1 to M3) ----------------------------------------------

    def _peer_up(self, event: PeerUp, turn: Turn) -> None:
        replica = event.peer.replica
        self._peer_down(replica)
        if turn.roster.gone(replica):
            turn.effects.append(Disconnect(replica, farewell(replica, turn.roster)))
            return
        outbox = Outbox(self._settings.outbox_bytes_max)
        peer = Peer(event.peer, event.clock, outbox, event.protocol)
        peer.has_forgotten(event.floor)  # before it may be started over for
        self.peers[replica] = peer
        self.spreading.changed()
        self.members.join_roster(turn)
        self.members.learn((event.peer,), turn, first_hand=True)
        self.members.learn(event.known, turn)
        name, address, _, region = event.peer
        itself = Member(replica, name, address, region)
        self.members.learn_members(replica, (itself, *event.members), turn)
        if event.clock and peer.speaks_digests:
            self.incoming.begin_to_fill(turn)
        elif event.filling:
            self._heard_of_filling(replica, turn)
        self.members.heard_floor(replica, event.floor, turn)
        self.health.peer_up(replica, turn)
        if replica in self.peers and not turn.clock.includes(event.clock):
            if turn.filling is not None:
                self.incoming.fill(turn)  # it need not be this peer that does it
            else:
                self.incoming.ask_for_delta(replica, turn)
        if replica in self.peers and not event.clock:
            self._tell_who_has_nothing(event, turn)

    def _tell_who_has_nothing(self, event: PeerUp, turn: Turn) -> None:
        """
        Report to a peer that was met with nothing, if there is more here, or soon is.

        Our hello may be older than that: far away, it takes longer to be met than a
        bootstrap takes nearby, and the peer would serve its emptiness meanwhile (D10).
        """
        # One that is being filled has been told what is here (`_heard_of_filling`).
        if turn.was_filling or (turn.clock and not event.filling):
            self.comparing.report_to(event.peer.replica, turn)

    def _heard_of_filling(self, replica: ReplicaId, turn: Turn) -> None:
        """
        Take in that a peer is being filled: somebody has what it lacks (D10).

        It may be this node.  If nothing is here, either, it belongs here, too, and its
        emptiness is no sign that the cluster is new; save if all are here, and nobody
        has anything: whoever had it is gone, which the peer is about to see.
        """
        if replica not in self.peers:
            return
        if turn.clock and turn.filling is None:
            self.comparing.report_to(replica, turn)
        elif not nobody_has_anything(self.peers, turn):
            self.incoming.begin_to_fill(turn)

    def _peer_down(self, replica: ReplicaId) -> None:
        self.peers.pop(replica, None)
        self.spreading.changed()
        self.incoming.drop_of(replica)
        self._closing.drop_of(replica)
        self.health.peer_down()

    def only_here(self, clock: VersionVector, roster: Roster) -> VersionVector:
        """Return what this node, which covers *clock*, has and no other member has."""
        mine = clock.join(self.incoming.held())
        return only_here(mine, self.peers, self.forgetting, roster)

    # -- messages -------------------------------------------------------------

    def _receive(self, peer: ReplicaId, message: object, turn: Turn) -> None:
        match message:
            case Push():
                self.incoming.push(peer, message, turn)
            case PushAcknowledgement():
                self._receive_acknowledgement(peer, message, turn)
            case Report():
                self._receive_report(peer, message, turn)
            case Digest():
                self.comparing.take(peer, message, turn)
            case Ping() | PingRequest() | Ack() | Nack():
                self.health.received(peer, message, turn)
            case Announce() | Graft() | Prune() | Absent():
                self.spreading.take(peer, message, turn)
            case _:
                self._receive_of_delta(peer, message, turn)
        self.health.heard(peer, turn)

    def _receive_of_delta(self, peer: ReplicaId, message: object, turn: Turn) -> None:
        incoming = self.incoming
        match message:
            case DeltaRequest():
                if message.whole:
                    self.members.admit(peer, turn)
                    # Our hello may have been long on the way.  What members have
                    # given up since, who starts over must not keep (decision 15).
                    self.comparing.report_to(peer, turn)
                turn.effects.append(ServeDelta(peer, message))
            case DeltaPage():
                incoming.page(peer, message, turn)
                if message.before_floor and peer in self.peers:
                    self.peers[peer].clock = message.snapshot_clock
                    self.members.heard_floor(peer, message.floor, turn)
            case DeltaAcknowledgement(session, number, abandoned):
                turn.effects.append(PaceDelta(peer, session, number, abandoned))
            case FetchRequest():
                incoming.serve(peer, message, turn)
            case FetchChunk():
                incoming.chunk(peer, message, turn)
            case (
                RepairBegin()
                | RepairRange()
                | RepairPage()
                | RepairAcknowledgement()
                | RepairEnd()
            ):
                turn.effects.append(RepairSaid(peer, message))
            case _:
                msg = f"{type(message).__name__} is no message of this protocol"
                raise PeerProtocolError(msg)

    def _receive_acknowledgement(
        self, peer: ReplicaId, message: PushAcknowledgement, turn: Turn
    ) -> None:
        ours = message.origin == self._own
        if self.peers[peer].outbox.acknowledge(message, ours=ours):
            self.comparing.report_to(peer, turn)  # it can see now what it has missed
        turn.effects.extend(self._acknowledgements.heard(self.peers))

    def _receive_report(self, replica: ReplicaId, report: Report, turn: Turn) -> None:
        peer = self.peers[replica]
        peer.clock, peer.roster = report.clock, report.roster
        peer.has_forgotten(report.floor)  # before it may be started over for
        self.members.learn(report.known, turn)
        self.members.learn_members(replica, report.members, turn)
        if replica not in self.peers or turn.start_over is not None:
            return
        if report.filling:
            self._heard_of_filling(replica, turn)
        self.comparing.reported(replica, report, turn)
        self.members.heard_floor(replica, report.floor, turn)

    def _held(self, turn: Turn) -> VersionVector:
        """Return what is merged here, and not covered, as far as others must know."""
        return self.incoming.held().join(self._closing.held(turn))

    # -- time -----------------------------------------------------------------

    def _tick(self, turn: Turn) -> None:
        now = turn.now
        if now < self._ticked_at:
            self._clock_stepped_back(now)
        self._ticked_at = now
        self.health.tick(turn)
        turn.effects.extend(self._acknowledgements.expire(self.peers, now))
        lacking = frozenset(
            replica
            for replica, peer in self.peers.items()
            if peer.lacking_since is not None
            and now - peer.lacking_since >= self._settings.report_interval // 2
        )
        self.spreading.tick(turn)
        patience = self._settings.gap_patience
        if not self.spreading.direct:
            patience = Millis(patience * GRAFTED_FIRST)
        self.incoming.tick(turn, patience, lacking)
        if turn.filling is not None:
            self.incoming.fill(turn)
        members = [r for r in self.peers if turn.roster.counts(r)]
        if now >= self._report_due:
            self._report_due = Millis(now + self._settings.report_interval)
            self.comparing.compare(turn)
            if min((self._own, *members)) == self._own:
                self._close(turn)
        self.forgetting.propose(turn, self._own, self._held(turn), members)

    def _close(self, turn: Turn) -> None:
        """Cover what is left of replicas that are gone, if all members agree."""
        words = self.forgetting.words_of_all(turn, self._own)
        if words is None or turn.filling is not None:
            return
        completed = self.incoming.completed
        source = self._closing.advance(
            turn, words, completed, waiting=self.incoming.held()
        )
        if source in self.peers and self.incoming.ask_for_delta(source, turn):
            count = completed.get(source, 0)
            self._closing.asked(source, words[source], count)

    def _clock_stepped_back(self, now: Millis) -> None:
        """Move what is timed by the wall clock, which was set back, to *now*."""
        self._acknowledgements.clock_stepped_back(Millis(self._ticked_at - now))
        self.incoming.clock_stepped_back(now)
        self._report_due = now
        for peer in self.peers.values():
            if peer.lacking_since is not None:
                peer.lacking_since = min(peer.lacking_since, now)
