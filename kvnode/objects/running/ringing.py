"""
The alarms of a shard that is led here: when they are due, and who rings.

What is known of them is in the state of the shard, by when they are due, and here, by
whose they are.  They go by the wall clock, which may be set meanwhile, so it is looked
at once a second.  One that cannot ring now is looked at again a little later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from kvnode.errors import KvError
from kvnode.objects.running.alarm_clock import AlarmClock
from kvnode.objects.running.log_port import LoggedState
from kvnode.objects.storing.alarm import Alarm, decode_alarm
from kvnode.objects.storing.keys import (
    ALARMS,
    Kind,
    end_of,
    object_prefix,
    parse_due_key,
)
from kvnode.types import Millis

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0

ALARMS_AT_ONCE: Final = 100
ALARM_PAGE: Final = 1000
ALARM_AGAIN_MILLIS: Final = 2000

Ring = Callable[[bytes], Awaitable[Alarm | None]]
"""Runs the alarm of the object of a body; returns which is set then."""


class Ringing:
    """The alarms of one shard."""

    def __init__(
        self, state: LoggedState, ring: Ring, *, now: Callable[[], Millis]
    ) -> None:
        """
        Begin with all that the state knows.

        Args:
            state: What the shard's entries have done.
            ring: See `Ring`.
            now: Returns ms since 1970.
        """
        self._state = state
        self._ring = ring
        self._now = now
        self._clock = AlarmClock()
        self._changed = asyncio.Event()
        self._ringing: dict[bytes, asyncio.Task[None]] = {}
        start, end = ALARMS, end_of(ALARMS)
        while rows := state.scan(start, end, limit=ALARM_PAGE):
            for key, _ in rows:
                due, body = parse_due_key(key)
                self._clock.set_due(body, due)
            start = rows[-1][0] + b"\0"

    @property
    def is_busy(self) -> bool:
        """Tell whether an alarm rings."""
        return bool(self._ringing)

    def set(self, body: bytes, alarm: Alarm | None) -> None:
        """Take note of the alarm of an object."""
        self._clock.set(body, alarm)
        self._changed.set()

    def look_at(self, body: bytes) -> None:
        """Take note of the alarm that the state shows."""
        row = self._state.get(object_prefix(body, Kind.ALARM))
        alarm = None if row is None else decode_alarm(row)
        now = self._now()
        if alarm is not None and alarm.due <= now:
            # It may be the alarm that has ended the instance: a log that takes
            # nothing more would else have it run as fast as it can.
            alarm = Alarm(Millis(now + ALARM_AGAIN_MILLIS))
        self.set(body, alarm)

    def ring_due(self, now: Millis) -> None:
        """Begin to run alarms that are due, as many as may be at once."""
        room = ALARMS_AT_ONCE - len(self._ringing)
        for body in self._clock.take_due(now, room):
            if body not in self._ringing:  # it looks again at its end
                self._ringing[body] = asyncio.create_task(self._run(body))

    async def wait(self, now: Millis) -> None:
        """Return when another alarm is due, or set, or after a second."""
        due = self._clock.next_due()
        pause = LOOK_SECONDS
        if due is not None and len(self._ringing) < ALARMS_AT_ONCE:
            pause = min(pause, max(0.001, (due - now) / 1000))
        self._changed.clear()
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            pass

    def close(self) -> None:
        """End: the shard is not led here any more."""
        for task in tuple(self._ringing.values()):
            task.cancel()

    async def _run(self, body: bytes) -> None:
        """Run an alarm; if that is not possible now, look again a little later."""
        again: Alarm | None = Alarm(Millis(self._now() + ALARM_AGAIN_MILLIS))
        try:
            again = await self._ring(body)
        except KvError as error:
            logger.warning("the alarm of object %s waits: %s", body.hex(), error)
        finally:
            del self._ringing[body]
            self.set(body, again)
