"""
Limits so small that a run of a few hundred operations meets all of them.

The limits of replication are made for millions of entries; a simulated run has
dozens.  With these a delta has many pages, a push few entries, and a value of a
hundred bytes is a large one that is announced and pulled (rules D2, D4, D6).

Reference:
    Zhou et al., 2021.  FoundationDB: section 4.1, tuning parameters that a
        simulation chooses.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from kvnode.core.node import pushes
from kvnode.core.replication import coverage, delta, fetch, messages

INLINE_VALUE_BYTES = 64


@contextmanager
def small_limits() -> Iterator[None]:
    """Make pages, pushes, chunks and queues tiny while entered."""
    with ExitStack() as stack:
        for module, limits in (
            (messages, {"INLINE_VALUE_BYTES_MAX": INLINE_VALUE_BYTES}),
            (fetch, {"CHUNK_BYTES": 32, "FETCH_WINDOW_CHUNKS": 2, "FETCHES_MAX": 2}),
            (delta, {"PAGE_ENTRIES_MAX": 1}),
            (pushes, {"PUSH_ENTRIES_MAX": 2}),
            (coverage, {"WAITING_BATCHES_MAX": 6}),
        ):
            for name, limit in limits.items():
                stack.enter_context(patch.object(module, name, limit))
        yield
