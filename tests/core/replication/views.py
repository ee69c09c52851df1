"""Views of stores with given entries, and with damage."""

from collections.abc import Collection, Iterator, Mapping

from kvnode.core.versions.store_view import Commit, DurableState, StoreView, Write
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import EntryKey, Namespace
from tests.core.replication.entries import A
from tests.simulation.site import run


def store_of(entries: Mapping[EntryKey, Entry]) -> MemoryStore:
    """Return a store of replica A that holds *entries*."""
    store = MemoryStore(A)
    writes = tuple(Write(key, entry, None) for key, entry in entries.items())
    run(store.apply(Commit(DurableState(A), writes)))
    return store


class DamagedView:
    """A view in which the records of some keys are damaged; notes what is `read`."""

    def __init__(self, view: StoreView, lost: Collection[EntryKey]) -> None:
        self.read: list[EntryKey] = []
        self._view = view
        self._lost = lost

    def __getattr__(self, name: str) -> object:
        return getattr(self._view, name)

    def scan(
        self, namespace: Namespace, *, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield what is stored, up to a record that is damaged."""
        for name, entry in self._view.scan(namespace, start=start, prefix=prefix):
            key = EntryKey(namespace, name)
            if key in self._lost:
                message = "the record fails its checksum"
                raise DamagedRecordError(message, key)
            self.read.append(key)
            yield name, entry
