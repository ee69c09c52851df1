"""
Asking for points in time of an object from outside: calls that are not of its methods.

They go the way of all calls to the node that leads; the object's code knows nothing of
them, and need not be there.  No method has such a name.
"""

from typing import Final, NamedTuple

CURRENT: Final = "bookmark:current"
"""Takes nothing; returns a bookmark."""

AT: Final = "bookmark:at"
"""Takes ms since 1970; returns a bookmark."""

RESTORE: Final = "bookmark:restore"
"""Takes a bookmark; returns a row of `Restored`."""

COUNTED_MAX: Final = 1000
"""What was changed is counted so far: each row is read for that."""

COUNTED_BYTES_MAX: Final = 16 * 1024 * 1024
"""Or so far, since others wait meanwhile: as much as one step may write."""

POINT_METHODS: Final = frozenset({CURRENT, AT, RESTORE})


class Restored(NamedTuple):
    """
    What came of a restore.

    Attributes:
        undo: The bookmark of the object as it was before.
        keys: How many keys were changed.
        pages: How many pages of its SQL database were.
        alarm: Whether that was.
        more: Keys and pages were counted so far, and there are more.
    """

    undo: str
    keys: int = 0
    pages: int = 0
    alarm: bool = False
    more: bool = False
