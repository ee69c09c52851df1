"""
Points in time of the objects of a shard that is led here, asked for from outside.

An object is restored while it is not in memory: its instance ends first, and all that
it has written shows.  Whoever calls the object meanwhile waits.  A restore that the
object has asked for itself comes before its next instance.

    ends ─▶ drained ─▶ entry proposed ─▶ committed ─▶ shows ─▶ told; the next begins
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from kvnode.completion import begun, ended
from kvnode.core.objects.map_change import encode_changes
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    NotLeaderError,
    UnavailableError,
)
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points import point_calls
from kvnode.objects.points.object_points import ObjectPoints
from kvnode.objects.points.point_calls import Restored
from kvnode.objects.points.shard_history import ShardHistory
from kvnode.objects.running.log_port import LoggedState, ShardLog, confirmed

logger = logging.getLogger(__name__)


class Restorer:
    """Restores objects of one shard."""

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        shard: str,
        log: ShardLog,
        history: ShardHistory,
        classes: Mapping[str, type[DurableObject]],
        *,
        end: Callable[[ObjectId, UnavailableError], Awaitable[None]],
        restored: Callable[[bytes], None],
    ) -> None:
        """
        Begin.

        Args:
            shard: Its name.
            log: What knows who leads, and has the state.
            history: Of the shard.
            classes: What objects are made of, by name.
            end: Ends the instance of an object, if there is one, for a reason; returns
                once nothing of it is under way, or raises UnavailableError.
            restored: Told the body of each that was restored.
        """
        self._shard = shard
        self._log = log
        self._history = history
        self._classes = classes
        self._end = end
        self._restored = restored
        self._working: dict[bytes, asyncio.Task[Restored]] = {}

    def is_at_work_on(self, body: bytes) -> bool:
        """Tell whether an object is being restored."""
        return body in self._working

    async def wait_for(self, body: bytes) -> None:
        """Return once an object that is being restored is so, or will not be."""
        await ended(self._working[body])

    async def point(
        self, id_: ObjectId, method: str, arguments: tuple[Value, ...]
    ) -> Value:
        """
        Do what is asked from outside; see kvnode.objects.points.point_calls.

        Raises:
            InvalidArgumentError: An argument is wrong, or names what is not kept.
            UnavailableError: It is not possible just now; nothing was done.
            IndeterminateError: The lead was lost; it may have been restored.
        """
        points = self._points(id_)
        match method, arguments:
            case (point_calls.CURRENT, ()):
                await confirmed(self._log, self._shard)
                return points.current()
            case (point_calls.AT, (int(time),)):
                await confirmed(self._log, self._shard)
                return await points.at(time)
            case (point_calls.RESTORE, (str(bookmark),)):
                number = await points.number_of(bookmark)
                while self.is_at_work_on(id_.body):
                    await self.wait_for(id_.body)
                return [*await self._done(id_, self._restore(id_, number))]
            case _:
                msg = f"{method} does not take {arguments!r:.100}"
                raise InvalidArgumentError(msg)

    def requested(self, id_: ObjectId) -> int | None:
        """Return behind which entry an object has asked to be restored, if it has."""
        return self._points(id_).requested()

    async def restore_requested(self, id_: ObjectId, number: int) -> None:
        """
        Restore an object that has asked for it, or let it go on as it is.

        Nothing else of it must be under way.

        Raises:
            UnavailableError: It is not possible just now.
            IndeterminateError: The lead was lost.
        """
        await self._done(id_, self._restore_or_withdraw(id_, number))

    def _points(self, id_: ObjectId) -> ObjectPoints:
        state = LoggedState(self._log, self._shard)
        return ObjectPoints(self._history, state, id_.body)

    async def _done(
        self, id_: ObjectId, work: Coroutine[None, None, Restored]
    ) -> Restored:
        """Do *work* to its end, also if who asked for it does not wait for that."""
        task = begun(work, self._working, id_.body)
        await ended(task)
        return task.result()

    async def _restore(self, id_: ObjectId, number: int) -> Restored:
        why = f"the {id_.class_name} is restored to an earlier point: call it again"
        await self._end(id_, UnavailableError(why))
        async with self._history.changing:
            await self._history.check(number)
            kept = self._classes[id_.class_name].restore_keeps
            changes = self._points(id_).restoring(number, kept)
            entry = await self._history.propose(encode_changes(changes))
            try:
                await self._history.shows(entry)
            except NotLeaderError as error:
                msg = f"the object was restored, and {error}"
                raise IndeterminateError(msg) from error
        self._restored(id_.body)
        logger.warning("%s %s was restored", id_.class_name, id_)
        return self._points(id_).restored(entry)

    async def _restore_or_withdraw(self, id_: ObjectId, number: int) -> Restored:
        """Restore, or let what cannot be restored start as it is: it never would."""
        try:
            return await self._restore(id_, number)
        except InvalidArgumentError as error:
            logger.error(  # noqa: TRY400 -- an expected state; the trace says nothing
                "%s %s was to be restored, and stays what it is: %s",
                *(id_.class_name, id_, error),
            )
        points = self._points(id_)
        entry = await self._history.propose(encode_changes([points.withdrawal()]))
        await self._history.shows(entry)
        return Restored(points.current())
