"""What MemoryStore can do beside the contract: crash, fail and be full."""

import pytest

from kvnode.core.versions.store_view import Commit
from kvnode.errors import StoreFullError
from kvnode.storage.durability import Durability
from kvnode.storage.memory_store import MemoryStore
from tests.storage.stores import OWN, at, covering, put, register


async def test_crash_in_fsync_mode_loses_nothing() -> None:
    """`apply` returned, so it is on disk."""
    store = MemoryStore(OWN)
    await store.apply(put(b"k", 1))

    store.crash()

    assert store.state() == covering(1)
    assert not store.unclean
    with store.snapshot() as view:
        assert view.entry(at(b"k")) == register(1)


async def test_crash_in_relaxed_mode_loses_what_was_not_synced() -> None:
    """Entry, index and state go back together."""
    store = MemoryStore(OWN, durability=Durability.RELAXED)
    await store.apply(put(b"k", 1))
    await store.sync()
    await store.apply(put(b"k", 2, over=register(1)))
    await store.apply(put(b"l", 3))

    store.crash()

    assert store.state() == covering(1)
    assert store.unclean
    assert store.usage().entry_count == 1
    with store.snapshot() as view:
        assert view.entry(at(b"k")) == register(1)
        assert [dot.seq for dot, _ in view.index(OWN, 1, None)] == [1]


async def test_crash_without_any_sync_leaves_an_empty_store() -> None:
    """The identity alone is on disk from the start."""
    store = MemoryStore(OWN, durability=Durability.RELAXED)
    await store.apply(put(b"k", 1))

    store.crash()

    assert store.usage().entry_count == 0
    assert store.state().replica == OWN


async def test_reserved_state_survives_a_crash_in_relaxed_mode() -> None:
    """And the node has heard that the store was unclean."""
    store = MemoryStore(OWN, durability=Durability.RELAXED)
    store.crash()
    await store.reserve(covering(1000))
    await store.apply(put(b"k", 1))
    assert not store.unclean

    store.crash()

    assert store.state() == covering(1000)


async def test_closed_store_is_clean_and_whole_when_opened_again() -> None:
    """A planned stop syncs."""
    store = MemoryStore(OWN, durability=Durability.RELAXED)
    await store.apply(put(b"k", 1))

    store.close()
    store.crash()

    assert store.state() == covering(1)


async def test_failure_asked_for_strikes_once_and_leaves_nothing() -> None:
    """The next commit goes through."""
    store = MemoryStore(OWN)
    store.fail_next(OSError("disk is gone"))

    with pytest.raises(OSError, match="disk is gone"):
        await store.apply(put(b"k", 1))

    assert store.usage().entry_count == 0
    await store.apply(put(b"k", 2))
    assert store.state() == covering(2)


async def test_full_store_refuses_to_grow_and_lets_entries_shrink() -> None:
    """Deleting is how room is made."""
    store = MemoryStore(OWN, capacity_bytes=1000, reserve_bytes=400)
    await store.apply(put(b"k", 1, bytes(500)))
    assert not store.usage().accepts_client_writes

    with pytest.raises(StoreFullError, match=r"of\s+1000 bytes"):
        await store.apply(put(b"l", 2, bytes(500)))
    await store.apply(put(b"k", 3, b"", over=register(1, bytes(500))))

    assert store.usage().accepts_client_writes
    assert store.state() == covering(3)


async def test_commit_changes_in_place_when_nobody_looks() -> None:
    """A simulation of many commits copies nothing."""
    store = MemoryStore(OWN)
    image = store._image
    with store.snapshot():
        pass

    await store.apply(put(b"k", 1))
    await store.apply(Commit(covering(2)))

    assert store._image is image
