"""
The clock of one peer, and the road to it, as far as probes have shown them.

A probe says that the peer's clock was within

    offset - rtt/2 .. offset + rtt/2

of ours: whatever the road did, the reply was made between question and answer.
Of the last few probes the one with the least error counts; error grows with age,
as clocks drift.

Samples are kept against our *steady* clock, so that they stay true when our wall
clock is set.  When the peer's is, the next sample contradicts the older ones:
intervals that do not meet cannot both be true of the same two clocks.  Then the
older ones go.

References:
    Mills, 1991.  Internet time synchronization: the Network Time Protocol: the
        clock filter, eight stages, least delay first.
    Mills et al., 2010.  RFC 5905, section 10: error grows with age (dispersion).
    Marzullo & Owicki, 1983.  Maintaining the time in a distributed system:
        clocks as intervals.
"""

from collections import deque
from typing import NamedTuple

from kvnode.types import Millis

WINDOW = 8
"""Samples kept of a peer, as NTP keeps."""

AGE_MAX = Millis(60_000)
"""
Samples older than that say nothing about a peer: it may have been set right.

Sixty members are heard of meanwhile if one is probed each second, which is enough
for a median in a cluster of any size.
"""

DRIFT_PPM = 1000
"""Two clocks, slewed apart by 500 ppm each: the most that NTP does."""

MILLION = 1_000_000


class Interval(NamedTuple):
    """Where a peer's wall clock is, ahead of our steady clock, in ms; closed."""

    low: int
    high: int

    def meets(self, other: "Interval") -> bool:
        """Tell whether both can be true."""
        return self.low <= other.high and other.low <= self.high

    def wider(self, error: int) -> "Interval":
        """Return the interval with *error* ms more on either side."""
        return Interval(self.low - error, self.high + error)


class Sample(NamedTuple):
    """What one probe has shown in a round trip of *rtt*; *at* by our steady clock."""

    interval: Interval
    at: Millis
    rtt: Millis


def drift(age: int) -> int:
    """Return how far two clocks may have drifted apart in *age* ms, rounded up."""
    return -(-max(0, age) * DRIFT_PPM // MILLION)


class ClockFilter:
    """The last few samples of one peer that do not contradict its newest."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=WINDOW)

    @property
    def rtt(self) -> Millis:
        """Return the shortest of the round trips kept: what the road takes, in ms."""
        return min(each.rtt for each in self._samples)

    @property
    def heard_at(self) -> Millis:
        """Return when the newest sample was taken; there must be one."""
        return self._samples[-1].at

    def add(self, sample: Sample) -> None:
        """Take in the newest sample, and drop what it refutes."""
        kept = [
            each
            for each in self._samples
            if self._aged(each, sample.at).meets(sample.interval)
        ]
        self._samples = deque([*kept, sample], maxlen=WINDOW)

    def best(self, steady: Millis, age_max: Millis = AGE_MAX) -> Interval | None:
        """Return where the peer's clock is now at the least error; None = unknown."""
        fresh = [each for each in self._samples if steady - each.at <= age_max]
        if not fresh:
            return None

        def width(sample: Sample) -> int:
            low, high = sample.interval
            return high - low + 2 * drift(steady - sample.at)

        return self._aged(min(fresh, key=width), steady)

    @staticmethod
    def _aged(sample: Sample, steady: Millis) -> Interval:
        return sample.interval.wider(drift(steady - sample.at))
