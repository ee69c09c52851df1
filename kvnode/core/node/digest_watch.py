"""
Comparing digests: nodes that cover the same must hold the same (rule D9).

With each digest that says that two nodes have one view, the clock, what is held
beyond, roster and floor, they tell each other the rolling digest of all entries.  Two
different ones mean that one of the stores is not what was written to it: a bug, or
broken hardware.  It costs 8 bytes a comparison.

A node tells its digest only if it can be compared.  That is not so while the digest
is not known, while something is stored that its clock does not cover (pushes that wait,
a delta under way, what was left behind by them), while what its floor forgets is not
gone yet, and in a turn that writes.

Two differences without agreement between them are an alarm.  After the first one the
node looks once more for what it should have forgotten.  Of two nodes the one with the
smaller ReplicaId begins to repair, and again after longer and longer pauses while that
does not help.

All this is forgotten in a crash, and found again.
"""

from dataclasses import dataclass
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import BeginRepair, Tell
from kvnode.core.node.turn import Turn
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.types import Millis, ReplicaId

ALARM_AFTER = 2
"""Differences without agreement between them."""

PAUSE_NONE = Millis(0)
PAUSE_MIN = Millis(10_000)
PAUSE_MAX = Millis(3_600_000)
"""Between two repairs with one peer: twice as long each time, up to an hour."""


@dataclass(slots=True)
class _Alarm:
    """That a peer holds other entries; when a repair may begin."""

    due_at: Millis
    pause: Millis = PAUSE_NONE
    repairs: int = 0

    def begin(self, now: Millis) -> bool:
        """Tell whether a repair is to begin now; note it if so."""
        if 0 < self.due_at - now <= self.pause:
            return False  # beyond that, the clock was set back
        self.pause = Millis(min(PAUSE_MAX, PAUSE_MIN << min(self.repairs, 16)))
        self.due_at = Millis(now + self.pause)
        self.repairs += 1
        return True


class _Looked(NamedTuple):
    """Whether something uncovered was stored, as of a clock and a digest."""

    clock: VersionVector
    digest: RollingDigest
    found: bool


class DigestWatch:
    """
    What comparisons with peers have shown since the node was started.

    Attributes:
        comparisons: How many digests of peers could be compared.
        differences: How many of them were different.
        incomparable: Why the own digest did not count when it was told last; empty if
            it did.
        view: Fingerprint of the view that it was told with.
        total: What was told; 0: none.
    """

    def __init__(self, own: ReplicaId, *, repairs: bool) -> None:
        """Make it for the node *own*; *repairs*: whether it begins to by itself."""
        self.comparisons = 0
        self.differences = 0
        self.incomparable = "it has not been compared yet"
        self.view = 0
        self.total = 0
        self._own = own
        self._repairs = repairs
        self._differing: dict[ReplicaId, int] = {}
        self._alarms: dict[ReplicaId, _Alarm] = {}
        self._looked: _Looked | None = None

    @property
    def alarms(self) -> tuple[ReplicaId, ...]:
        """Return the peers that are known to hold other entries, ascending."""
        return tuple(sorted(self._alarms))

    def word(self, turn: Turn, view: int, *, waiting: bool, settled: bool) -> int:
        """
        Return the digest to tell peers with a view of *turn*; 0: none just now.

        Args:
            turn: Now.
            view: Its fingerprint.
            waiting: Whether pushed batches wait for what they depend on.
            settled: Whether all is gone that the floor forgets.
        """
        self.view = view
        self.incomparable = self._reason(turn, waiting=waiting, settled=settled)
        # 0 says that there is none.
        self.total = 0 if self.incomparable else turn.digest.total or 1
        return self.total

    def _reason(self, turn: Turn, *, waiting: bool, settled: bool) -> str:
        if turn.filling is not None or turn.start_over is not None:
            return "it is being filled"
        if not turn.digest.known:
            return "its digest is not known until its store has been looked through"
        if waiting or turn.pending:
            return "writes are on their way to it"
        if not settled:
            return "it is letting go of what is forgotten"
        if turn.digest_change:
            return "it is being written to"
        uncovered = self._holds_uncovered(turn)
        return "it holds entries that it does not cover" if uncovered else ""

    def _holds_uncovered(self, turn: Turn) -> bool:
        """Tell whether something is stored that the clock does not cover."""
        looked = self._looked
        if (
            looked is not None
            and looked.digest == turn.digest
            and looked.clock == turn.clock
        ):
            return looked.found
        known = {*turn.clock.replicas(), *(m.replica for m in turn.roster)}
        found = any(
            True
            for replica in known
            for first, last in turn.clock.lacking(replica)
            for _ in turn.index(replica, first, last)
        )
        self._looked = _Looked(turn.clock, turn.digest, found)
        return found

    def compare(
        self, peer: ReplicaId, name: str, theirs: int, own: int, turn: Turn
    ) -> bool:
        """
        Take in the digest of a peer that has the same view.

        Args:
            peer: Whose it is.
            name: What people call it.
            theirs: What it told; 0: nothing.
            own: What `word` has returned for this turn.
            turn: Takes what is to be done.

        Returns:
            Whether this is the first difference: to be looked into.
        """
        if not theirs or not own:
            return False
        self.comparisons += 1
        if theirs == own:
            self._differing.pop(peer, None)
            if self._alarms.pop(peer, None) is not None:
                turn.effects.append(Tell(f"{name} and this node hold the same again"))
            return False
        self.differences += 1
        self._differing[peer] = self._differing.get(peer, 0) + 1
        if self._differing[peer] >= ALARM_AFTER:
            self._alarm(peer, name, turn)
        return self._differing[peer] == 1

    def _alarm(self, peer: ReplicaId, name: str, turn: Turn) -> None:
        alarm = self._alarms.get(peer)
        if alarm is None:
            alarm = self._alarms[peer] = _Alarm(turn.now)
            turn.effects.append(Tell(self._told(peer, name)))
        if self._repairs and self._own < peer and alarm.begin(turn.now):
            turn.effects.append(BeginRepair(peer))

    def _told(self, peer: ReplicaId, name: str) -> str:
        if not self._repairs:
            what = "run `kvnode repair` to find and mend what differs"
        elif self._own < peer:
            what = "looking for what differs, to mend it"
        else:
            what = f"{name} looks for what differs, to mend it"
        return (
            f"{name} and this node have seen the same writes and hold different"
            " entries, which only a bug or broken hardware can do (D9): " + what
        )

    def forget(self, peer: ReplicaId) -> None:
        """Forget a peer that is gone for good."""
        self._differing.pop(peer, None)
        self._alarms.pop(peer, None)
