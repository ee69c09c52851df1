"""What happens to a replica of a shard, and what it wants done."""

from typing import NamedTuple

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import Message
from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.types import ReplicaId

# -- events -------------------------------------------------------------------


class Tick(NamedTuple):
    """Time has passed."""


class Suspected(NamedTuple):
    """The leader is held dead: take over, without waiting for patience to end."""


class TakeLead(NamedTuple):
    """Lead, though another does: that it is heard meanwhile is no reason not to."""


class Received(NamedTuple):
    """A message; what a replica sends to itself comes like any other."""

    sender: ReplicaId
    message: Message


class Propose(NamedTuple):
    """Append an entry, if this replica leads; then `Proposed`, or `Declined`."""

    token: int
    data: bytes


class Confirm(NamedTuple):
    """Find out whether this replica leads; then `Confirmed`, `Declined` or `Closed`."""

    token: int


class AuthoritySaid(NamedTuple):
    """What the authority holds, None if nothing: it was asked, or has been changed."""

    configuration: Configuration | None


class AuthorityFailed(NamedTuple):
    """It did not answer: what it was asked for may have happened."""


class Reconfigure(NamedTuple):
    """Move the shard to *replicas*, this leader among them."""

    replicas: tuple[ReplicaId, ...]


class SnapshotTaken(NamedTuple):
    """There is a durable snapshot of what entries up to *number* did."""

    number: int


class SnapshotArrived(NamedTuple):
    """What the entries up to *base* did is here, durably: *sender* led *epoch*."""

    sender: ReplicaId
    epoch: int
    base: Position


class SnapshotEnded(NamedTuple):
    """What `SendSnapshot` asked for has come to an end, however."""

    receiver: ReplicaId


Event = (
    Tick
    | Suspected
    | TakeLead
    | Received
    | Propose
    | Confirm
    | AuthoritySaid
    | AuthorityFailed
    | Reconfigure
    | SnapshotTaken
    | SnapshotArrived
    | SnapshotEnded
)

# -- effects ------------------------------------------------------------------


class Send(NamedTuple):
    """Send *message*; it may be lost."""

    receiver: ReplicaId
    message: Message


class SendSnapshot(NamedTuple):
    """Send what is before this log's first entry; then `SnapshotEnded`."""

    receiver: ReplicaId
    epoch: int


class AskAuthority(NamedTuple):
    """Find out what the authority holds."""


class Swap(NamedTuple):
    """Let the authority hold *desired* if it holds *expected*; then `AuthoritySaid`."""

    expected: Configuration
    desired: Configuration


class Opened(NamedTuple):
    """This replica leads *epoch*, and its log up to *number* is all there ever was."""

    epoch: int
    number: int


class Closed(NamedTuple):
    """It does not lead *epoch* any more: what was not answered may have happened."""

    epoch: int


class Proposed(NamedTuple):
    """What *token* proposed is entry *number* of the epoch that is led."""

    token: int
    number: int


class Declined(NamedTuple):
    """This replica does not lead: nothing came of *token*."""

    token: int


class Committed(NamedTuple):
    """Entries up to *number* are committed, and stay for ever."""

    number: int


class Distrusted(NamedTuple):
    """A message of *sender* was dropped: no correct peer sends it."""

    sender: ReplicaId
    reason: str


class Confirmed(NamedTuple):
    """This replica led when *tokens* were asked about, and had all there was."""

    tokens: tuple[int, ...]


Effect = (
    Send
    | SendSnapshot
    | AskAuthority
    | Swap
    | Opened
    | Closed
    | Proposed
    | Declined
    | Committed
    | Confirmed
    | Distrusted
)


class Persist(NamedTuple):
    """
    What must be durable before the effects of a turn.

    Attributes:
        promised: Nothing of earlier epochs is taken in any more.
        base: The log begins behind it.  If that entry is not in the log as it was,
            all that is in there goes.
        first: From this number on the log is replaced; 0 = the log stays.
        entries: What is in it from there on.
    """

    promised: int
    base: Position
    first: int
    entries: tuple[LogEntry, ...]


class TurnResult(NamedTuple):
    """What a turn makes durable, and what is done before and after that."""

    persist: Persist | None
    at_once: tuple[Effect, ...]
    effects: tuple[Effect, ...]
