"""
Sweeping conflict logs: what is too old to show leaves the store (rule R4).

A key's log is cleaned when the key meets a new conflict, but most keys never do, and a
deleted one would keep its losers for ever.  So a task walks over all logs, a bounded
number a minute, and has the node drop what is older than a day.

Reference:
    docs/decisions/0010-conflict-logs-need-not-agree.md
"""

import asyncio
import logging

from kvnode.core.node.events import StaleConflicts
from kvnode.core.replication.entry_scan import Steps
from kvnode.core.versions.conflict_log import fresh
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import CorruptRecordError, DamagedRecordError
from kvnode.runtime.driver import Driver
from kvnode.runtime.steps import finish
from kvnode.types import EntryKey, Millis, Namespace

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0

LOGS_PER_SWEEP = 500
"""About 30,000 an hour: a store with a million of them is swept in a day and a half."""

KEYS_PER_EVENT = 100
"""Each log is read again in the turn that cleans it: about 5 ms."""

LOGS_PER_STEP = 50
"""Looked at between two turns of the event loop: about 2 ms."""


class ConflictSweep:
    """Where the walk over all conflict logs is."""

    def __init__(self) -> None:
        """Begin at the first key."""
        self._after: EntryKey | None = None

    def stale(self, view: StoreView, now: Millis) -> Steps[tuple[EntryKey, ...]]:
        """
        Look at the next LOGS_PER_SWEEP logs; return the keys of those to clean.

        After the last key the walk begins again at the first, with the next call.
        """
        stale: list[EntryKey] = []
        looked_at = 0
        for namespace in sorted(view.namespaces()):
            if self._after is not None and namespace < self._after.namespace:
                continue
            while True:
                start = self._start(namespace)
                try:
                    for name, log in view.scan_conflicts(namespace, start=start):
                        self._after = EntryKey(namespace, name)
                        if fresh(log, now) != log:
                            stale.append(self._after)
                        looked_at += 1
                        if looked_at == LOGS_PER_SWEEP:
                            return tuple(stale)
                        if looked_at % LOGS_PER_STEP == 0:
                            yield
                except DamagedRecordError as error:
                    self._after = error.key
                    stale.append(error.key)
                    looked_at += 1
                else:
                    break
        self._after = None
        return tuple(stale)

    def _start(self, namespace: Namespace) -> bytes:
        after = self._after
        if after is None or after.namespace != namespace:
            return b""
        return after.key + b"\0"


async def sweep_forever(driver: Driver) -> None:
    """Sweep a few logs every minute, until cancelled."""
    sweep = ConflictSweep()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            with driver.snapshot() as view:
                keys = await finish(sweep.stale(view, driver.now()))
        except CorruptRecordError as error:
            logger.warning("cannot sweep conflict logs: %s", error)
            continue
        for first in range(0, len(keys), KEYS_PER_EVENT):
            driver.tell(StaleConflicts(keys[first : first + KEYS_PER_EVENT]))
