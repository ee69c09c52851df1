"""
How sites and clients work where it is not the core that decides.

A test makes them work badly by changing it, to see that it is noticed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import Entry
from kvnode.storage.memory_store import MemoryStore

TokenAfterWrite = Callable[[Session, Entry, VersionVector, VersionVector], Session]
"""Takes the session, what the write left, and what is covered and pending."""


def token_after_write(
    session: Session, entry: Entry, covered: VersionVector, pending: VersionVector
) -> Session:
    """Return the token in the reply to a write that left *entry* behind."""
    version = entry.version
    session = session.saw(version.index_dots, version.hlc)
    others = (dot for dot in version.index_dots if dot != version.dot)
    if covered.covers_all(others):
        return session
    return session.saw_entry(entry, covered=covered, pending=pending)


class Source(NamedTuple):
    """What a delta is read from, and how to let go of it."""

    view: StoreView
    held: AbstractContextManager[StoreView]


def one_snapshot(store: MemoryStore) -> Source:
    """Return the source that rule D1 asks for."""
    held = store.snapshot()
    return Source(held.__enter__(), held)


@dataclass(frozen=True, slots=True)
class Practice:
    """What the shell around a core must do right."""

    open_source: Callable[[MemoryStore], Source] = one_snapshot
    effects_before_commit: bool = False
    token_after_write: TokenAfterWrite = token_after_write


GOOD_PRACTICE = Practice()
