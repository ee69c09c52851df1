"""
One instant by two clocks: the wall's, which may be set, and one that may not.

The wall clock says what time it is, and may jump when an operator or a time
daemon sets it.  The steady clock counts from some start of its own, is never set,
and says how long things took.  How far the two are apart moves only when the wall
clock is set or slewed, so that a node notices its own jump by reading both.

Reference:
    POSIX: CLOCK_REALTIME and CLOCK_MONOTONIC.  Linux's CLOCK_BOOTTIME also counts
        while the machine is suspended, as the clocks of its peers do.
"""

from typing import NamedTuple

from kvnode.types import Millis


class ClockReading(NamedTuple):
    """Both clocks, read one right after the other, in whole ms rounded down."""

    wall: Millis  # since 1970
    steady: Millis  # since an unknown start; never goes back while the node runs

    @property
    def apart(self) -> int:
        """Return how far the wall clock is ahead of the steady one, in ms."""
        return self.wall - self.steady
