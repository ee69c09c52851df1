"""
Looking through a whole store: what its digest must be, and what cannot be read.

The rolling digest tells of what was written, not of what a disk has made of it since.
So a scan says two things: the digest, where it is not known; and where it is known,
whether the store still is what was written to it (rule D9).
"""

from typing import NamedTuple

from kvnode.core.replication.entry_scan import Steps, entry_slices
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.core.versions.store_view import StoreView
from kvnode.types import EntryKey


class Checked(NamedTuple):
    """
    What a scan has found.

    Attributes:
        total: The sum of the fingerprints of all entries that can be read.
        damaged: The keys of those that cannot, in scan order: with any, `total` is
            not the digest.
        entries: How many can be read.
    """

    total: int
    damaged: tuple[EntryKey, ...]
    entries: int


def self_check(view: StoreView) -> Steps[Checked]:
    """Return in steps what a scan of *view* finds."""
    total = entries = 0
    damaged: list[EntryKey] = []
    for rows in entry_slices(view, damaged):
        total += sum(fingerprint(key, entry) for key, entry in rows)
        entries += len(rows)
        yield
    return Checked(total % TOTAL_END, tuple(damaged), entries)
