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
from kvnode.deadlines import Bucket, Deadlines, deadlines_of
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
    loop = asyncio.get_running_loop()
    caller = _ToTell(tell)
    caller.begin(objects, call, deadlines_of(loop), loop.time())
    return caller.leave


class Caller:
    """Somebody who calls, and waits to be answered until a deadline passes."""

    __slots__ = ("_bucket", "_call", "_is_over", "_leave")

    def __init__(self) -> None:
        """Call nothing yet."""
        self._is_over = True
        self._leave: Leave = nothing_to_leave
        self._call: Call
        self._bucket: Bucket

    def begin(
        self, objects: ObjectsPort, call: Call, deadlines: Deadlines, now: float
    ) -> None:
        """
        Begin *call*; `answer` is called with what comes of it, or that nothing has.

        Args:
            objects: Which do it.
            call: What they do.
            deadlines: Those of the loop.
            now: The loop's time.

        Raises:
            KvError: See kvnode.api.objects_port.ObjectsPort.begin.
        """
        assert call.patience_ms > 0, "whoever waits for ever is never told"
        self._call = call
        self._is_over = False
        self._bucket = deadlines.add(self, now + call.patience_ms / 1000)
        try:
            self._leave = objects.begin(call, self.told)
        except BaseException:
            self.leave()
            raise

    def answer(self, told: Told) -> None:
        """Take in what came of the call; called once, unless left before."""
        raise NotImplementedError

    def told(self, told: Told) -> None:
        """Pass it on, if it does not come too late."""
        if not self._is_over:
            self._end()
            self.answer(told)

    def expire(self) -> None:
        """End it."""
        if not self._is_over:
            late = _too_late(self._call)
            self.leave()
            self.answer(late)

    def leave(self) -> None:
        """Wait no more."""
        if not self._is_over:
            leave = self._leave
            self._end()
            leave()

    def _end(self) -> None:
        self._is_over = True
        self._bucket.discard(self)
        # Both sides know each other: else only the garbage collector would find them.
        self._leave = nothing_to_leave
        del self._call  # and the arguments, however long the answer waits to be read


class _ToTell(Caller):
    """One that is to be told."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def answer(self, told: Told) -> None:
        """Tell it."""
        self._tell(told)


def _too_late(call: Call) -> DeadlineError:
    return DeadlineError(
        f"{call.target.class_name}.{call.method} has not ended within"
        f" {call.patience_ms} ms; it goes on, and may happen yet"
    )
