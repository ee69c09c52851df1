"""
True time in a simulation, from which each node's wall clock may differ.

How a clock is wrong is the node's own `NodeClock`, the same one that operators
bend on a real node.
"""

from collections.abc import Callable

from kvnode.types import Millis

EPOCH_MILLIS = 1_700_000_000_000
"""True time when a simulation begins: November 2023."""


def true_time(loop_time: Callable[[], float]) -> Callable[[], Millis]:
    """Return the clock that is right, over *loop_time* in seconds."""

    def now() -> Millis:
        return Millis(EPOCH_MILLIS + int(loop_time() * 1000))

    return now
