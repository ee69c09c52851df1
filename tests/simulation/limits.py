"""Limits so small that a run of a hundred steps meets all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kvnode.core.node import pushes
from kvnode.core.replication import coverage, delta, fetch, messages

INLINE_VALUE_BYTES = 64
CHUNK_BYTES = 32
WINDOW_CHUNKS = 2


@contextmanager
def small_limits() -> Iterator[None]:
    """Make pages, pushes, chunks and queues tiny while entered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "INLINE_VALUE_BYTES_MAX", INLINE_VALUE_BYTES)
        patch.setattr(fetch, "CHUNK_BYTES", CHUNK_BYTES)
        patch.setattr(fetch, "FETCH_WINDOW_CHUNKS", WINDOW_CHUNKS)
        patch.setattr(fetch, "FETCHES_MAX", 2)
        patch.setattr(delta, "PAGE_ENTRIES_MAX", 1)
        patch.setattr(pushes, "PUSH_ENTRIES_MAX", 2)
        patch.setattr(coverage, "WAITING_BATCHES_MAX", 6)
        yield
