"""
Catching up: receiving a delta from one peer.

Pages are merged as they come; the sender's snapshot clock is joined only with
the last one (rule D2), and not before every large value announced in the pages
has been pulled.  Losing the connection at any moment loses nothing and claims
nothing.
"""

from dataclasses import dataclass, field

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.messages import DeltaPage
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.merge import includes
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import PeerProtocolError
from kvnode.types import EntryKey, Millis, ReplicaId

SILENCE_MAX = Millis(10_000)
"""A delta without a page for this long is given up and asked for elsewhere."""


def is_here(version: Version, stored: Entry | None, clock: VersionVector) -> bool:
    """
    Tell whether a value of *version* need not be waited for any more.

    It is stored or superseded, or is covered: then it was superseded by something
    that is forgotten.
    """
    return includes(stored, version) or clock.covers_all(version.index_dots)


@dataclass(slots=True)
class CatchUp:
    """One delta on its way in."""

    peer: ReplicaId
    session: int
    heard_at: Millis
    whole: bool = False  # a bootstrap: everything, in key order
    snapshot_clock: VersionVector = EMPTY
    pages: int = 0
    ended: bool = False  # the last page is here
    missing: dict[EntryKey, Version] = field(default_factory=dict)
    floor: Floor = GROUND
    until: EntryKey | None = None  # of a bootstrap: up to here all is here
    expected: int = 0  # of a bootstrap: entries there are, about
    asked_at: Millis = field(init=False)
    _uncounted: int = 0

    def __post_init__(self) -> None:
        self.asked_at = self.heard_at

    @property
    def complete(self) -> bool:
        """Tell whether the snapshot clock may be joined."""
        return self.ended and not self.missing

    def take(self, page: DeltaPage, now: Millis) -> None:
        """
        Count *page* in.

        Raises:
            PeerProtocolError: A page is missing, or the snapshot has changed.
        """
        if page.number != self.pages or self.ended:
            msg = f"delta page {page.number} came where {self.pages} was due"
            raise PeerProtocolError(msg)
        if self.pages and page.snapshot_clock != self.snapshot_clock:
            msg = "the pages of a delta must come from one snapshot"
            raise PeerProtocolError(msg)
        self.snapshot_clock, self.floor = page.snapshot_clock, page.floor
        self.until = page.until or self.until
        self.expected = page.expected
        self._uncounted += len(page.entries)
        self.pages += 1
        self.ended = page.last
        self.heard_at = now

    def tells(self, floor: Floor) -> bool:
        """Tell whether its sender knew of all that *floor* forgets."""
        return self.snapshot_clock.includes(floor.vector)

    def counted(self) -> int:
        """Return how many entries came since this was asked last."""
        count, self._uncounted = self._uncounted, 0
        return count

    def arrived(
        self, key: EntryKey, stored: Entry | None, clock: VersionVector
    ) -> bool:
        """Note that *key* holds *stored*; tell whether the delta waited for it."""
        if key in self.missing and is_here(self.missing[key], stored, clock):
            del self.missing[key]
            return True
        return False

    def silent_since(self, now: Millis) -> bool:
        """Tell whether the peer has gone quiet for too long."""
        return abs(now - self.heard_at) > SILENCE_MAX  # clocks may jump back
