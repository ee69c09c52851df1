"""
Looking through the store, now and then: whether it is what was written to it (D9).

A scan settles a digest that is not known: after a crash in relaxed mode, after a
damaged record was replaced, in a store of an older version.  Where the digest is known
a scan that finds another one shows that the store itself is wrong: a disk or memory
that changes what it holds, or a bug.  Then the digest is corrected, so that peers see
the difference and a repair begins, in which this node's contents count less; and
whoever runs the node is told.  Records that cannot be read are pulled again at once.

It is never urgent, so it leaves three quarters of the time to others.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

from kvnode.core.replication.self_check import self_check
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.store_view import DurableState
from kvnode.errors import CorruptRecordError
from kvnode.runtime.steps import finish
from kvnode.storage.port import Store
from kvnode.types import EntryKey

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How soon it is noticed that a digest is not known, or a scan due."""

STEP_PAUSE_SECONDS = 0.01
"""After each step of about 3 ms: a million entries take a minute."""

AGAIN_SECONDS_MIN = 6.0
AGAIN_SECONDS_MAX = 600.0
"""From a scan that settled nothing to the next: first as long as healing takes."""

TOLD_MAX = 1000
"""Damaged keys of one scan that are pulled; the next finds the others."""

Uniform = Callable[[float, float], float]


class CheckedNode(Protocol):
    """What the check asks of its node."""

    @property
    def committed_state(self) -> DurableState:
        """The state as of the last commit."""

    def damaged(self, key: EntryKey) -> None:
        """Note that the record of *key* is damaged: it is pulled from a peer."""


class SelfCheck:
    """Scans of one node's store."""

    def __init__(
        self,
        store: Store,
        node: CheckedNode,
        *,
        interval_ms: int,
        uniform: Uniform,
        on_checked: Callable[[int, RollingDigest], object],
    ) -> None:
        """
        Make it idle.

        Args:
            store: What is looked through.
            node: Whose it is.
            interval_ms: From scan to scan, in ms; 0: only when a digest is not known.
            uniform: Draws how long to wait.
            on_checked: Takes what each scan has found, and the digest in the state of
                its snapshot.
        """
        self._store = store
        self._node = node
        self._interval_seconds = interval_ms / 1000 or math.inf
        self._uniform = uniform
        self._on_checked = on_checked
        self._again_seconds = AGAIN_SECONDS_MIN

    async def run(self) -> None:
        """Scan whenever it is due; never ends."""
        now = asyncio.get_running_loop().time
        due = self._next(now(), 0)
        not_before = 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            state = self._node.committed_state
            if state.filling is not None or now() < not_before:
                continue
            if state.digest.known and now() < due:
                continue
            if await self.check():
                due = self._next(now(), self._interval_seconds / 2)
                self._again_seconds = AGAIN_SECONDS_MIN
                not_before = now() + LOOK_SECONDS  # until what was found is committed
            else:
                not_before = now() + self._again_seconds
                self._again_seconds = min(AGAIN_SECONDS_MAX, 2 * self._again_seconds)

    def _next(self, now: float, least: float) -> float:
        """Return when the next scan is due: nodes of a cluster are not in step."""
        if self._interval_seconds == math.inf:
            return math.inf
        return now + self._uniform(least, self._interval_seconds)

    async def check(self) -> bool:
        """Scan the store once; tell whether all of it could be read."""
        try:
            with self._store.snapshot() as view:
                then = view.state().digest
                steps = self_check(view)
                found = await finish(steps, pause_seconds=STEP_PAUSE_SECONDS)
        except CorruptRecordError:
            logger.exception("the store cannot be looked through")
            return False
        for key in found.damaged[:TOLD_MAX]:
            self._node.damaged(key)
        if found.damaged:
            logger.warning("%d records cannot be read", len(found.damaged))
            return False
        self._on_checked(found.total, then)
        return True
