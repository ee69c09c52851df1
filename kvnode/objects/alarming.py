"""
An object's alarm, seen and changed from outside: by calls that are not of its methods.

They go the way of all calls to the node that leads, and are events of the object like
its methods.  Its code knows nothing of them and does not run for them, so the alarm of
an object whose code fails can be deleted, too.  No method has such a name.
"""

from typing import Final

ALARM: Final = "alarm:due"
"""Takes nothing; returns ms since 1970, or None if no alarm is set."""

SET_ALARM: Final = "alarm:set"
"""Takes ms since 1970, or None to delete it; returns what `ALARM` does then."""

ALARM_METHODS: Final = frozenset({ALARM, SET_ALARM})
