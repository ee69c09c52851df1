"""What the API asks of a node on behalf of those who run objects."""

from typing import NamedTuple, Protocol

from kvnode.types import ReplicaId


class ObjectsNode(NamedTuple):
    """
    A node that serves objects.

    Attributes:
        name: Its name.
        address: host:port at which other nodes reach it; empty for this one alone.
        region: Where it is; may be empty.
        replica: The identity of its logs.
    """

    name: str
    address: str
    region: str
    replica: ReplicaId


class ReplicaStatus(NamedTuple):
    """
    A replica, as the leader of its shard sees it.

    Attributes:
        node: The name of its node; empty if it cannot be reached.
        replica: Its identity.
        behind: How many entries it lacks, as far as the leader knows.
        is_silent: It has not answered of late.
    """

    node: str
    replica: ReplicaId
    behind: int
    is_silent: bool


class LedShard(NamedTuple):
    """
    A shard that this node leads.

    Attributes:
        shard: Its name.
        epoch: In which it is led.
        replicas: Who holds its log.
        moving_to: The nodes that are to hold it, if it moves.
        heir: The node that is to lead it, so that leads are spread; empty = this one.
    """

    shard: str
    epoch: int
    replicas: tuple[ReplicaStatus, ...]
    moving_to: tuple[str, ...]
    heir: str = ""


class VoterView(NamedTuple):
    """
    One voter, in words.

    Attributes:
        node: The name of its node, or an endpoint of etcd.
        role: What it is to those who vote.
        voter: Its identity, None if it does not answer, or is etcd.
        trouble: Why it does not.
    """

    node: str
    role: str
    voter: ReplicaId | None
    trouble: str


class ObjectsOverview(NamedTuple):
    """
    Who keeps what, as far as one node knows.

    Attributes:
        name: Of the node that was asked.
        nodes: It, and those that it can reach.
        led: The shards that it leads.
        voters: None if the node keeps its objects by itself.
    """

    name: str
    nodes: tuple[ObjectsNode, ...]
    led: tuple[LedShard, ...]
    voters: tuple[VoterView, ...]


class ObjectsAdminPort(Protocol):
    """Who keeps the objects, and changing that."""

    async def overview(self) -> ObjectsOverview:
        """Return what this node knows."""

    async def move(
        self, shard: str, nodes: tuple[str, ...], *, is_forwarded: bool
    ) -> None:
        """
        Let *nodes* keep *shard*; return when they do.

        A caller that is cancelled does not stop it.

        Raises:
            InvalidArgumentError: There is no such shard or node.
            NotLeaderError: Nobody leads, or *is_forwarded* and not this node; nothing
                was done.
            IndeterminateError: The lead was lost meanwhile; ask again.
        """

    async def lead(self, shard: str, *, giver_leads: int = 0) -> None:
        """
        Let this node lead *shard*; return when it does.

        Args:
            shard: Which.
            giver_leads: How many the node leads that gives it away, if this one is to
                refuse what would be no better then; 0 = it leads it in any case.

        Raises:
            InvalidArgumentError: There is no such shard.
            RejectedError: This node has no replica of it, is stopping, or would lead
                more than its share.
            UnavailableError: The authority does not answer.
        """

    async def found(self, shard: str) -> None:
        """
        Tell the authority of a shard of this node's region, unless that knows it.

        Raises:
            InvalidArgumentError: There is no such shard, or none in this region.
            RejectedError: The shard has a log here, and the authority has lost it.
            UnavailableError: The authority does not answer.
            IndeterminateError: It may have been told.
        """

    async def replace_voter(self, node: str, newcomer: str) -> tuple[str, ...]:
        """
        Let the voter of *newcomer* vote in place of that of *node*; return who votes.

        Raises:
            RejectedError: One of them cannot be, or no voters are here.
            UnavailableError: Too few answer; nothing has happened.
            IndeterminateError: It may have been chosen: ask again to finish it.
        """
