"""
Faults: what a nemesis does to a system, as values.

Nodes are named; a link is a pair (sender, receiver), so that a cut may be
one-way.  A fault stays until something ends it: `Heal` opens all links and
makes them as they were, `Start` ends a `Kill`, and so on.  Each is idempotent.

Reference:
    Kingsbury, 2013-.  Jepsen: nemeses.
"""

from dataclasses import dataclass

Link = tuple[str, str]
"""(sender, receiver)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes over *links* any more, besides those already cut."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Disturb:
    """
    Make *links* worse: slower, lossy, in disorder.

    Attributes:
        links: Which.
        delay_ms: Added to each message's flight.
        jitter_ms: At most so much more, drawn for each.
        loss: Chance of each packet to be lost, 0 to 1.
        duplication: Chance to arrive twice.
        reordering: Chance to be overtaken.
        bytes_per_second: Bandwidth; 0 = as it was.
    """

    links: tuple[Link, ...]
    delay_ms: int = 0
    jitter_ms: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bytes_per_second: int = 0


@dataclass(frozen=True, slots=True)
class Heal:
    """Open all links and make them as they were."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End *nodes* at once, as SIGKILL or a power cut would."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start those of *nodes* that are down."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Freeze *nodes* where they are, as SIGSTOP would."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """Let frozen *nodes* go on, with no idea that time has passed."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetClock:
    """
    Make the wall clock of *node* wrong.

    Attributes:
        node: Whose.
        offset_ms: Ahead of true time by so much, from now on; negative = behind.
        drift_ppm: Microseconds gained each second, from now on.
    """

    node: str
    offset_ms: int = 0
    drift_ppm: int = 0


@dataclass(frozen=True, slots=True)
class FillDisk:
    """Leave *node* no room for more."""

    node: str


@dataclass(frozen=True, slots=True)
class FreeDisk:
    """Give *node* its room back."""

    node: str


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Make each sync of *node* take *sync_ms* longer; 0 = as it was."""

    node: str
    sync_ms: int


@dataclass(frozen=True, slots=True)
class FlipBits:
    """Damage one stored record of *node*, on the disk, unnoticed."""

    node: str


@dataclass(frozen=True, slots=True)
class TakeBackup:
    """Keep a copy of what *node* has stored now."""

    node: str


@dataclass(frozen=True, slots=True)
class RestoreBackup:
    """
    Replace what *node* has stored by its last backup, as the manual says to.

    The node is ended at once, given the backup's contents, and started.
    """

    node: str


@dataclass(frozen=True, slots=True)
class Wipe:
    """End *node* at once, delete all it has stored, and start it by its old name."""

    node: str


@dataclass(frozen=True, slots=True)
class Join:
    """
    Start a new, empty node called *node*, which is none of the plan's.

    It knows of *seed* alone, and hears of the others from it.
    """

    node: str
    seed: str


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """
    End *node* at once, and have an operator declare it gone for good.

    `Start` brings it back on what it has stored, whatever it was told.
    """

    node: str


@dataclass(frozen=True, slots=True)
class RemoveFormer:
    """Have an operator declare gone what *node* was before it lost its store."""

    node: str


@dataclass(frozen=True, slots=True)
class CutCoordinator:
    """
    Nothing passes to or from the node that does something for all others.

    Which one that is, is seen when it comes to that: a leader, or in kvnode the one
    that works out what may be forgotten.
    """


@dataclass(frozen=True, slots=True)
class Downgrade:
    """
    Have *node* run the previous version of the store, on what it has stored.

    It is stopped in an orderly way and started again, unless it runs that already.
    """

    node: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Have *node* run the version under test again, on what it has stored."""

    node: str


@dataclass(frozen=True, slots=True)
class Flood:
    """Send *node* at once as much as *messages* old messages from its peers."""

    node: str
    messages: int


@dataclass(frozen=True, slots=True)
class Garble:
    """Send *node* messages that no correct peer sends, *messages* of them."""

    node: str
    messages: int


Fault = (
    Cut
    | Disturb
    | Heal
    | Kill
    | Start
    | Pause
    | Resume
    | SetClock
    | FillDisk
    | FreeDisk
    | SlowDisk
    | FlipBits
    | TakeBackup
    | RestoreBackup
    | Wipe
    | Join
    | RemoveMember
    | RemoveFormer
    | CutCoordinator
    | Downgrade
    | Upgrade
    | Flood
    | Garble
)
