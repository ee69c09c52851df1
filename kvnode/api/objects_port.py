"""What the API asks of the objects that a node serves or finds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.telling import Leave, Tell


class Call(NamedTuple):
    """
    A call of a method of an object.

    Attributes:
        target: Which object.
        method: Which of its methods.
        arguments: By place.
        named: By name.
        idempotency_key: Of two calls of an object with the same one, one happens, and
            both get its result; empty = each call happens.
        is_forwarded: Another node has sent it here: it is not sent on.
        patience_ms: For how long the caller waits; 0 = nobody knows.
        location_hint: The region in which the object is to live, if this is the first
            that is heard of it; empty: where its name falls.
        home: The region in which it lives, as whoever sent it here knows; empty if it
            was not placed, or that is not known.
    """

    target: ObjectId
    method: str
    arguments: Sequence[Value] = ()
    named: Mapping[str, Value] = {}
    idempotency_key: str = ""
    is_forwarded: bool = False
    patience_ms: int = 0
    location_hint: str = ""
    home: str = ""


class ShardStatus(NamedTuple):
    """
    What this node knows of a shard.

    Attributes:
        shard: Its name.
        epoch: The newest of which it has heard, 0 if none.
        is_led_here: Whether this node leads it.
        committed: The last entry of the log that it knows to be committed.
        applied: The last whose changes are in its state.
        instances: Objects of it that are in memory.
        leader: The name of the node that leads it; empty if that is not known.
        fault: What is wrong with its state here; empty if nothing is.
    """

    shard: str
    epoch: int
    is_led_here: bool
    committed: int
    applied: int
    instances: int
    leader: str = ""
    fault: str = ""


class ObjectsPort(Protocol):
    """The objects of a node."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that are served, ascending."""

    def begin(self, call: Call, tell: Tell) -> Leave:
        """
        Call a method, and tell its result once nothing can undo it.

        Returns:
            What says that nobody waits any more; that does not stop the method.

        It raises, or tells:
            InvalidArgumentError: There is no such class or method, or an argument
                cannot be passed, or the location hint is no region; nothing was done.
            MovedError: The object lives in another region than that of the node that
                was sent the call by another; nothing was done.
            NotLeaderError: Another node leads the shard; nothing was done.
            UnavailableError: Nobody does, just now; nothing was done.
            ObjectEndedError: The object's code has ended it; nothing was done.
            OverloadedError: Too many calls wait; nothing was done.
            IndeterminateError: The lead was lost meanwhile; it may have happened.
            ObjectRaisedError: The method raised.
        """

    def leader_address(self, target: ObjectId) -> str:
        """Return where the node listens that leads *target*; empty for this one."""

    def leader_of(self, shard: str) -> str:
        """Return the name of the node that leads a shard, as far as is known."""

    def status(self) -> tuple[ShardStatus, ...]:
        """Return what is known of the shards that this node knows, by name."""
