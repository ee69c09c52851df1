"""
The clocks of a node: the wall's, which tests may put wrong, and a steady one.

What a node takes for the time is true time as bent last:

    now = true + offset + drift * (true - when it was bent)

A node that was not started with `fault_injection` never bends it, and its clock
is the machine's.  Only wall time is bent: how long a node waits is measured by
the event loop, which no operator can set either, and what its peers' clocks say is
kept by the steady clock (kvnode.core.clocks.clock_reading).

References:
    Kingsbury, 2013-.  Jepsen: clock skew, jumps and strobes.
    Linux, clock_gettime(2): CLOCK_BOOTTIME.
"""

import time
from collections.abc import Callable
from typing import Protocol

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.limits import CLOCK_BEND_MILLIS_MAX, CLOCK_BEND_PPM_MAX
from kvnode.types import Millis

MILLION = 1_000_000

_STEADY_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine is suspended, too, where there is such a clock."""


def steady_millis() -> Millis:
    """Return the machine's steady clock: milliseconds since it was started."""
    return Millis(time.clock_gettime_ns(_STEADY_CLOCK) // MILLION)


class Clock(Protocol):
    """The clocks of a node, as the parts of it see them."""

    def __call__(self) -> Millis:
        """Return milliseconds since 1970, as the node believes."""
        ...

    def read(self) -> ClockReading:
        """Return the same, and the steady clock at the same instant."""
        ...


class NodeClock:
    """Milliseconds since 1970 as one node sees them, never below 0."""

    def __init__(
        self,
        true_time: Callable[[], Millis],
        steady_time: Callable[[], Millis] = steady_millis,
    ) -> None:
        """Make a clock that shows *true_time* until it is bent."""
        self._true_time = true_time
        self._steady_time = steady_time
        self._offset_ms = 0
        self._drift_ppm = 0
        self._bent_at = true_time()

    def __call__(self) -> Millis:
        """Return the time by this clock."""
        true = self._true_time()
        gained = (true - self._bent_at) * self._drift_ppm // MILLION
        return Millis(max(0, true + self._offset_ms + gained))

    def read(self) -> ClockReading:
        """Return the time by this clock and by the steady one, which is never bent."""
        return ClockReading(self(), self._steady_time())

    def bend(self, *, offset_ms: int, drift_ppm: int) -> None:
        """
        Be *offset_ms* ahead of true time, and gain *drift_ppm*, from now on.

        What was gained before is forgotten; 0 and 0 make the clock right.

        Args:
            offset_ms: At most ten years either way; negative = behind.
            drift_ppm: Microseconds gained each second, -1,000,000 (the clock
                stands still) to 1,000,000 (it goes twice as fast).

        Raises:
            ValueError: One of them is out of range.
        """
        if abs(offset_ms) > CLOCK_BEND_MILLIS_MAX:
            msg = (
                f"offset_ms is {offset_ms}: it must be within"
                f" {CLOCK_BEND_MILLIS_MAX} either way"
            )
            raise ValueError(msg)
        if abs(drift_ppm) > CLOCK_BEND_PPM_MAX:
            msg = (
                f"drift_ppm is {drift_ppm}: it must be within"
                f" {CLOCK_BEND_PPM_MAX} either way"
            )
            raise ValueError(msg)
        self._bent_at = self._true_time()
        self._offset_ms, self._drift_ppm = offset_ms, drift_ppm
