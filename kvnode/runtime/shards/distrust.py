"""Saying that a peer sends what no correct peer sends, and not saying it too often."""

import logging
from typing import Final

from kvnode.types import Millis, ReplicaId

logger = logging.getLogger(__name__)

SILENCE: Final = Millis(60_000)
"""Between two warnings of one peer; one a minute is noticed, and fills no disk."""

PEERS_MAX: Final = 1000
"""Whose warnings are remembered; more than a shard's nodes in all regions."""


class Distrust:
    """Who has broken the protocol, and when it was last told."""

    def __init__(self) -> None:
        self._told_at: dict[ReplicaId, Millis] = {}
        self._untold: dict[ReplicaId, int] = {}

    def note(self, peer: ReplicaId, shard: str, reason: str, now: Millis) -> None:
        """Note that a message of *peer* was dropped, and warn of it if it is time."""
        told_at = self._told_at.get(peer)
        if told_at is not None and now - told_at < SILENCE:
            self._untold[peer] = self._untold.get(peer, 0) + 1
            return
        if len(self._told_at) >= PEERS_MAX:
            self._told_at.clear()
            self._untold.clear()
        self._told_at[peer] = now
        logger.warning(
            "a message of replica %016x for shard %s was dropped, and %d before it: %s",
            peer,
            shard,
            self._untold.pop(peer, 0),
            reason,
        )
