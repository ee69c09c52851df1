"""
Who may lead a shard, and which replicas hold its log: what the authority keeps.

A configuration is changed by compare-and-set alone, and each change of the leader or
the replicas has an epoch of its own; so an epoch has one leader for ever.

While a shard moves to other replicas, `former` are those that hold its log still.
They are dropped once the new ones have it; until then nothing was committed among the
new ones, and whoever takes over in between seals the former ones (Lamport, Malkhi &
Zhou, 2009).

References:
    Lamport, Malkhi & Zhou, 2009.  Vertical Paxos and primary-backup replication.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from kvnode.core.objects.caspaxos import is_majority
from kvnode.types import ReplicaId

REPLICAS_MAX = 7
"""More cost more than they save: three survive one loss, five two, seven three."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    What the authority says of one shard.

    Attributes:
        epoch: >= 1; grows with every change but the end of a move.
        leader: One of `replicas`.
        replicas: Ascending, 1 to REPLICAS_MAX.
        former: While the shard moves, those that have its log; else empty.
    """

    epoch: int
    leader: ReplicaId
    replicas: tuple[ReplicaId, ...]
    former: tuple[ReplicaId, ...] = ()

    def __post_init__(self) -> None:
        assert self.epoch >= 1, "epoch 0 is nobody's"
        assert 1 <= len(self.replicas) <= REPLICAS_MAX, "a shard has some replicas"
        assert self.replicas == tuple(sorted(set(self.replicas))), "each once, in order"
        assert self.leader in self.replicas, "who leads holds the log"

    @property
    def electorate(self) -> tuple[ReplicaId, ...]:
        """Return those of which a majority has all that was ever committed."""
        return self.former or self.replicas

    def is_sealed_by(self, some: Collection[ReplicaId]) -> bool:
        """Tell whether nobody can commit in an earlier epoch once *some* are sealed."""
        return has_majority(some, self.electorate)

    def taken_over_by(self, replica: ReplicaId) -> "Configuration":
        """Return the next epoch, led by another of the replicas, or the same again."""
        return replace(self, epoch=self.epoch + 1, leader=replica)

    def moved_to(
        self, replicas: Collection[ReplicaId], leader: ReplicaId
    ) -> "Configuration":
        """Return the next epoch, in which the shard is to move to *replicas*."""
        return Configuration(
            self.epoch + 1, leader, tuple(sorted(replicas)), self.electorate
        )

    @property
    def arrived(self) -> "Configuration":
        """Return the end of a move, in the same epoch."""
        return replace(self, former=())


def has_majority(some: Collection[ReplicaId], of: Collection[ReplicaId]) -> bool:
    """Tell whether more than half of *of* are among *some*."""
    return is_majority(len(set(of).intersection(some)), len(of))
