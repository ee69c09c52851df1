"""What a node starts from."""

import pytest

from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.roster import Member, Roster, Standing
from kvnode.core.versions.store_view import Commit, DurableState
from kvnode.errors import RejectedError
from kvnode.runtime.assembly import _initial_state
from kvnode.storage.durability import Durability
from kvnode.storage.memory_store import MemoryStore
from tests.core.replication.entries import A, B

DIGEST = RollingDigest(total=77)


async def started_after_a_crash(durability: Durability) -> DurableState:
    """Return the state that a node starts from, of a store that was not closed."""
    store = MemoryStore(A, durability=durability)
    await store.apply(Commit(DurableState(A, seq=5, digest=DIGEST)))
    await store.sync()
    store.crash()

    state = await _initial_state(store, "a-site", lambda: B)

    assert store.state() == state
    return state


async def test_digest_counts_for_nothing_after_a_crash_in_relaxed_mode() -> None:
    """The disk may hold pages of different times: a scan must tell."""
    state = await started_after_a_crash(Durability.RELAXED)

    assert not state.digest.known
    assert (state.replica, state.seq) == (B, 0)


async def test_digest_survives_a_crash_in_fsync_mode() -> None:
    """It was in the same transaction as what it is of."""
    state = await started_after_a_crash(Durability.FSYNC)

    assert state.digest == DIGEST
    assert (state.replica, state.seq) == (A, 5)


async def test_directory_of_a_node_that_has_left_is_not_taken_up() -> None:
    """A supervisor that starts it again must not undo the operator's act."""
    roster = Roster([Member(A, "a", standing=Standing.LEFT)])
    store = MemoryStore(A)
    await store.apply(Commit(DurableState(A, roster=roster)))

    with pytest.raises(RejectedError, match="has left the cluster for good"):
        await _initial_state(store, "a", lambda: B)


async def test_identity_from_before_a_crash_is_removed_though_it_is_in_no_roster() -> (
    None
):
    """That it had joined may be among what is lost, and others wait for its word."""
    state = await started_after_a_crash(Durability.RELAXED)

    assert state.roster.gone(A)
