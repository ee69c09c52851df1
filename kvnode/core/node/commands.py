"""
What clients ask a node to change, and what came of it.

Commands are validated by the API before they get here; the core decides only
what depends on the stored state.
"""

from enum import Enum
from typing import NamedTuple

from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.version import NEVER, Entry
from kvnode.types import Dot, EntryKey, Millis


class Put(NamedTuple):
    """
    Store a register.

    The conditions are judged against this replica alone: `if_absent` asks for
    no live entry, `if_dot` for an entry with exactly that newest dot.
    """

    key: EntryKey
    value: bytes
    metadata: str = ""
    deadline: Millis = NEVER
    if_absent: bool = False
    if_dot: Dot | None = None


class Delete(NamedTuple):
    """Store a tombstone, also where nothing is stored: others may have it."""

    key: EntryKey
    if_dot: Dot | None = None


class AddToCounter(NamedTuple):
    """Add *amount*, which may be negative and is not 0."""

    key: EntryKey
    amount: int


class UpdateSet(NamedTuple):
    """Remove, then add members; a concurrent add wins over the removal."""

    key: EntryKey
    add: tuple[bytes, ...]
    remove: tuple[bytes, ...]


class UpdateDocument(NamedTuple):
    """Merge a Yjs update into a document."""

    key: EntryKey
    update: bytes


Command = Put | Delete | AddToCounter | UpdateSet | UpdateDocument


class Applied(NamedTuple):
    """The command happened; `entry` is what the key holds now."""

    entry: Entry


class ConditionFailed(NamedTuple):
    """The command did not happen; `entry` is what is stored, a tombstone too."""

    entry: Entry | None


class Reason(Enum):
    """Why a command is refused."""

    INVALID = "invalid"  # a limit is in the way, or it makes no sense here
    WRONG_TYPE = "wrong type"  # the key holds something else
    UNAVAILABLE = (
        "unavailable"  # damage, a wrong clock, half a store: it may pass later
    )


class Refused(NamedTuple):
    """The command did not happen."""

    reason: Reason
    message: str


Outcome = Applied | ConditionFailed | Refused


class Replicas(NamedTuple):
    """How many replicas must have a write before its reply (rule S4)."""

    needed: int = 1  # this one included
    each_region: bool = False
    patience: Millis = NEVER

    @property
    def local(self) -> bool:
        """Tell whether this replica alone is enough."""
        return self.needed <= 1 and not self.each_region


LOCAL = Replicas()


class WriteRequest(NamedTuple):
    """
    Commands of one caller, applied in order in one transaction.

    `number` is the shell's: the reply carries it back.
    """

    number: int
    commands: tuple[Command, ...]
    session: Session = NEW_SESSION
    replicas: Replicas = LOCAL
