"""
The fence of a node whose clock is wrong, and what wrong clocks did before it.

What a node stamps ahead of time wins over later writes of others, and what it stamps
behind loses to earlier ones.  So a node that knows its wall clock to be off takes no
client writes; reads and replication go on (rule C1).  Entries that were stamped ahead
all the same, here or elsewhere, are listed for operators (rule C2).

The verdict is worked out anew only when it may be another one: after a probe was
measured, when the wall clock has moved against the steady one, and once a second.

References:
    Mills, 1991.  Internet time synchronization: the Network Time Protocol.
    docs/decisions/0014-clocks-are-judged-by-the-median.md
"""

from collections.abc import Callable, Iterable

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.hybrid_logical_clock import millis_of, restrain
from kvnode.core.membership.clock_alarms import ClockAlarms
from kvnode.core.membership.clock_offset import (
    REFRESH,
    ClockOffset,
    InStep,
    Off,
    Offset,
    Undecided,
    Verdict,
    agreed_time,
    refusal,
)
from kvnode.core.membership.events import Measured
from kvnode.core.membership.quarantine import Quarantine
from kvnode.core.node.turn import Turn
from kvnode.core.versions.store_view import Write
from kvnode.types import Millis, ReplicaId

JITTER = 1
"""So many ms the two clocks seem to move against each other by being rounded down."""


class ClockFence:
    """
    What a node thinks of its own clock and of its peers'.

    One reading comes with each turn, by `judge`; all else is as of the last one.

    Attributes:
        verdict: What is thought of our clock.
        quarantine: The keys that hold versions from the future.
    """

    def __init__(self, offset_max: Millis, name_of: Callable[[ReplicaId], str]) -> None:
        """Fence at more than *offset_max* ms; speak of peers by *name_of*."""
        self.verdict: Verdict = Undecided(1)
        self.quarantine = Quarantine(ahead_max=offset_max)
        self._offset_max = offset_max
        self._name_of = name_of
        self._offsets = ClockOffset(offset_max=offset_max)
        self._alarms = ClockAlarms(offset_max=offset_max, name_of=name_of)
        self._at = ClockReading(Millis(0), Millis(0))
        self._off_by = 0
        self._apart = 0  # of the two clocks, when the verdict was worked out
        self._due: Millis | None = None  # by the steady clock; None = at once

    def judge(self, at: ClockReading) -> None:
        """Look at our own clock: before anything of a turn is stamped by it."""
        self._at = at
        wall, steady = at
        if (
            self._due is None
            or steady >= self._due
            or abs(wall - steady - self._apart) > JITTER
        ):
            self._apart, self._due = at.apart, Millis(steady + REFRESH)
            self.verdict = self._offsets.judge(at)
            self._off_by = at.wall - agreed_time(self.verdict, at.wall)

    def measured(self, probe: Measured) -> None:
        """Take in a probe; it counts from the next turn on."""
        self._offsets.measured(
            probe.peer, rtt=probe.rtt, offset=probe.offset, at=self._at
        )
        self._due = None

    def forget(self, peer: ReplicaId) -> None:
        """Drop what is known of the clock of *peer*: it is no member any more."""
        self._offsets.forget(peer, self._at)
        self._due = None

    # -- what follows from it -------------------------------------------------

    def agreed_time(self) -> Millis:
        """Return the time by the median if our clock is off; else by our clock."""
        return Millis(self._at.wall - self._off_by)

    def refusal(self) -> str:
        """Return why client writes are refused; empty if they are not (C1)."""
        verdict = self.verdict
        return refusal(verdict, self._offset_max) if isinstance(verdict, Off) else ""

    def restrain(self, turn: Turn) -> None:
        """
        Bring the hybrid clock back to the time, if our clock is known to be right.

        Not below the floor: what is written must stay above all that is forgotten.
        """
        is_ahead = millis_of(turn.hlc) >= turn.now + self._offset_max
        if is_ahead and isinstance(self.verdict, InStep):
            held = restrain(turn.hlc, now=turn.now, ahead_max=self._offset_max)
            turn.hlc = max(held, turn.floor.hlc)

    def of_peer(self, peer: ReplicaId) -> Offset | None:
        """Return how far a peer's clock is ahead of ours; None = unknown."""
        return self._offsets.of_peer(peer, self._at)

    def rtt(self, peer: ReplicaId) -> Millis | None:
        """Return the round trip to *peer* without waits, in ms; None = unknown."""
        return self._offsets.rtt(peer)

    def sent_at(self, peer: ReplicaId, shown: Millis, *, probed: bool) -> Millis | None:
        """
        Return when *peer* sent, at the earliest, what has come and is dated *shown*.

        Args:
            peer: Who sent it.
            shown: By its wall clock.
            probed: False if it answers no probes (protocol 1).  Then its clock is
                taken to be as right as it may be, by the same limit as ours: that is
                all there is to go by while nodes are being upgraded.

        Returns:
            By our steady clock; None if that is not known (S3).
        """
        if probed:
            return self._offsets.sent_at(peer, shown, self._at)
        since = self.agreed_time() - shown + self._offset_max
        return Millis(self._at.steady - since) if since >= 0 else None

    def stored(self, writes: Iterable[Write], now: Millis) -> None:
        """Note what a turn of agreed time *now* has made durable (C2)."""
        some = len(self.quarantine) > 0
        for key, entry, _ in writes:
            version = entry.version if entry is not None else None
            if some or (version is not None and millis_of(version.hlc) > now):
                self.quarantine.stored(key, version, now)

    def tick(self, members: Iterable[ReplicaId]) -> list[str]:
        """Return what operators are to be told now; *members* are the others."""
        verdict = self.verdict
        told = self._alarms.changes(verdict, members, self._offsets, self._at)
        now = self.agreed_time()
        return [*told, *self.quarantine.advance(now, verdict, self._name_of)]
