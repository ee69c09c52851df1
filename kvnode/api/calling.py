"""
Calls on behalf of somebody who waits for a while, whatever road they came by.

A call whose deadline passes ends with DeadlineError, and its method goes on: nobody
can tell how far it got, and what it has written may be durable already.
"""

import asyncio
import re
from functools import partial
from typing import Final

from kvnode.api.objects_port import Call, ObjectsPort
from kvnode.deadlines import Bucket, deadlines_of
from kvnode.errors import DeadlineError, InvalidArgumentError
from kvnode.object_limits import ARGUMENTS_MAX
from kvnode.object_values import Value
from kvnode.objects.running.object_host import ASKED_BY_NODES
from kvnode.objects.telling import (
    Leave,
    Tell,
    Told,
    nothing_to_leave,
    told_value,
)

METHOD_CHARS_MAX: Final = 128
"""Longer than anybody's name of a method, and short enough for an error message."""


REGION_CHARS_MAX: Final = 64
"""As many as a node's region may have (kvnode.setting_types)."""

_REGION: Final = re.compile(rf"[a-zA-Z0-9._-]{{1,{REGION_CHARS_MAX}}}")


def checked_region(region: str) -> str:
    """
    Return *region* if that may be the name of one; empty is none.

    Raises:
        InvalidArgumentError: It may not.
    """
    if region and _REGION.fullmatch(region) is None:
        msg = (
            f"{region[:REGION_CHARS_MAX]!r} is no name of a region: 1 to"
            f" {REGION_CHARS_MAX} characters of a-z A-Z 0-9 . _ -"
        )
        raise InvalidArgumentError(msg)
    return region


def check_name(method: str) -> None:
    """
    Do nothing if somebody may call *method* by that name.

    Raises:
        InvalidArgumentError: It is one of those by which nodes ask each other.
    """
    if method in ASKED_BY_NODES:
        msg = (
            f"{method!r} is no method: use Bookmark, Restore, Locate, Alarm or SetAlarm"
        )
        raise InvalidArgumentError(msg)


def check_shape(method: str, argument_count: int) -> None:
    """
    Do nothing if a call may look like that.

    Raises:
        InvalidArgumentError: The method's name or the number of arguments may not be.
    """
    if argument_count > ARGUMENTS_MAX:
        msg = (
            f"the call has {argument_count} arguments; at most {ARGUMENTS_MAX} are"
            " allowed"
        )
        raise InvalidArgumentError(msg)
    if not 0 < len(method) <= METHOD_CHARS_MAX:
        msg = (
            f"the name of the method has {len(method)} characters; it takes 1"
            f" to {METHOD_CHARS_MAX}"
        )
        raise InvalidArgumentError(msg)


async def within_patience(objects: ObjectsPort, call: Call) -> Value:
    """
    Return what comes of *call* before its patience ends, which is > 0 ms.

    Raises:
        DeadlineError: Nothing has.
        KvError: See kvnode.api.objects_port.ObjectsPort.begin.
    """
    return await told_value(partial(begin_within_patience, objects, call))


def begin_within_patience(objects: ObjectsPort, call: Call, tell: Tell) -> Leave:
    """
    Begin *call*, and tell what has come of it before its patience ends, or that.

    Returns:
        What says that nobody waits any more: nothing is told after that.

    Raises:
        KvError: See kvnode.api.objects_port.ObjectsPort.begin.
    """
    assert call.patience_ms > 0, "whoever waits for ever is never told"
    loop = asyncio.get_running_loop()
    waiting = _Waiting(call, tell)
    until = loop.time() + call.patience_ms / 1000
    waiting.bucket = deadlines_of(loop).add(waiting, until)
    try:
        leave = objects.begin(call, waiting.told)
    except BaseException:
        waiting.leave()
        raise
    waiting.leave_objects = leave
    return waiting.leave


class _Waiting:
    """Somebody who waits to be told what came of a call, until a deadline passes."""

    __slots__ = ("_call", "_tell", "bucket", "leave_objects")

    def __init__(self, call: Call, tell: Tell) -> None:
        self._call = call
        self._tell: Tell | None = tell
        self.bucket: Bucket
        self.leave_objects: Leave = nothing_to_leave

    def told(self, told: Told) -> None:
        """Pass it on, if it does not come too late."""
        if self._tell is not None:
            tell, self._tell = self._tell, None
            self.bucket.discard(self)
            tell(told)

    def expire(self) -> None:
        """End it."""
        tell = self._tell
        self.leave()
        if tell is not None:
            tell(_too_late(self._call))

    def leave(self) -> None:
        """Wait no more."""
        if self._tell is not None:
            self._tell = None
            self.bucket.discard(self)
            self.leave_objects()


def _too_late(call: Call) -> DeadlineError:
    return DeadlineError(
        f"{call.target.class_name}.{call.method} has not ended within"
        f" {call.patience_ms} ms; it goes on, and may happen yet"
    )
