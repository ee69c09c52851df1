"""
Introduction: a replica that has just begun first hears what there is.

A data directory that is new, wiped or restored from a backup does not know what the
cluster has forgotten since.  What its clients write in the moments before it meets the
first peer may turn out to be from before the floor: then it can only be put aside
(rule G2b), and what clients read is older than what they have seen.  So such a replica
serves nobody until it has met a peer, which takes a few round trips.

It does not wait for long: a node that is cut off from all others serves its clients
all the same, as always.
"""

import asyncio

PATIENCE_SECONDS = 5.0
"""Dialing takes three round trips, and one that fails is repeated after a second."""


class Introduction:
    """Whether a replica has met anybody yet, or has given up waiting for it."""

    def __init__(self) -> None:
        """Begin with nothing to wait for."""
        self._until: float | None = None

    def begin(self) -> None:
        """Wait for a peer from now on."""
        self._until = asyncio.get_running_loop().time() + PATIENCE_SECONDS

    def met(self) -> None:
        """Note that a peer has been met: what it says has been taken in."""
        self._until = None

    @property
    def awaited(self) -> bool:
        """Tell whether the first peer is still waited for."""
        if self._until is not None and asyncio.get_running_loop().time() > self._until:
            self._until = None
        return self._until is not None
