"""
Handing over: what a node has told its clients is elsewhere before it stops.

A machine that is taken away after an orderly stop takes its disk along.  So a node that
is told to stop takes no more writes, and waits until those that it took are durable at
whom it pushed them to (rule D5), for a while: a peer that does not answer must not keep
it from stopping.  Nothing depends on it: what is left goes on from here, or is found by
comparing clocks, when the node comes back.
"""

from kvnode.runtime.driver import Driver
from kvnode.runtime.looking import looked_for

STOPPING = "this node is stopping; ask another node"

HAND_OVER_SECONDS_MAX = 2.0
"""Several trips round the world, and a slow disk."""

LOOK_SECONDS = 0.02


async def hand_over(driver: Driver, patience_s: float = HAND_OVER_SECONDS_MAX) -> bool:
    """
    Refuse writes from now on, and wait until those taken are elsewhere.

    Returns:
        Whether they are, as far as peers are connected.
    """
    driver.refuse_writes(STOPPING)
    await looked_for(
        lambda: driver.failed is not None or _is_elsewhere(driver),
        seconds_max=patience_s,
        look_seconds=LOOK_SECONDS,
    )
    return _is_elsewhere(driver)


def _is_elsewhere(driver: Driver) -> bool:
    in_flight = any(peer.outbox.size_bytes for peer in driver.peers().values())
    return not in_flight and not driver.unanswered
