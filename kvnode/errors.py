"""
Every exception kvnode raises on purpose.

    KvError
    ├── RejectedError            did not happen; the same request fails again
    │   ├── InvalidArgumentError     breaks a rule or a limit; the message names it
    │   ├── RequestRefusedError      no route of HTTP takes the request so
    │   ├── NamespaceNotFoundError   no such namespace at this node
    │   ├── SessionLostError         no node will ever have what the session has seen
    │   ├── SqlError                 SQLite refused a statement of an object
    │   └── WrongTypeError           a counter operation on a register, and the like
    ├── UnavailableError         did not happen; the same request may pass later
    │   ├── NotCoveredError          the node lacks what the session has seen
    │   ├── OverloadedError          a bounded queue is full
    │   ├── StoreFullError           no room on this node's disk
    │   ├── NotLeaderError           this node does not lead the object's shard
    │   │   └── MovedError               it lives in a region, not there
    │   └── ObjectEndedError         the object's code has ended its instance
    ├── ObjectRaisedError        a method of an object ran and raised
    ├── IndeterminateError       may have happened, may still happen
    │   ├── ReplicasTimeoutError     fewer than `needed` replicas have it yet
    │   ├── ConnectionLostError      the reply was lost with the connection
    │   └── DeadlineError            no reply in time
    ├── CorruptRecordError       bytes fail their checksum
    │   └── DamagedRecordError       those of a record in this node's own store
    ├── StartOverError           this node's store must be replaced before it is used
    ├── PeerProtocolError        a peer sent what no correct peer sends
    └── ConfigError              a setting is wrong; the message names the field

The first question after an error is whether the write took effect.  `outcome`
answers it, for the retry policy and for consistency checkers alike.  When in
doubt, INDETERMINATE is the safe answer.
"""

from enum import Enum
from typing import ClassVar, Final

from kvnode.types import EntryKey, LostWrites

ERROR_TRAILER: Final = "kvnode-error-bin"
"""
Trailing metadata of a failed RPC: the serialized kvnode.v1.Error.

A bare gRPC status cannot say whether a write happened; this can.
"""


class Outcome(Enum):
    """What an error says about the operation that raised it."""

    FAILED = "failed"  # it did not happen and never will
    INDETERMINATE = "indeterminate"  # it may have happened


class KvError(Exception):
    """Base of all kvnode errors; never raised itself."""

    outcome: ClassVar[Outcome] = Outcome.INDETERMINATE


class RejectedError(KvError):
    """The request is wrong; sending it again unchanged cannot help."""

    outcome = Outcome.FAILED


class InvalidArgumentError(RejectedError):
    """An argument breaks a rule or a limit, which the message names."""


class RequestRefusedError(RejectedError):
    """
    A request of HTTP that nothing answers, or not in the form in which it came.

    `status` is what HTTP says of it: 404, 405, 408, 413, 415 or 501.  `allowed` are the
    methods that there are, if that is what is wrong.
    """

    def __init__(
        self, message: str, *, status: int, allowed: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.allowed = allowed


class NamespaceNotFoundError(RejectedError):
    """The namespace is not known at this node."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"namespace {namespace!r} is not known here: create it, or wait until"
            " its creation elsewhere has arrived"
        )
        self.namespace = namespace


class SessionLostError(RejectedError):
    """
    Some of what the session has seen is lost with a replica that is gone for good.

    Nothing was done, no node can serve the session, and waiting does not help.  `lost`
    is what is lost, `remaining` the session's token without it: whoever goes on with
    that, knowing what is lost, keeps all else that the session has seen.
    """

    def __init__(
        self, message: str, *, lost: tuple[LostWrites, ...], remaining: bytes
    ) -> None:
        super().__init__(message)
        self.lost = lost
        self.remaining = remaining


class SqlError(RejectedError):
    """
    SQLite refused a statement of an object, or did not bring it to its end.

    Nothing of it was stored.  `code` is SQLite's name of the reason, such as
    SQLITE_CONSTRAINT_UNIQUE.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class WrongTypeError(RejectedError):
    """The key holds a value of another type than the operation works on."""


class UnavailableError(KvError):
    """Refused before anything was done; safe to retry, here or elsewhere."""

    outcome = Outcome.FAILED


class NotCoveredError(UnavailableError):
    """The deadline passed before the node had what the session has seen."""


class OverloadedError(UnavailableError):
    """A bounded queue is full; nothing was done."""


class StoreFullError(UnavailableError):
    """The store has no room; nothing was written."""


class NotLeaderError(UnavailableError):
    """
    This node does not lead the shard in which the object lives; nothing was done.

    `leader` is the name of the node that may, empty if none is known.
    """

    def __init__(self, message: str, *, leader: str = "") -> None:
        super().__init__(message)
        self.leader = leader


class MovedError(NotLeaderError):
    """
    The object lives in a region, not where its name falls; nothing was done.

    `region` is where, for ever.
    """

    def __init__(self, message: str, *, region: str) -> None:
        assert region, "it lives somewhere"
        super().__init__(message)
        self.region = region


class ObjectEndedError(UnavailableError):
    """
    The object's own code has ended the instance that did the call; nothing was done.

    It has asked for that, or a section of it has failed, or it could not be made.  The
    next instance may do the same again, so nobody but the caller tries again.
    """


class ObjectRaisedError(KvError):
    """
    A method of an object ran and raised `type_name`; the message is the exception's.

    What it had written before is kept, unless that was in a transaction.
    """

    def __init__(self, message: str, *, type_name: str) -> None:
        super().__init__(message)
        self.type_name = type_name


class IndeterminateError(KvError):
    """The operation may have happened, may still happen, or may never happen."""


class ReplicasTimeoutError(IndeterminateError):
    """
    The deadline passed with `acknowledged` of the `needed` replicas heard from.

    The write is durable at this node and will still spread.
    """

    def __init__(self, message: str, *, acknowledged: int, needed: int) -> None:
        super().__init__(message)
        self.acknowledged = acknowledged
        self.needed = needed


class ConnectionLostError(IndeterminateError):
    """The connection ended between the request and its reply."""


class DeadlineError(IndeterminateError):
    """No reply came before the caller's deadline."""


class CorruptRecordError(KvError):
    """A record does not match its checksum, or its format is unknown."""


class DamagedRecordError(CorruptRecordError):
    """
    The record that this node's own store has of `key` is corrupt.

    Nothing was done.  Other keys are not affected, and the node pulls the record
    from its peers, so that trying again may help.
    """

    outcome = Outcome.FAILED

    def __init__(self, message: str, key: EntryKey) -> None:
        super().__init__(message)
        self.key = key


class StartOverError(KvError):
    """
    This node's store must be replaced before it is used; the message says why.

    Raised to whoever runs the node: the store is marked, and starting the node again
    does what is due.
    """


class RoadError(Exception):
    """A stream of messages could not be opened, or has broken; says why, for people."""


class PeerProtocolError(KvError):
    """A peer sent a message that no correct peer sends."""


class ConfigError(RejectedError):
    """A setting is wrong; the message names the field and what it may be."""
