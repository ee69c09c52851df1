"""A staged view is the store as it will be, its index too."""

from kvnode.core.versions.store_view import Commit, LostVersion, Write
from kvnode.runtime.staged_view import StagedView
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot
from tests.storage.stores import OTHER, OWN, AnyStore, at, covering, put, register

WRITES = (
    Write(at(b"new"), register(2), None),
    Write(at(b"new"), register(3), None),
    Write(at(b"k"), register(9, replica=OTHER), LostVersion((Dot(OWN, 1),))),
)


async def test_index_is_that_of_after_the_commit_under_way() -> None:
    """Rows that go are gone, and those that come are there, each in its range."""
    store: AnyStore = MemoryStore(OWN)
    await store.apply(put(b"k", 1))
    await store.apply(put(b"kept", 5))
    commit = Commit(covering(5), WRITES)

    with store.snapshot() as snapshot:
        view = StagedView(snapshot, commit)
        staged = [
            (list(view.index(OWN, 1, None)), list(view.index(OWN, 4, 4))),
            (list(view.index(OTHER, 1, 8)), list(view.index(OTHER, 9, 9))),
            tuple(view.dots_of(at(name)) for name in (b"k", b"new", b"kept", b"-")),
        ]
    await store.apply(commit)

    with store.snapshot() as after:
        assert staged == [
            (list(after.index(OWN, 1, None)), list(after.index(OWN, 4, 4))),
            (list(after.index(OTHER, 1, 8)), list(after.index(OTHER, 9, 9))),
            tuple(after.dots_of(at(name)) for name in (b"k", b"new", b"kept", b"-")),
        ]
    assert staged[0][0] == [(Dot(OWN, 3), at(b"new")), (Dot(OWN, 5), at(b"kept"))]
