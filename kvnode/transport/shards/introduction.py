"""Who nodes that serve objects are to each other, and who is turned away."""

from typing import Final, NamedTuple

from kvnode._pb import shards_pb2 as pb
from kvnode.errors import PeerProtocolError
from kvnode.transport.hello import Spoken, check_hello, no_hello
from kvnode.types import ReplicaId

PROTOCOL: Final = 1
"""The newest protocol version this node speaks."""

PROTOCOL_MIN: Final = 1
"""The oldest one it still speaks."""


class MetNode(NamedTuple):
    """
    A node that serves objects.

    Attributes:
        name: Its name.
        replica: The identity of its logs of shards.
        address: host:port at which it is reached.
        region: Where it is; may be empty.
        direct_port: Of its host, for streams over plain TCP; 0 if there is none.
    """

    name: str
    replica: ReplicaId
    address: str
    region: str
    direct_port: int = 0


class Introduction(NamedTuple):
    """
    Who this node is.

    Attributes:
        cluster: Nodes of another are turned away.

    The others are those of MetNode.
    """

    cluster: str
    name: str
    replica: ReplicaId
    address: str
    region: str
    direct_port: int = 0

    def hello(self) -> pb.ShardHello:
        """Return what is said first."""
        return pb.ShardHello(
            protocol=PROTOCOL,
            protocol_min=PROTOCOL_MIN,
            cluster=self.cluster,
            name=self.name,
            address=self.address,
            region=self.region,
            replica=self.replica,
            direct_port=self.direct_port,
        )

    def checked(self, first: pb.ShardFrame | None) -> MetNode:
        """
        Return who has said *first*.

        Raises:
            PeerProtocolError: Whoever it is must be turned away; says why.
        """
        if first is None or not first.HasField("hello"):
            raise no_hello()
        hello = first.hello
        check_hello(hello, self.cluster, Spoken(PROTOCOL_MIN, PROTOCOL))
        if hello.replica in {0, self.replica} or hello.name in {"", self.name}:
            msg = (
                f"{hello.name} ({hello.replica:016x}) has the name or the identity of"
                f" {self.name} ({self.replica:016x}): nodes need names of their own,"
                " and a data directory that was copied serves nobody"
            )
            raise PeerProtocolError(msg)
        return MetNode(
            hello.name,
            ReplicaId(hello.replica),
            hello.address,
            hello.region,
            hello.direct_port,
        )
