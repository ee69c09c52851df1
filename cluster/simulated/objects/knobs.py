"""What a run may choose of hosts of shards: their number, leases, and tiny logs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final
from unittest.mock import patch

from cluster.simulated.objects import node
from kvnode.core.objects.settings import SETTINGS_DEFAULT
from kvnode.runtime.objects import objects
from kvnode.runtime.shards.state import compaction, snapshot_sender
from kvnode.types import Millis

SHARDS: Final = 4
"""Fewer than a real node has: each costs heartbeats, and four keys meet many."""

_SMALL_LOGS: Final = (
    (compaction, {"KEPT_ENTRIES": 10, "CHECKPOINT_ENTRIES": 20, "STEP_ENTRIES": 5}),
    (snapshot_sender, {"SNAPSHOT_PAGE_BYTES_MAX": 300, "CATCH_UP_SECONDS": 1.0}),
)


@contextmanager
def chosen(*, has_small_logs: bool, has_leases: bool) -> Iterator[None]:
    """
    Let nodes be so while entered.

    Args:
        has_small_logs: Logs are short, messages hold few entries, and snapshots have
            many pages.
        has_leases: Reads may rest on leases; else each is confirmed by messages.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(objects, "SHARDS", SHARDS))
        settings = SETTINGS_DEFAULT
        if not has_leases:
            settings = replace(settings, lease=Millis(0))
        if has_small_logs:
            settings = replace(settings, entries_max=1)
        stack.enter_context(patch.object(node, "SHARD_SETTINGS", settings))
        for module, limits in _SMALL_LOGS if has_small_logs else ():
            for name, limit in limits.items():
                stack.enter_context(patch.object(module, name, limit))
        yield
