"""
Taking over: seal a majority, then adopt the most advanced log among them.

Who takes over has its epoch from the authority already, so nobody else has that one.
Once a majority has promised the epoch, nothing can be committed in an earlier one; and
whatever was committed is in the log that ends last, by epoch and then by number (the
"leader completeness" of Raft).  So that log is taken from its holder, from where the
two part.

Sealing goes on for as long as replicas hold a lease of the leader before, unless that
one says itself that it leads no more: then its lease protects nothing, and replicas are
told so.  So a lead that is given away changes hands in some round trips, and one that
is taken from a leader that is silent waits for the lease.

References:
    Lamport, Malkhi & Zhou, 2009.  Vertical Paxos and primary-backup replication.
    Ongaro & Ousterhout, 2014, section 5.4.
"""

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import Pull, Pulled, Seal, Sealed
from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.types import ReplicaId


class Takeover:
    """
    One replica's way to the lead in one epoch.

    Attributes:
        configuration: The authority's, with this replica as its leader.
    """

    def __init__(
        self,
        configuration: Configuration,
        own: ReplicaId,
        settings: ShardSettings,
        turn: ShardTurn,
        released: int = 0,
    ) -> None:
        """Begin to seal; *released* as in `Seal`."""
        self.configuration = configuration
        self._own = own
        self._settings = settings
        self._sealed: dict[ReplicaId, Position] = {}
        self._source: ReplicaId | None = None
        self._released = released
        self._heard_at = turn.now
        self._seal(turn)

    @property
    def epoch(self) -> int:
        """Return the epoch to be led."""
        return self.configuration.epoch

    def sealed(self, sender: ReplicaId, answer: Sealed, turn: ShardTurn) -> bool:
        """Take in a promise; tell whether all that was committed is here now."""
        if self._source is not None:
            return False
        self._sealed[sender] = answer.last
        if not self.configuration.is_sealed_by(self._sealed):
            if answer.released > self._released:
                self._released = answer.released
                self._seal(turn)
            return False
        electorate = set(self.configuration.electorate) & self._sealed.keys()
        self._source = max(electorate, key=lambda each: (self._sealed[each], each))
        self._heard_at = turn.now
        if turn.log.has(self._sealed[self._source]):
            return True
        turn.tell(self._source, Pull(self.epoch, turn.log.last))
        return False

    def pulled(self, sender: ReplicaId, answer: Pulled, turn: ShardTurn) -> bool:
        """Take in a part of the log; tell whether all of it is here now."""
        if sender != self._source:
            return False
        self._heard_at = turn.now
        if not turn.log.has(answer.previous):
            asked = turn.log.common(answer.previous)
        else:
            turn.append(answer.previous, answer.entries)
            # What is here beyond that, a leader before has sent and not committed.
            if turn.log.has(answer.last):
                return True
            number = answer.previous.number + len(answer.entries)
            asked = Position(turn.log.epoch_at(number), number)
        turn.tell(sender, Pull(self.epoch, asked))
        return False

    def snapshot_arrived(self, sender: ReplicaId, turn: ShardTurn) -> None:
        """Go on from a snapshot that the holder of the log has sent."""
        if sender == self._source:
            self._heard_at = turn.now
            turn.tell(sender, Pull(self.epoch, turn.log.last))

    def tick(self, turn: ShardTurn) -> None:
        """Seal again who has not answered, or all if the log's holder is silent."""
        if self._source is None:
            self._seal(turn)
        elif turn.now - self._heard_at > self._settings.patience:
            self._source = None
            self._sealed.clear()
            self._heard_at = turn.now
            self._seal(turn)
        else:
            turn.tell(self._source, Pull(self.epoch, turn.log.last))

    def _seal(self, turn: ShardTurn) -> None:
        voters = {*self.configuration.electorate, *self.configuration.replicas}
        for replica in sorted(voters - self._sealed.keys()):
            turn.tell(replica, Seal(self.epoch, self._released))
