"""What hellos of all kinds have in common, and who is turned away by it."""

from typing import NamedTuple, Protocol

from kvnode.errors import PeerProtocolError


class Hello(Protocol):
    """What is said first, of whatever kind the stream is."""

    @property
    def cluster(self) -> str:
        """The cluster of who says it."""

    @property
    def protocol(self) -> int:
        """The newest protocol version that is spoken there."""

    @property
    def protocol_min(self) -> int:
        """The oldest one."""


class Spoken(NamedTuple):
    """The protocol versions that this node speaks on a kind of stream."""

    oldest: int
    newest: int


def no_hello() -> PeerProtocolError:
    """Return the error for a stream that begins with something else."""
    return PeerProtocolError("the first message of a stream must be a hello")


def check_hello(hello: Hello, cluster: str, spoken: Spoken) -> None:
    """
    Pass if *hello* is of a node of *cluster* that can be talked with.

    Raises:
        PeerProtocolError: Whoever it is must be turned away; says why.
    """
    if hello.cluster != cluster:
        msg = f"this is cluster {cluster!r}, not {hello.cluster!r}"
        raise PeerProtocolError(msg)
    if hello.protocol < spoken.oldest or hello.protocol_min > spoken.newest:
        msg = (
            f"no common protocol version: {spoken.oldest}..{spoken.newest} here,"
            f" {hello.protocol_min}..{hello.protocol} there"
        )
        raise PeerProtocolError(msg)
