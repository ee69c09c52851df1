"""
The objects of a shard that is led here.

They are there from when the shard opens until it closes; who leads it next starts its
own.  An object is in memory while calls of it are under way and a little longer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from kvnode.completion import ended
from kvnode.core.objects.homes import region_of
from kvnode.errors import (
    CorruptRecordError,
    KvError,
    NotLeaderError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import Value, decode_value
from kvnode.objects.alarming import ALARM
from kvnode.objects.durable_object import DurableObject, Environment
from kvnode.objects.locating import Location
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.shard_history import (
    HISTORY_DEFAULT,
    HistoryLimits,
    ShardHistory,
)
from kvnode.objects.running.claims import Claims, Found
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.log_port import LoggedState, ShardLog, confirmed
from kvnode.objects.running.restorer import Restorer
from kvnode.objects.running.ringing import Ringing
from kvnode.objects.running.surroundings import Surroundings
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.keys import (
    Kind,
    object_prefix,
)
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from kvnode.types import Millis

logger = logging.getLogger(__name__)

INSTANCES_MAX: Final = 10_000
"""Of one shard, in memory; idle ones make room before."""

IDLE_MILLIS_MAX: Final = 60_000
SWEEP_MILLIS: Final = 10_000

HISTORY_LOOK_MILLIS: Final = 1000
"""Between two looks at how much of the history is kept: what a second can add is little
beside that."""


class Draining(NamedTuple):
    """One that was thrown away, and what waits until all that it wrote shows."""

    instance: Instance
    task: asyncio.Task[None]


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
        found: Found,
        history: HistoryLimits = HISTORY_DEFAULT,
        opened: int = 0,
    ) -> None:
        """
        Begin: this node leads the shard, and its state is all there ever was.

        Args:
            shard: Its name.
            log: Where its entries go, and what they have done.
            classes: What objects are made of, by name.
            env: What is around an object.
            now: Returns ms since 1970.
            chance: Draws a number in [0, 1).
            found: Lets a shard begin in which an object is placed.
            history: How much is kept of what objects were.
            opened: The last entry there is.
        """
        self._shard = shard
        self._log = log
        self._classes = classes
        self._now = now
        self._ringing = Ringing(LoggedState(log, shard), self._ring, now=now)
        self._history = ShardHistory(shard, log, history, now, opened=opened)
        self._around = Surroundings(
            shard,
            log,
            self._history,
            OpenDatabases(),
            env,
            now,
            chance,
            self._ringing.set,
            self._committed,
            self._broken,
        )
        self._restorer = Restorer(
            shard,
            log,
            self._history,
            classes,
            end=self._end,
            restored=self._ringing.look_at,
        )
        self._claims = Claims(shard, LoggedState(log, shard), self._history, found)
        self._instances: dict[bytes, Instance] = {}
        self._to_show: dict[Instance, None] = {}  # in order, unlike a set
        self._draining: dict[bytes, Draining] = {}
        self._doubtful: dict[bytes, KvError] = {}  # of a leader that is none any more
        self._is_closed = False
        self._forgetting: asyncio.Task[None] | None = None
        self._swept_at = self._looked_at = now()
        self._ticking = asyncio.create_task(self._tick_forever(), name="alarms")

    def __len__(self) -> int:
        return len(self._instances)

    @property
    def is_busy(self) -> bool:
        """Tell whether an object has something under way, alarms among it."""
        is_idle = all(instance.is_idle for instance in self._instances.values())
        is_placing = self._claims.is_busy
        is_ringing = self._ringing.is_busy
        return bool(self._draining) or is_ringing or is_placing or not is_idle

    async def instance(self, id_: ObjectId, location_hint: str = "") -> Instance:
        """
        Return the object in memory; started if it is not there.

        One that was thrown away may have written what does not show yet: that is
        waited for, or the new one would not see it.

        Args:
            id_: Which object.
            location_hint: The region in which it is to live, if this is the first that
                is heard of it.

        Raises:
            MovedError: It lives elsewhere, from now on or for long.
            NotLeaderError: The shard was closed meanwhile.
            UnavailableError: Nobody knows what has become of what it wrote.
            OverloadedError: Too many are there, and busy.
            InvalidArgumentError: The hint is no region.
        """
        while True:
            await self._unoccupied(id_.body)
            found = self._instances.get(id_.body)
            if found is not None:
                return found
            self._claims.check_here(id_)
            if location_hint and not self._claims.has_stored(id_.body):
                await self._claims.claim(id_, location_hint)
                continue
            requested = self._restorer.requested(id_)
            if requested is None:
                return self._started(id_)
            await self._restorer.restore_requested(id_, requested)

    def present(self, id_: ObjectId) -> Instance | None:
        """
        Return the object if it is in memory, and nothing else of it is under way.

        Then `instance` would return it as well, wherever it is to live.
        """
        body = id_.body
        if self._is_closed or self._is_occupied(body) or body in self._doubtful:
            return None
        return self._instances.get(body)

    def _is_occupied(self, body: bytes) -> bool:
        """Tell whether something of an object is under way that is waited for."""
        return (
            body in self._draining
            or self._restorer.is_at_work_on(body)
            or self._claims.is_under_way(body)
        )

    def _started(self, id_: ObjectId) -> Instance:
        """Return a new instance."""
        if len(self._instances) >= INSTANCES_MAX:
            self._sweep(0)
        if len(self._instances) >= INSTANCES_MAX:
            msg = f"{INSTANCES_MAX} objects of shard {self._shard} are busy"
            raise OverloadedError(msg)
        of = self._classes[id_.class_name]
        started = self._instances[id_.body] = Instance(id_, of, self._around)
        return started

    async def _unoccupied(self, body: bytes) -> None:
        """
        Return once nothing of the object is under way but what its instance does.

        Raises:
            NotLeaderError: The shard was closed meanwhile.
            UnavailableError: Nobody knows what has become of what it wrote.
        """
        while not self._is_closed and self._is_occupied(body):
            if body in self._draining:
                await ended(self._draining[body].task)
            elif self._restorer.is_at_work_on(body):
                await self._restorer.wait_for(body)
            else:
                await self._claims.wait_for(body)
        self._check_open()
        self._check_no_doubt(body)

    def _check_no_doubt(self, body: bytes) -> None:
        """
        Do nothing if it is known what has become of what an object wrote.

        Raises:
            UnavailableError: It is not.
        """
        if body in self._doubtful:
            raise UnavailableError(str(self._doubtful[body]))

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        self._history.applied(number)
        self._claims.applied(number)
        for instance in tuple(self._to_show):
            if instance.applied(number):
                del self._to_show[instance]

    def _committed(self, instance: Instance) -> None:
        """Let *instance* know when its entries show, which may be so already."""
        if not instance.applied(self._history.applied_number):
            self._to_show[instance] = None

    def close(self) -> None:
        """End: another node leads, or nobody.  The state may be gone already."""
        self._is_closed = True
        self._history.close()
        self._claims.close()
        self._ticking.cancel()
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._ringing.close()
        for draining in tuple(self._draining.values()):
            draining.task.cancel()
        why = NotLeaderError(f"this node has lost the lead of shard {self._shard}")
        for instance in tuple(self._instances.values()):
            instance.fail(why)

    # -- where objects live --------------------------------------------------------

    async def locate(self, id_: ObjectId) -> Location:
        """
        Return where an object lives; that does not place it.

        Raises:
            MovedError: Elsewhere.
            UnavailableError: This node does not lead any more.
        """
        await confirmed(self._log, self._shard)
        await self._unclaimed(id_)  # nothing may come between this and the answer
        is_here = id_.body in self._instances or self._claims.has_stored(id_.body)
        return Location(self._shard, bool(region_of(self._shard)) or is_here)

    async def _unclaimed(self, id_: ObjectId) -> None:
        """
        Return if the object lives here, as far as is known.

        Raises:
            MovedError: Elsewhere.
            NotLeaderError: The shard was closed meanwhile.
        """
        while self._claims.is_under_way(id_.body):
            await self._claims.wait_for(id_.body)
        self._check_open()
        self._claims.check_here(id_)

    # -- alarms, asked for from outside ----------------------------------------------

    async def alarm(
        self,
        id_: ObjectId,
        method: str,
        arguments: tuple[Value, ...],
        location_hint: str = "",
    ) -> Value:
        """
        Do what is asked from outside; see kvnode.objects.alarming.

        To look at the alarm of an object of which nothing was heard does not place it.

        Raises:
            KvError: See `instance`, and kvnode.objects.running.alarm_calls.
        """
        if method == ALARM and await self._is_unheard_of(id_):
            return None
        instance = await self.instance(id_, location_hint)
        return await instance.alarm_call(method, arguments)

    async def _is_unheard_of(self, id_: ObjectId) -> bool:
        await confirmed(self._log, self._shard)
        await self._unoccupied(id_.body)
        self._claims.check_here(id_)
        return id_.body not in self._instances and not self._claims.has_stored(id_.body)

    def _check_open(self) -> None:
        if self._is_closed:
            msg = f"this node has lost the lead of shard {self._shard}"
            raise NotLeaderError(msg)

    # -- points in time ------------------------------------------------------------

    async def point(
        self, id_: ObjectId, method: str, arguments: tuple[Value, ...]
    ) -> Value:
        """Do what is asked from outside; see kvnode.objects.running.restorer."""
        await self._unclaimed(id_)
        return await self._restorer.point(id_, method, arguments)

    async def _end(self, id_: ObjectId, why: UnavailableError) -> None:
        """
        End the instance of an object, and return once all that it wrote shows.

        Raises:
            MovedError: It was placed elsewhere meanwhile.
            UnavailableError: Nobody knows what has become of what it wrote.
        """
        await self._unclaimed(id_)
        instance = self._instances.get(id_.body)
        if instance is not None:
            instance.fail(why)
        while id_.body in self._draining:
            await ended(self._draining[id_.body].task)
        self._check_no_doubt(id_.body)

    # -- those that were thrown away -----------------------------------------------

    def _broken(self, instance: Instance) -> None:
        body = instance.id.body
        if self._instances.get(body) is instance:
            del self._instances[body]
            if not self._is_closed:
                task = asyncio.create_task(self._drain(instance))
                self._draining[body] = Draining(instance, task)

    async def _drain(self, instance: Instance) -> None:
        """Wait until all that it has written shows, and look at its alarm again."""
        body = instance.id.body
        try:
            await instance.drained()
            # What the instance had told of it may not be so.
            self._ringing.look_at(body)
        except KvError as error:
            self._doubtful[body] = error
        finally:
            del self._draining[body]

    # -- time --------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            now = self._now()
            if now - self._swept_at >= SWEEP_MILLIS:
                self._swept_at = now
                self._sweep(IDLE_MILLIS_MAX)
            if now - self._looked_at >= HISTORY_LOOK_MILLIS:
                self._looked_at = now
                self._look_at_history()
            self._ringing.ring_due(now)
            await self._ringing.wait(now)

    def _look_at_history(self) -> None:
        """Let go what is too old or too much, unless that is under way."""
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.create_task(self._history.forget())

    async def _ring(self, body: bytes) -> Alarm | None:
        """Run the alarm of an object; return which is set then."""
        id_ = self._id_of(body)
        if id_ is None:
            return None
        if id_.class_name not in self._classes:
            msg = f"this node has no class {id_.class_name}"
            raise UnavailableError(msg)
        return await (await self.instance(id_)).run_alarm()

    def _id_of(self, body: bytes) -> ObjectId | None:
        """Return which object has *body*; None if it has never written anything."""
        if body in self._instances:
            return self._instances[body].id
        if body in self._draining:
            return self._draining[body].instance.id
        row = self._log.state(self._shard).get(object_prefix(body, Kind.ORIGIN))
        match None if row is None else decode_value(row):
            case None:
                return None
            case [str(class_name), str(name)]:
                return ObjectId(class_name, body, name)
            case _:
                msg = f"what says whose {body.hex()} is is damaged"
                raise CorruptRecordError(msg)

    def _sweep(self, idle_millis: int) -> None:
        """Let objects leave memory that nobody has called for long."""
        now = self._now()
        for body, instance in list(self._instances.items()):
            if instance.is_idle and now - instance.idle_since >= idle_millis:
                del self._instances[body]
                instance.retire(UnavailableError("the object has left the memory"))
