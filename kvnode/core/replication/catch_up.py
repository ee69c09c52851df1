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
from kvnode.core.versions.merge import includes
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import PeerProtocolError
from kvnode.types import EntryKey, Millis, ReplicaId

SILENCE_MAX = Millis(10_000)
"""A delta without a page for this long is given up and asked for elsewhere."""


@dataclass(slots=True)
class CatchUp:
    """One delta on its way in."""

    peer: ReplicaId
    session: int
    heard_at: Millis
    snapshot_clock: VersionVector = EMPTY
    pages: int = 0
    ended: bool = False  # the last page is here
    missing: dict[EntryKey, Version] = field(default_factory=dict)
    asked_at: Millis = field(init=False)

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
        self.snapshot_clock = page.snapshot_clock
        self.pages += 1
        self.ended = page.last
        self.heard_at = now

    def arrived(self, key: EntryKey, stored: Entry) -> bool:
        """Note that *key* holds *stored*; tell whether the delta waited for it."""
        if key in self.missing and includes(stored, self.missing[key]):
            del self.missing[key]
            return True
        return False

    def silent_since(self, now: Millis) -> bool:
        """Tell whether the peer has gone quiet for too long."""
        return abs(now - self.heard_at) > SILENCE_MAX  # clocks may jump back
