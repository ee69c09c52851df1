"""
Taking in what a repair brings (rule D9).

A repair finds the entries in which two stores differ, and each side sends its own.
They are of writes that both nodes claim to have, so what a node takes from another
must not be what it has rightly forgotten, or a deletion would be undone.  An entry is
taken only if

  - its writes are covered here.  All else is still to come, by pushes and deltas,
    with all that it depends on;
  - the sender has forgotten all that is forgotten here, and so had covered it: of what
    was deleted and forgotten here it holds nothing any more;
  - it is not itself what is forgotten here: the sender is about to drop it.

What is refused for that is found again by the next repair, if it should still differ.

A page is dealt with when all its values are here: large ones are pulled (D6).
"""

from dataclasses import dataclass, field

from kvnode.core.node.events import RepairArrived, RepairTaken
from kvnode.core.node.turn import Turn
from kvnode.core.replication.fetch import Fetches
from kvnode.core.replication.messages import RepairPage, WireEntry
from kvnode.core.replication.repair import Trust
from kvnode.core.versions.floor import Floor, forgets
from kvnode.core.versions.record import WIRE, decode
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import CorruptRecordError, DamagedRecordError
from kvnode.types import EntryKey, ReplicaId

PAGES_MAX = 16
"""That wait for values at a time; a shell admits fewer."""


@dataclass(slots=True)
class _Page:
    """A page of which some values are still to be pulled."""

    peer: ReplicaId
    session: int
    floor: Floor
    trust: Trust
    last: bool
    missing: dict[EntryKey, None] = field(default_factory=dict)
    changed: int = 0
    refused: int = 0

    def taken(self) -> RepairTaken:
        """Return what became of the page."""
        return RepairTaken(
            self.peer, self.session, self.changed, self.refused, last=self.last
        )


class Repairing:
    """The pages of repairs that are being taken in."""

    def __init__(self, fetches: Fetches) -> None:
        """Make it empty; large values are pulled by *fetches*."""
        self._fetches = fetches
        self._pages: list[_Page] = []

    def page(self, arrived: RepairArrived, turn: Turn) -> None:
        """Take in a page that belongs to a session of this node."""
        peer, page, trust = arrived
        try:
            entries = [(wire, decode(wire.record, WIRE)) for wire in page.entries]
        except CorruptRecordError as error:
            turn.effects.append(_broken(peer, page, str(error)))
            return
        if len(self._pages) >= PAGES_MAX:
            reason = f"{PAGES_MAX} pages wait for large values"
            turn.effects.append(_broken(peer, page, reason))
            return
        waiting = _Page(peer, page.session, page.floor, trust, page.last)
        for wire, entry in entries:
            self._take(wire, entry, waiting, turn)
        self._pages.append(waiting)
        self._end(waiting, turn)

    def _take(self, wire: WireEntry, entry: Entry, page: _Page, turn: Turn) -> None:
        if not wire.value_bytes:
            self._settle(wire.key, entry, page, turn)
        elif not may_take(page.floor, entry.version, turn) or not self._fetches.want(
            page.peer, wire.key, entry.version.dot
        ):
            page.refused += 1
        else:
            page.missing[wire.key] = None

    @staticmethod
    def _settle(key: EntryKey, entry: Entry, page: _Page, turn: Turn) -> None:
        if not may_take(page.floor, entry.version, turn):
            page.refused += 1
            return
        try:
            before = turn.entry(key)
            turn.repair(key, entry, page.trust)
        except DamagedRecordError:
            page.refused += 1  # the turn has noted it: the key is healed first
        else:
            page.changed += turn.entry(key) is not before

    def pulled(
        self, peer: ReplicaId, key: EntryKey, entry: Entry | None, turn: Turn
    ) -> None:
        """Take in a record that was pulled from *peer*; None: it has none."""
        for page in [p for p in self._pages if p.peer == peer and key in p.missing]:
            del page.missing[key]
            if entry is None:
                page.refused += 1
            else:
                self._settle(key, entry, page, turn)
            self._end(page, turn)

    def _end(self, page: _Page, turn: Turn) -> None:
        if not page.missing:
            self._pages.remove(page)
            turn.effects.append(page.taken())

    def drop_of(self, peer: ReplicaId) -> None:
        """Forget the pages of *peer*: its connection is gone."""
        self._pages = [page for page in self._pages if page.peer != peer]

    def forget(self) -> None:
        """Forget all pages: a turn has not happened."""
        self._pages.clear()


def may_take(floor: Floor, version: Version, turn: Turn) -> bool:
    """Tell whether an entry of *version* may be taken from a node with *floor*."""
    return (
        turn.filling is None
        and turn.start_over is None
        and turn.clock.covers_all(version.index_dots)
        and floor.includes(turn.floor)
        and not forgets(turn.floor, version)
    )


def _broken(peer: ReplicaId, page: RepairPage, reason: str) -> RepairTaken:
    return RepairTaken(peer, page.session, 0, 0, last=page.last, broken=reason)
