"""
Asking for points in time of an object from outside: calls that are not of its methods.

They go the way of all calls to the node that leads; the object's code knows nothing of
them, and need not be there.  No method has such a name.
"""

from typing import Final

CURRENT: Final = "bookmark:current"
"""Takes nothing; returns a bookmark."""

AT: Final = "bookmark:at"
"""Takes ms since 1970; returns a bookmark."""

RESTORE: Final = "bookmark:restore"
"""Takes a bookmark; returns the one that undoes it."""

POINT_METHODS: Final = frozenset({CURRENT, AT, RESTORE})
