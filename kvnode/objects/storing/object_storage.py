"""The storage of one object, as its code sees it."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from inspect import iscoroutine
from typing import Any, Final, TypeVar

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import InvalidArgumentError
from kvnode.objects.input_gate import InputGate
from kvnode.objects.points.object_points import ObjectPoints
from kvnode.objects.storing.alarm import Alarm, alarm_changes, decode_alarm
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.keys import Kind, object_prefix
from kvnode.objects.storing.overlay import Overlay
from kvnode.objects.storing.sql.object_sql import ObjectSql
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from kvnode.objects.storing.stored_map import StoredMap
from kvnode.types import Millis

T = TypeVar("T")

DUE_MILLIS_MAX: Final = 1 << 53
"""So far that any language's number can say it."""


class Transaction(StoredMap):
    """
    What a transaction sees: the object's keys, and what it has written itself.

    Nothing of it is stored before it ends, and then all of it at once.

    Attributes:
        sql: The object's database; the same as `storage.sql`, which belongs to the
            transaction for as long as that runs.
    """

    def __init__(self, overlay: Overlay, body: bytes, sql: ObjectSql) -> None:
        super().__init__(overlay, body)
        self.sql = sql
        self.is_rolled_back = False

    def rollback(self) -> None:
        """Store nothing of what was and will be written here."""
        self.is_rolled_back = True


class ObjectStorage(StoredMap):
    """
    What one object has stored; private to it.

    Writes are seen at once, and leave the object only when they are durable on a
    majority: no reply, and no call of another object, goes out before (the output
    gate).  Writes without an await of something else in between happen together or
    not at all, up to 16 MiB of them; more than that is for `transaction` to refuse.

    Attributes:
        sql: The object's SQL database.
    """

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        overlay: Overlay,
        body: bytes,
        *,
        committer: Committer,
        gate: InputGate,
        origin: bytes,
        has_alarm_hook: bool,
        databases: OpenDatabases,
        points: ObjectPoints,
    ) -> None:
        """
        Store in *overlay*.

        Args:
            overlay: What is written and read.
            body: Whose storage it is.
            committer: Brings it into the log.
            gate: The object's input gate.
            origin: What its first write says of whose all this is.
            has_alarm_hook: Whether there is code for an alarm to run.
            databases: Those that are open in the shard.
            points: The object's points in time.
        """
        super().__init__(overlay, body)
        self.sql = ObjectSql(overlay, body, stage=self._stage, databases=databases)
        self.alarm_is_touched = False
        self.alarm_changes = 0  # how often it was set or deleted here
        self.alarm_is_running = False
        self.has_alarm_hook = has_alarm_hook
        self._committer = committer
        self._gate = gate
        self._points = points
        self._origin = Change(ChangeKind.PUT, object_prefix(body, Kind.ORIGIN), origin)
        self._has_origin = overlay.get(self._origin.key) is not None

    async def transaction(
        self, work: Callable[[Transaction], Coroutine[Any, Any, T]]
    ) -> T:
        """
        Run *work* while nothing else of the object runs; store what it did at once.

        If it raises, or calls `rollback`, nothing of it is stored.  All that is done
        with `sql` meanwhile belongs to it.

        Raises:
            InvalidArgumentError: More was written than fits one entry of the log;
                nothing was stored.
        """

        async def run() -> T:
            overlay = Overlay(self._overlay)
            transaction = Transaction(overlay, self._body, self.sql)

            def stage(pages: Sequence[Change]) -> None:
                keys = overlay.take()[1] if overlay.is_staging else ()
                if keys or pages:
                    self._committer.flush()  # what it comes with need not fit as well
                    self._stage([*keys, *pages])

            with self.sql.scope(stage) as scope:
                result = await work(transaction)
                scope.is_undone = transaction.is_rolled_back
            return result

        return await self._gate.section(run)

    def transaction_sync(self, work: Callable[[], T]) -> T:
        """
        Run *work*, which awaits nothing; all that it does with `sql` happens, or none.

        If it raises, nothing of it does.  One within another may fail by itself.

        Raises:
            InvalidArgumentError: It is a coroutine function, or has changed more than
                fits one entry of the log; nothing was changed.
        """
        with self.sql.scope():
            result = work()
            if iscoroutine(result):
                result.close()
                msg = "transaction_sync cannot await: use storage.transaction(...)"
                raise InvalidArgumentError(msg)
        return result

    async def delete_all(self) -> None:
        """
        Delete all that the object has stored, its SQL database and its alarm.

        Raises:
            InvalidArgumentError: It runs in a transaction that has used SQL.
        """
        self.sql.check_idle()
        self._stage(
            [
                Change(ChangeKind.DELETE_PREFIX, object_prefix(self._body, kind))
                for kind in (Kind.STORED, Kind.SQL_PAGE)
            ]
        )
        self.sql.rest()
        await self.delete_alarm()

    async def sync(self) -> None:
        """
        Return once all that was written is durable on a majority.

        Raises:
            UnavailableError: It is not, and never will be.
            IndeterminateError: Nobody knows.
            InvalidArgumentError: The call has an idempotency key and has written: that
                becomes durable with its result.
        """
        self._committer.check_not_held()
        await self._committer.settled(self._committer.count)

    # -- points in time ----------------------------------------------------------

    async def get_current_bookmark(self) -> str:
        """
        Return the name of the object's state as it is now, once that is durable.

        Raises:
            InvalidArgumentError: The call has an idempotency key and has written.
            KvError: See `sync`.
        """
        await self.sync()
        return self._points.current()

    async def get_bookmark_for_time(self, when: datetime | int) -> str:
        """
        Return the name of the object's state as it was at *when*.

        Args:
            when: With a time zone, or in ms since 1970.

        Raises:
            InvalidArgumentError: It is no time, in the future, or further back than
                is kept.
        """
        return await self._points.at(_millis(when, "a point in time"))

    async def on_next_session_restore_bookmark(self, bookmark: str) -> str:
        """
        Have the object restored when it starts next, as it does after `ctx.abort`.

        Its keys, its SQL database and its alarm become what they were then, and an
        alarm that was due meanwhile rings.  What is written until then is lost, and
        is there again if the restore is undone.

        Returns:
            The bookmark of the moment right before that, which undoes it.

        Raises:
            InvalidArgumentError: It is no bookmark of this object, or names what is no
                more known; or the call has an idempotency key.
            KvError: See `sync`.
        """
        self._committer.check_not_reserved()
        number = await self._points.number_of(bookmark)
        self._stage([self._points.request(number)])
        await self.sync()
        return self._points.requested_by()

    # -- the alarm ---------------------------------------------------------------

    async def get_alarm(self) -> int | None:
        """Return when the alarm is due, in ms since 1970; None while it runs."""
        if self.alarm_is_running and not self.alarm_is_touched:
            return None
        alarm = self.alarm()
        return None if alarm is None else alarm.due

    async def set_alarm(self, when: datetime | int) -> None:
        """
        Let `alarm` of the object run at *when*; takes the place of one that is set.

        Args:
            when: With a time zone, or in ms since 1970; if that is past, at once.

        Raises:
            InvalidArgumentError: The class has no `alarm`, or *when* is no such time.
        """
        if not self.has_alarm_hook:
            msg = "the class has no `async def alarm(self)` that could run"
            raise InvalidArgumentError(msg)
        self.change_alarm(Alarm(_millis(when, "an alarm")))
        self.alarm_is_touched = True

    async def delete_alarm(self) -> None:
        """Let no alarm run; one that runs goes on, and is not tried again."""
        self.change_alarm(None)
        self.alarm_is_touched = True

    def alarm(self) -> Alarm | None:
        """Return the alarm that is set, also while it runs."""
        row = self._overlay.get(object_prefix(self._body, Kind.ALARM))
        return None if row is None else decode_alarm(row)

    def change_alarm(self, after: Alarm | None) -> None:
        """Set the alarm, or none."""
        self.alarm_changes += 1
        before = self.alarm()
        if before != after:
            self._stage(alarm_changes(self._body, before, after))

    # -- what calls leave ---------------------------------------------------------

    def stage_last(self, changes: Sequence[Change]) -> None:
        """Take in what was reserved room for, and is not the object's own doing."""
        self._overlay.reserved_bytes = 0
        self._take_in(changes)

    def _stage(self, changes: Sequence[Change]) -> None:
        if changes:
            self._committer.check_room()
            self._take_in(changes)

    def _take_in(self, changes: Sequence[Change]) -> None:
        if not self._has_origin:
            changes = [self._origin, *changes]
        if not self._overlay.try_stage(changes):
            self._committer.flush()
            self._overlay.stage(changes)
        self._has_origin = True
        self._committer.wrote()


def _millis(when: object, subject: str) -> Millis:
    if isinstance(when, datetime):
        if when.tzinfo is None:
            msg = f"{when} has no time zone: give it one, as in datetime.now(UTC)"
            raise InvalidArgumentError(msg)
        since = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        when = int(since.total_seconds() * 1000)
    if not isinstance(when, int) or not 0 <= when <= DUE_MILLIS_MAX:
        msg = (
            f"{subject} at {when!r} is at no time: give a datetime, or the ms since"
            f" 1970, 0 to {DUE_MILLIS_MAX}"
        )
        raise InvalidArgumentError(msg)
    return Millis(when)
