"""
How far this node's wall clock is off, by the clocks of its peers (rule C1).

Every probe shows a peer's clock to within half its round trip.  The node's offset
is its distance to the median of all clocks heard, its own among them.  The median
of intervals is one, too: from the median of their lower ends to that of their
upper ends, whatever the truth within them.  So no slow road can make a node look
off that is not: it is `Off` only if the offset less its error is above the limit.

If most of the clocks heard are right, the median lies among right ones.  Nothing
less will do, and nothing more is asked: members that are not heard have no say.  Of
an even number of clocks it is all that lies between the two in the middle.  So two
clocks cannot outvote each other, nor can two pairs: neither side can tell which is
wrong, and to refuse at both would turn one wrong clock into an outage.  All go on,
and kvnode.core.membership.clock_alarms tells the operators of both.

A node's own jump shows in the same instant, without a new probe: what is known of
peers is kept against the steady clock (kvnode.core.clocks.clock_reading).

Once off, a node is in step again only after it was well within the limit for a
while, so that neither the border nor a flickering clock makes it flap.  If clocks
do not tell then, the last median that did counts, wider by drift: a node that is an
hour off does not become right by being cut off, but by having its clock set.
Silence alone never makes a node `Off`.

References:
    Mills, 1991.  Internet time synchronization: the Network Time Protocol.
    Marzullo & Owicki, 1983.  Maintaining the time in a distributed system.
    Lamport & Melliar-Smith, 1985.  Synchronizing clocks in the presence of faults.
"""

from bisect import insort
from dataclasses import dataclass
from typing import NamedTuple

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.membership.clock_filter import ClockFilter, Interval, Sample, drift
from kvnode.types import Millis, ReplicaId

CLOCKS_MIN = 3
"""Fewer cannot outvote one, this node's own included."""

PEERS_MAX = 1024
"""As many as a node dials (kvnode.core.node.address_book)."""

KEPT_MAX = Millis(2 * PEERS_MAX * 1000)
"""
How long a peer's clock is good for bounds of staleness, if not for verdicts.

In so long every member of the largest cluster is probed, one each second in shuffled
turns.  Whoever is set meanwhile costs a bound no more than the way of a report.
"""

RTT_MAX = Millis(2000)
"""
Slower probes are not looked at: no road is that long, something was stuck.

For as long after a step of our own clock none are, as they may have begun before.
"""

STEP_MIN = 20
"""
Our wall clock was set if it moves so many ms against the steady one at once.

Less may be a thread that was held up between reading the two.
"""

SAMPLE_ERROR = 2 + STEP_MIN // 2
"""
Of a sample, besides half of its round trip, in ms.

Readings are rounded down, the midpoint too: 2 ms.  A step too small to be noticed
may fall within the probe, and moves the midpoint by half.
"""

REFRESH = Millis(1000)
"""Error grows by 1 ms in so long: no need to add it up more often."""

LIFT_PERCENT = 80
"""Of the limit: who is off is in step again within that."""

LIFT_AFTER = Millis(5000)
"""So long: a clock that flickers is not in step each time that it passes by."""


@dataclass(frozen=True, slots=True)
class Offset:
    """A clock is *offset* ms ahead of another, give or take *error*; < 0 = behind."""

    offset: int
    error: int

    def surely_beyond(self, limit: int) -> bool:
        """Tell whether the two are more than *limit* ms apart at the least."""
        return abs(self.offset) - self.error > limit


@dataclass(frozen=True, slots=True)
class InStep:
    """Our clock is near the median of *clocks* clocks, itself included."""

    ahead: Offset
    clocks: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """
    Nobody can tell, from *clocks* clocks, our own included.

    They are fewer than CLOCKS_MIN, or there are as many on one side as on the other,
    or the roads are so slow that the error is above the limit.
    """

    clocks: int


@dataclass(frozen=True, slots=True)
class Off:
    """Our clock was off the median of *clocks* clocks; not in step again since."""

    ahead: Offset
    clocks: int


Verdict = InStep | Undecided | Off


class _Median(NamedTuple):
    """The median of *clocks* clocks, ahead of our steady clock; as of *at*."""

    interval: Interval
    clocks: int
    at: Millis


def _ahead(own: int, other: Interval) -> Offset:
    """Return how far a clock that is at *own* is ahead of *other*."""
    middle = (other.low + other.high) // 2
    return Offset(own - middle, max(other.high - middle, middle - other.low))


class ClockOffset:
    """
    What a node knows of its peers' clocks, and what follows for its own.

    One `ClockReading` comes with each call, in the order in which they were taken.
    """

    def __init__(self, *, offset_max: Millis) -> None:
        """Fence at more than *offset_max* ms (`clock_offset_max_ms`), > 0."""
        assert offset_max > 0, "some offset is always there"
        self._offset_max = offset_max
        self._filters: dict[ReplicaId, ClockFilter] = {}
        self._intervals: dict[ReplicaId, Interval] = {}  # of peers that are heard
        self._lows: list[int] = []  # of these, ascending
        self._highs: list[int] = []
        self._refresh_due = Millis(0)
        self._last: ClockReading | None = None
        self._blind_until: Millis | None = None  # by the steady clock
        self._known: _Median | None = None  # the last that was good for something
        self._off = False
        self._inside_since: Millis | None = None

    def measured(
        self, peer: ReplicaId, *, rtt: Millis, offset: Millis, at: ClockReading
    ) -> None:
        """
        Take in a probe that *peer* itself has answered.

        Args:
            peer: Whose clock was read.
            rtt: Between question and answer by our clock, in ms.
            offset: Its clock less ours in the middle between them, in ms.
            at: When the answer came.
        """
        self._look_at_own(at)
        blind = self._blind_until is not None and at.steady < self._blind_until
        if blind or not 0 <= rtt <= RTT_MAX:
            return
        if peer not in self._filters and len(self._filters) >= PEERS_MAX:
            self._drop(min(self._filters, key=self._heard_at))
        middle = offset + at.apart
        interval = Interval(middle, middle).wider(-(-rtt // 2) + SAMPLE_ERROR)
        samples = self._filters.setdefault(peer, ClockFilter())
        samples.add(Sample(interval, at.steady, rtt))
        self._place(peer, at.steady)
        self._sort()

    def _heard_at(self, peer: ReplicaId) -> tuple[Millis, ReplicaId]:
        return self._filters[peer].heard_at, peer

    def forget(self, peer: ReplicaId, at: ClockReading) -> None:
        """Drop what is known of *peer*: it is no member any more."""
        self._look_at_own(at)
        if peer in self._filters:
            self._drop(peer)
            self._sort()

    def judge(self, at: ClockReading) -> Verdict:
        """Return what is to be thought of our clock at *at*; O(members heard)."""
        self._look_at_own(at)
        if at.steady >= self._refresh_due:
            self._refresh(at.steady)
        own, limit = at.apart, self._offset_max
        median = self._median(at)
        fresh = _ahead(own, median.interval) if median is not None else None
        telling = fresh is not None and (
            fresh.error <= limit or fresh.surely_beyond(limit)
        )
        if fresh is not None and telling:
            self._known = median
            self._off = self._off or fresh.surely_beyond(limit)
        if self._off:
            assert self._known is not None, "a median showed that we are off"
            age = at.steady - self._known.at
            known = _ahead(own, self._known.interval)
            self._lift(abs(known.offset) - drift(age), at.steady)
            if self._off:
                error = known.error + drift(age)
                return Off(Offset(known.offset, error), self._known.clocks)
        clocks = 1 + len(self._lows)
        return InStep(fresh, clocks) if fresh and telling else Undecided(clocks)

    def of_peer(self, peer: ReplicaId, at: ClockReading) -> Offset | None:
        """Return how far a peer's clock is ahead of ours; None = unknown."""
        self._look_at_own(at)
        samples = self._filters.get(peer)
        known = samples.best(at.steady) if samples is not None else None
        if known is None:
            return None
        ours = _ahead(at.apart, known)
        return Offset(-ours.offset, ours.error)

    def rtt(self, peer: ReplicaId) -> Millis | None:
        """Return the round trip to *peer* without waits, in ms; None = unknown."""
        samples = self._filters.get(peer)
        return samples.rtt if samples is not None else None

    def sent_at(
        self, peer: ReplicaId, shown: Millis, at: ClockReading
    ) -> Millis | None:
        """
        Return when *peer* sent, at the earliest, what its clock dated *shown*.

        Args:
            peer: Who sent it.
            shown: By its wall clock.
            at: When it came.

        Returns:
            By our steady clock, not after *at*, so that it bounds from below up to
            when all the peer had written is known (S3).  None if its clock is
            unknown, or must have been set since it was last measured.
        """
        self._look_at_own(at)
        samples = self._filters.get(peer)
        known = samples.best(at.steady, KEPT_MAX) if samples is not None else None
        if known is None:
            return None
        earliest = shown - known.high
        return Millis(earliest) if earliest <= at.steady else None

    def _look_at_own(self, at: ClockReading) -> None:
        """Notice whether our own clock was set since the last reading."""
        last, self._last = self._last, at
        if last is not None and abs(at.apart - last.apart) > STEP_MIN:
            self._blind_until = Millis(at.steady + RTT_MAX)

    def _refresh(self, steady: Millis) -> None:
        """Look anew where all clocks are, and drop those not heard for long."""
        for peer in tuple(self._filters):
            self._place(peer, steady)
        self._sort()
        self._refresh_due = Millis(steady + REFRESH)

    def _place(self, peer: ReplicaId, steady: Millis) -> None:
        """Look anew where the clock of *peer* is, until the next refresh."""
        best = self._filters[peer].best(steady)
        if best is not None:
            self._intervals[peer] = best.wider(drift(REFRESH))
        elif steady - self._filters[peer].heard_at <= KEPT_MAX:
            self._intervals.pop(peer, None)
        else:
            self._drop(peer)

    def _drop(self, peer: ReplicaId) -> None:
        del self._filters[peer]
        self._intervals.pop(peer, None)

    def _sort(self) -> None:
        self._lows = sorted(each.low for each in self._intervals.values())
        self._highs = sorted(each.high for each in self._intervals.values())

    def _median(self, at: ClockReading) -> _Median | None:
        """
        Return the median of all clocks heard, ours too; None if they are too few.

        Of an even number it reaches from the one in the middle to the other.
        """
        clocks = 1 + len(self._lows)
        if clocks < CLOCKS_MIN:
            return None
        lows, highs = list(self._lows), list(self._highs)
        insort(lows, at.apart)
        insort(highs, at.apart)
        interval = Interval(lows[(clocks - 1) // 2], highs[clocks // 2])
        return _Median(interval, clocks, at.steady)

    def _lift(self, apart: int, steady: Millis) -> None:
        """Note that we are *apart* ms off at the least; enough of it ends `Off`."""
        if apart * 100 > self._offset_max * LIFT_PERCENT:
            self._inside_since = None
        elif self._inside_since is None:
            self._inside_since = steady
        elif steady - self._inside_since >= LIFT_AFTER:
            self._off, self._inside_since = False, None


def agreed_time(verdict: Verdict, now: Millis) -> Millis:
    """Return the time by the median if our clock, at *now*, is off; else *now*."""
    return Millis(now - verdict.ahead.offset) if isinstance(verdict, Off) else now


def refusal(verdict: Off, offset_max: Millis) -> str:
    """Return what a client is told whose write is refused for *verdict*."""
    offset, error = verdict.ahead.offset, verdict.ahead.error
    side = "ahead of" if offset > 0 else "behind"
    if not verdict.ahead.surely_beyond(offset_max):
        return (
            f"this node's clock was more than {offset_max} ms off and is not known to"
            f" be right for long enough: it was last seen {abs(offset)} ms {side} the"
            f" median of {verdict.clocks} clocks, give or take {error} ms. Wait, or"
            " write to another node; reads and replication go on"
        )
    return (
        f"this node's clock is {abs(offset)} ms {side} the median of"
        f" {verdict.clocks} clocks, its own and {verdict.clocks - 1} peers', give or"
        f" take {error} ms; {offset_max} ms are allowed (clock_offset_max_ms), since"
        " what it writes would win or lose against other writes by that. Set its clock"
        " right (does a time daemon run?), or write to another node; reads and"
        " replication go on, and writing resumes by itself"
    )
