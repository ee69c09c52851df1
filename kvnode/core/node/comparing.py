"""
Comparing: what a node tells its peers of what it covers, and hears of them (rule D8).

A digest first, of some fifty bytes; all that it stands for in a report only to those
whose digest is another.  What a peer covers is taken from either alike.

Reference:
    Demers et al., 1987.  Epidemic algorithms: anti-entropy by checksums.
"""

from bisect import bisect
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.acknowledgements import Acknowledgements
from kvnode.core.node.digest_watch import DigestWatch
from kvnode.core.node.events import Send
from kvnode.core.node.forgetting import Forgetting, Word
from kvnode.core.node.health import HealthWatch
from kvnode.core.node.peer import Peer
from kvnode.core.node.staleness import Staleness
from kvnode.core.node.turn import Turn
from kvnode.core.replication.anti_entropy import view_digest
from kvnode.core.replication.messages import Digest, Report
from kvnode.types import Millis, ReplicaId

COMPARED_WITH_ALL_MAX = 32
"""
Peers compared with every interval: in a larger cluster, with one (D8).

More would cost a node over 32 small messages a second each way, and as many reports
while there are writes.  With one, each peer is heard of once in as many intervals as
there are peers, so staleness (S3) and forgetting (G1) advance as slowly.
"""


class Hearers(NamedTuple):
    """Who wants to know what a peer covers: the parts of a node."""

    forgetting: Forgetting
    digests: DigestWatch
    staleness: Staleness
    health: HealthWatch
    acknowledgements: Acknowledgements


class Comparing:
    """
    One node's part in anti-entropy; volatile.

    Attributes:
        reported_at: When all was last told to peers that are told of floors, by the
            wall clock in ms; 0 before this node has caught up with any, and while
            it waits for seeds: there may be a cluster that it has not met.
    """

    def __init__(
        self,
        own: ReplicaId,
        peers: Mapping[ReplicaId, Peer],
        hearers: Hearers,
        *,
        held: Callable[[Turn], VersionVector],
        waiting: Callable[[], bool],
    ) -> None:
        """
        Begin.

        Args:
            own: This node's identity.
            peers: Those connected, kept current by the caller.
            hearers: Who is told what they cover.
            held: Returns what is merged and not covered, as far as others must know.
            waiting: Tells whether batches wait to be covered.
        """
        self.reported_at = Millis(0)
        self._own = own
        self._peers = peers
        self._hearers = hearers
        self._held = held
        self._waiting = waiting
        self._caught_up = False  # with any member, since this node started
        self._compared = 0

    # -- what is told ---------------------------------------------------------

    def compare(self, turn: Turn) -> None:
        """Tell peers what is here: in a fingerprint, if they know them."""
        view = _view(turn, self._held(turn))
        unmet = self._waits_for_seeds(turn)
        digest = Digest(view, self._digest_word(turn, view), turn.now, unmet)
        counts = self._caught_up and not unmet  # or there may be floors without it
        for replica in self._compared_with():
            if self._peers[replica].speaks_digests:
                self.reported_at = turn.now if counts else Millis(0)
                turn.effects.append(Send(replica, digest))
            else:
                self.report_to(replica, turn)

    def _compared_with(self) -> Iterable[ReplicaId]:
        """Return all peers, or the next one in turn where there are many."""
        if len(self._peers) <= COMPARED_WITH_ALL_MAX or self._hearers.acknowledgements:
            return tuple(self._peers)  # or a write waits to hear how many have it (S4)
        others = sorted(self._peers)
        self._compared += 1
        # From this node's own place on: all begin with another one.
        return (others[(bisect(others, self._own) + self._compared) % len(others)],)

    def report_to(self, replica: ReplicaId, turn: Turn) -> None:
        """Tell a peer all that this node covers and forgets, and who is a member."""
        peer = self._peers[replica]
        if not peer.speaks_digests:
            report = Report(turn.clock, turn.now, turn.peers)
        else:
            roster = turn.roster
            report = Report(
                turn.clock,
                turn.now,
                held=self._held(turn),
                roster=roster.digest(),
                members=tuple(roster) if peer.roster != roster.digest() else (),
                floor=turn.floor,
                filling=turn.filling is not None,
                unmet=self._waits_for_seeds(turn),
            )
        turn.effects.append(Send(replica, report))

    def _waits_for_seeds(self, turn: Turn) -> bool:
        """Tell whether nobody may forget upon what this node says."""
        return bool(self._hearers.forgetting.seeds.unmet(turn))

    def tell_the_empty(self, turn: Turn) -> None:
        """
        Report to peers that cover nothing, as far as is known (D10).

        For them alone it makes a difference that this node is being filled.
        """
        for replica, peer in self._peers.items():
            if peer.speaks_digests and not peer.clock:
                self.report_to(replica, turn)

    # -- what is heard --------------------------------------------------------

    def reported(self, replica: ReplicaId, report: Report, turn: Turn) -> None:
        """Take in what a peer covers, which its record says already."""
        self._heard_clock(replica, report.sent_at, turn)
        word = Word(
            report.clock, report.held, report.roster, report.sent_at, report.unmet
        )
        self._hearers.forgetting.heard(replica, word)

    def take(self, replica: ReplicaId, digest: Digest, turn: Turn) -> None:
        """Take in a peer's digest; report to it if it knows something else."""
        held = self._held(turn)
        if digest.view != _view(turn, held):
            self.report_to(replica, turn)
            return
        peer = self._peers[replica]
        peer.clock, peer.roster = turn.clock, turn.roster.digest()
        self._heard_clock(replica, digest.sent_at, turn)
        forgetting, digests = self._hearers.forgetting, self._hearers.digests
        word = Word(turn.clock, held, peer.roster, digest.sent_at, digest.unmet)
        forgetting.heard(replica, word)
        name, own = peer.address.name, self._digest_word(turn, digest.view)
        if digests.compare(replica, name, digest.store, own, turn):
            forgetting.abort()  # something may be left that healing brought back

    def _digest_word(self, turn: Turn, view: int) -> int:
        """Return the digest of all entries, if it counts (D9)."""
        return self._hearers.digests.word(
            turn,
            view,
            waiting=self._waiting(),
            settled=self._hearers.forgetting.settled or not turn.floor,
        )

    def _heard_clock(self, replica: ReplicaId, sent_at: Millis, turn: Turn) -> None:
        """Take in that the peer's clock, as noted, was so at its *sent_at*."""
        peer = self._peers[replica]
        if peer.outbox.covered(peer.clock):
            self.report_to(replica, turn)
        sent = self._hearers.health.sent_at(replica, sent_at)
        if sent is not None:
            self._hearers.staleness.heard(replica, peer.clock.newest(replica), sent)
        if turn.clock.includes(peer.clock):
            peer.lacking_since = None
            self._caught_up = True
        elif peer.lacking_since is None:
            peer.lacking_since = turn.now
        turn.effects.extend(self._hearers.acknowledgements.heard(self._peers))


def _view(turn: Turn, held: VersionVector) -> int:
    """Return what a digest stands for, in a fingerprint."""
    return view_digest(turn.clock, held, turn.roster.digest(), turn.floor)
