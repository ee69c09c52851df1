"""
The objects of a shard that is led here.

They are there from when the shard opens until it closes; who leads it next starts its
own.  An object is in memory while calls of it are under way and a little longer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from kvnode.errors import KvError, NotLeaderError, OverloadedError
from kvnode.object_values import decode_value
from kvnode.objects.durable_object import DurableObject, Environment
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.alarm_clock import AlarmClock
from kvnode.objects.running.instance import Instance, Surroundings
from kvnode.objects.running.log_port import ShardLog
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.keys import (
    ALARMS,
    Kind,
    end_of,
    object_prefix,
    parse_due_key,
)
from kvnode.types import Millis

logger = logging.getLogger(__name__)

INSTANCES_MAX: Final = 10_000
"""Of one shard, in memory; idle ones make room before."""

IDLE_MILLIS_MAX: Final = 60_000
SWEEP_MILLIS: Final = 10_000
ALARM_LOOK_SECONDS: Final = 1.0
"""Alarms go by the wall clock, which may be set meanwhile."""

ALARMS_AT_ONCE: Final = 100
ALARM_PAGE: Final = 1000
ALARM_AGAIN_MILLIS: Final = 2000


class ShardObjects:
    """All objects of one shard."""

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        shard: str,
        log: ShardLog,
        classes: Mapping[str, type[DurableObject]],
        *,
        env: Callable[[Instance], Environment],
        now: Callable[[], Millis],
        chance: Callable[[], float],
    ) -> None:
        """Begin: this node leads the shard, and its state is all there ever was."""
        self._shard = shard
        self._log = log
        self._classes = classes
        self._now = now
        self._around = Surroundings(
            shard, log, env, now, chance, self._alarm_changed, self._broken
        )
        self._instances: dict[bytes, Instance] = {}
        self._draining: dict[bytes, Instance] = {}
        self._alarms = AlarmClock()
        self._alarm_set = asyncio.Event()
        self._ringing: set[asyncio.Task[None]] = set()
        self._swept_at = now()
        self._load_alarms()
        self._ticking = asyncio.create_task(self._tick_forever(), name="alarms")

    def __len__(self) -> int:
        return len(self._instances)

    async def instance(self, id_: ObjectId) -> Instance:
        """
        Return the object in memory; started if it is not there.

        One that was thrown away may have written what does not show yet: that is
        waited for, or the new one would not see it.

        Raises:
            OverloadedError: Too many are there, and busy.
        """
        while (former := self._draining.get(id_.body)) is not None:
            await former.drained()
            if self._draining.get(id_.body) is former:
                del self._draining[id_.body]
        found = self._instances.get(id_.body)
        if found is None:
            if len(self._instances) >= INSTANCES_MAX:
                self._sweep(0)
            if len(self._instances) >= INSTANCES_MAX:
                msg = f"{INSTANCES_MAX} objects of shard {self._shard} are busy"
                raise OverloadedError(msg)
            of = self._classes[id_.class_name]
            found = self._instances[id_.body] = Instance(id_, of, self._around)
        return found

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        for some in (self._instances, self._draining):
            for instance in tuple(some.values()):
                instance.applied(number)

    def close(self) -> None:
        """End: another node leads, or nobody."""
        self._ticking.cancel()
        for task in tuple(self._ringing):
            task.cancel()
        why = NotLeaderError(f"this node has lost the lead of shard {self._shard}")
        for instance in tuple(self._instances.values()):
            instance.fail(why)

    def _broken(self, instance: Instance) -> None:
        if self._instances.get(instance.id.body) is instance:
            del self._instances[instance.id.body]
            self._draining[instance.id.body] = instance
            row = self._log.state(self._shard).get(
                object_prefix(instance.id.body, Kind.ALARM)
            )
            if row is not None:  # what it had told of it may not be so
                again = Millis(self._now() + ALARM_AGAIN_MILLIS)
                self._alarms.set_due(instance.id.body, again)

    # -- time --------------------------------------------------------------------

    def _load_alarms(self) -> None:
        state = self._log.state(self._shard)
        start, end = ALARMS, end_of(ALARMS)
        while rows := state.scan(start, end, limit=ALARM_PAGE):
            for key, _ in rows:
                due, body = parse_due_key(key)
                self._alarms.set_due(body, due)
            start = rows[-1][0] + b"\0"

    def _alarm_changed(self, body: bytes, alarm: Alarm | None) -> None:
        self._alarms.set(body, alarm)
        self._alarm_set.set()

    async def _tick_forever(self) -> None:
        while True:
            now = self._now()
            if now - self._swept_at >= SWEEP_MILLIS:
                self._swept_at = now
                self._sweep(IDLE_MILLIS_MAX)
            if len(self._ringing) < ALARMS_AT_ONCE:
                for body in self._alarms.take_due(now):
                    task = asyncio.create_task(self._ring(body))
                    self._ringing.add(task)
                    task.add_done_callback(self._ringing.discard)
            due = self._alarms.next_due()
            pause = ALARM_LOOK_SECONDS
            if due is not None:
                pause = min(pause, max(0.001, (due - now) / 1000))
            self._alarm_set.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._alarm_set.wait()
            except TimeoutError:
                pass

    async def _ring(self, body: bytes) -> None:
        """Run an alarm; if that is not possible now, look again a little later."""
        again = Millis(self._now() + ALARM_AGAIN_MILLIS)
        row = self._log.state(self._shard).get(object_prefix(body, Kind.ORIGIN))
        if row is None:
            return
        match decode_value(row):
            case [str(class_name), str(name)] if class_name in self._classes:
                id_ = ObjectId(class_name, body, name)
            case other:
                logger.warning("an alarm of %r: this node has no such class", other)
                self._alarms.set_due(body, again)
                return
        try:
            instance = await self.instance(id_)
            await instance.run_alarm()
        except KvError as error:
            logger.warning("the alarm of %s %s waits: %s", class_name, id_, error)
            self._alarms.set_due(body, again)

    def _sweep(self, idle_millis: int) -> None:
        """Let objects leave memory that nobody has called for long."""
        now = self._now()
        for body, instance in list(self._instances.items()):
            if instance.is_idle and now - instance.idle_since >= idle_millis:
                del self._instances[body]
        for body, instance in list(self._draining.items()):
            if instance.is_idle:
                del self._draining[body]
