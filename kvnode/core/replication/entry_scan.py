"""
Looking at every entry of a snapshot, a slice at a time.

A scan of a million keys takes seconds, and a node must go on serving meanwhile.
So what is long here is a generator of *steps*: its driver lets other work have
its turn after each, and gets the result in the end.  The core reads no clock,
so a step ends after so many entries or bytes; both are chosen for 5 ms.
"""

from collections.abc import Generator, Iterator
from typing import TypeVar

from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.types import EntryKey, Namespace

ResultT = TypeVar("ResultT")

Steps = Generator[None, None, ResultT]
"""Work in steps of at most 5 ms or so; returns its result in the end."""

ENTRIES_PER_STEP = 250
"""Read, checked and hashed at about 12 us each."""

BYTES_PER_STEP = 1024 * 1024
"""Of values: about 2 ns a byte.  One value may be larger, and is a step alone."""


def finished(steps: Steps[ResultT]) -> ResultT:
    """Return the result of *steps*, taken all at once."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: ResultT = stop.value
            return result


def entry_slices(
    view: StoreView, damaged: list[EntryKey] | None = None
) -> Iterator[list[tuple[EntryKey, Entry]]]:
    """
    Yield all entries of *view* in the order of keys, a step's worth at a time.

    Args:
        view: The one snapshot; it must stay open until the end.
        damaged: Takes the keys whose records are damaged, which are left out.

    Raises:
        DamagedRecordError: A record is damaged, and there is no *damaged*.
    """
    rows: list[tuple[EntryKey, Entry]] = []
    size = 0
    for namespace in sorted(view.namespaces()):
        for key, entry in entries_between(view, namespace, b"", None, damaged):
            rows.append((key, entry))
            size += len(entry.value)
            if len(rows) == ENTRIES_PER_STEP or size >= BYTES_PER_STEP:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def entries_between(
    view: StoreView,
    namespace: Namespace,
    start: bytes,
    end: bytes | None,
    damaged: list[EntryKey] | None = None,
) -> Iterator[tuple[EntryKey, Entry]]:
    """
    Yield the entries of *namespace* with *start* <= key < *end*; None: no end.

    *damaged* is as of `entry_slices`.
    """
    while True:
        try:
            for name, entry in view.scan(namespace, start=start):
                if end is not None and name >= end:
                    return
                yield EntryKey(namespace, name), entry
        except DamagedRecordError as error:
            if damaged is None:
                raise
            damaged.append(error.key)
            start = error.key.key + b"\0"
        else:
            return


def scan_digest(view: StoreView) -> Steps[int]:
    """
    Return in steps what the digest of *view* must be (RollingDigest.settled).

    Raises:
        DamagedRecordError: A record is damaged: there is no telling until it has
            been healed.
    """
    total = 0
    for rows in entry_slices(view):
        total += sum(fingerprint(key, entry) for key, entry in rows)
        yield
    return total % TOTAL_END
