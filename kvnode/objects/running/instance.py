"""
One object in memory: events come in, code runs, and nothing leaves too early.

    call ─▶ input gate ─▶ method ─▶ result as bytes ─▶ output gate ─▶ reply

The output gate opens when all that was written is durable on a majority, and this node
still leads.  What a method raises passes it like what it returns.

An instance is thrown away when its shard has another leader, when an entry of it is
not committed, or when a section of its code fails: what it has in memory may differ
from what is stored then.  The next call starts another.  What waits is told that it has
ended, and no more: why its code has ended it may rest on what is not so.

Calls with an idempotency key run in a section, as one transaction with their result:
so the result is there if and only if what they wrote is.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar, cast

from kvnode.completion import ended
from kvnode.errors import (
    IndeterminateError,
    KvError,
    ObjectEndedError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import Value, encode_value
from kvnode.objects.durable_object import DurableObject, methods_of
from kvnode.objects.input_gate import InputGate
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.object_points import ObjectPoints
from kvnode.objects.running.alarm_calls import alarm_call
from kvnode.objects.running.alarm_run import run_alarm
from kvnode.objects.running.call_checks import Method, checked_key, checked_method
from kvnode.objects.running.kept_result import (
    RESULT_BYTES_MAX,
    is_of_code,
    raised_by,
    run_kept,
)
from kvnode.objects.running.kept_results import RESERVED_BYTES, KeptResults
from kvnode.objects.running.log_port import LoggedState
from kvnode.objects.running.output_gate import Mark, OutputGate
from kvnode.objects.running.quick_calls import QuickCall, QuickCalls, Waiting
from kvnode.objects.running.surroundings import Surroundings
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.object_storage import ObjectStorage
from kvnode.objects.storing.overlay import Overlay
from kvnode.objects.telling import (
    Leave,
    Tell,
    Told,
    nothing_to_leave,
    told_value,
)
from kvnode.types import Millis

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS_MAX: Final = 1000
"""Calls of one object that are under way: what waits longer is better told so."""

SECTION_SECONDS_MAX: Final = 30.0  # as in a Durable Object
RESULT_KEPT_MILLIS: Final = 24 * 3600 * 1000

CUT_SHORT: Final = "the task of the call was cancelled: it may have happened"


class Instance:
    """
    One object in memory.

    Attributes:
        id: Who it is.
        storage: What it has stored.
        output: Its output gate.
        idle_since: When it was last known to be busy, in ms since 1970, if it is not.
    """

    def __init__(
        self, id_: ObjectId, of: type[DurableObject], surroundings: Surroundings
    ) -> None:
        """Begin; the object itself is made by the first event."""
        shard, log = surroundings.shard, surroundings.log
        self.id = id_
        self.idle_since = surroundings.now()
        self._of = of
        self._methods = methods_of(of)
        self._around = surroundings
        self._overlay = Overlay(LoggedState(log, shard))
        self._committer = Committer(
            self._overlay,
            surroundings.history.propose,
            on_commit=self._committed,
            on_failure=self.fail,
        )
        self._gate = InputGate()
        self.output = OutputGate(self._committer, log, shard)
        self.storage = ObjectStorage(
            self._overlay,
            id_.body,
            committer=self._committer,
            gate=self._gate,
            origin=encode_value([id_.class_name, id_.name], "an object's name"),
            has_alarm_hook=asyncio.iscoroutinefunction(getattr(of, "alarm", None)),
            databases=surroundings.databases,
            points=ObjectPoints(surroundings.history, self._overlay, id_.body),
        )
        self._kept = KeptResults(self._overlay, id_.body)
        self._object: DurableObject | None = None
        self._alarm = self.storage.alarm()
        self._alarm_changes = 0  # of those that `_committed` knows of
        self._beginning: list[asyncio.Task[Any]] = []
        self._events: dict[asyncio.Task[Any], None] = {}  # in order, unlike a set
        self._calls = 0  # begun, and not told
        self._quick = QuickCalls(self, self.output)
        self._why_broken: KvError | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing of it is under way."""
        is_asked = self._calls or self._events
        return not is_asked and self._committer.is_idle

    # -- calls -------------------------------------------------------------------

    async def call(
        self,
        method: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value],
        idempotency_key: str,
    ) -> Value:
        """
        Run a method; return its result once nothing can undo it.

        See kvnode.api.objects_port.ObjectsPort.begin.
        """

        def begin(tell: Tell) -> Leave:
            self.begin(method, args, named, idempotency_key, tell)
            return nothing_to_leave

        return await told_value(begin)

    def begin(
        self,
        method: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value],
        idempotency_key: str,
        tell: Tell,
    ) -> None:
        """
        Run a method, and tell its result once nothing can undo it, later than now.

        Raises:
            KvError: It was not begun; see kvnode.api.objects_port.ObjectsPort.begin.
        """
        function = checked_method(
            self.id.class_name, self._methods, method, len(args), named
        )
        key = b""
        if idempotency_key:
            key = checked_key(idempotency_key)
            self._kept.check_room(self._around.now())

        if self._why_broken is not None:
            raise UnavailableError(str(self._why_broken))
        self._check_room()
        self._calls += 1
        begin = partial(self._called, function, method, args, named)
        if key:
            begin = partial(self._once, key, begin)
        call = QuickCall(begin, tell, bool(key), copy_context())
        if self._quick.is_working or (not key and self.is_ready):
            self._quick.add(call)
        else:
            self.begin_slowly(call)

    async def _called(
        self,
        function: Method,
        method: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value],
    ) -> bytes:
        """Run a method; return its result as bytes."""
        result = await function(self._made(), *args, **named)
        return encode_value(
            result,
            "the result of %s.%s",
            self.id.class_name,
            method,
            bytes_max=RESULT_BYTES_MAX,
        )

    # -- what calls ask for that need no task (kvnode.objects.running.quick_calls) ----

    @property
    def is_ready(self) -> bool:
        """Tell whether a call may begin, and nothing has to be done before."""
        is_made = self._object is not None and not self._beginning
        return is_made and self._why_broken is None and self._gate.may_pass(None)

    def begin_slowly(self, call: QuickCall) -> None:
        """Do a call in a task of its own, or tell why not."""
        if self._why_broken is not None:  # while it was behind others
            self.is_told()
            call.tell(UnavailableError(str(self._why_broken)))
            return

        async def event() -> bytes:
            work = call.begin()
            return await (work if call.takes_section else self._gate.pass_through(work))

        def on_end(task: asyncio.Task[bytes]) -> None:
            self._ended(task)
            self.is_told()
            call.tell(self._told(task))

        doing = self._event(event, runs_code=True)
        self._begin(asyncio.create_task(doing, context=call.context), on_end)

    async def continued(self, waiting: Waiting) -> Told:
        """Go on with a call in the task that runs; return what is told."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"

        async def event() -> bytes:
            return await self._gate.go_on(
                waiting.coroutine, waiting.context, waiting.awaited
            )

        self._events[task] = None
        try:
            return await self._event(event, runs_code=True, since=waiting.since)
        except Exception as error:  # noqa: BLE001 -- it is told, whatever it is
            return error
        except asyncio.CancelledError:
            return IndeterminateError(CUT_SHORT)
        finally:
            self._events.pop(task, None)

    def is_told(self) -> None:
        """Take note that a call is over."""
        self._calls -= 1
        if not self._calls:
            self.idle_since = self._around.now()

    def _told(self, task: asyncio.Task[bytes]) -> Told:
        """Return what came of a call."""
        if task.cancelled() and self._why_broken is not None:  # before it had begun
            return UnavailableError(str(self._why_broken))
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            return task.result()
        return error if isinstance(error, Exception) else IndeterminateError(CUT_SHORT)

    async def _once(
        self, key: bytes, run: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> bytes:
        """Run in a section and keep the outcome, or return that of the time before."""

        async def section() -> bytes:
            now = self._around.now()
            if (kept := self._kept.find(key, now)) is not None:
                return kept.again()
            with self._committer.held(reserved_bytes=RESERVED_BYTES):
                kept = await run_kept(run, Millis(now + RESULT_KEPT_MILLIS))
                self.storage.stage_last(self._kept.changes(key, kept, now))
            return kept.again()

        return await self._gate.section(section)

    async def _run(
        self, event: Callable[[], Coroutine[Any, Any, T]], *, runs_code: bool = True
    ) -> T:
        """
        Run an event to its end, whether or not the caller waits for that.

        Args:
            event: What happens.
            runs_code: Whether code of the object runs for it: that has begun before,
                and what it raises, whatever that is, is ObjectRaisedError.
        """
        if self._why_broken is not None:
            raise UnavailableError(str(self._why_broken))
        self._check_room()
        task = asyncio.create_task(self._event(event, runs_code=runs_code))
        self._begin(task, self._ended)
        await ended(task)
        if task.cancelled() and self._why_broken is not None:  # before it had begun
            raise UnavailableError(str(self._why_broken))
        return task.result()

    def _check_room(self) -> None:
        if max(self._calls, len(self._events)) >= EVENTS_MAX:
            msg = f"{EVENTS_MAX} calls of {self.id.class_name} {self.id} are under way"
            raise OverloadedError(msg)

    def _begin(
        self, task: asyncio.Task[T], on_end: Callable[[asyncio.Task[T]], None]
    ) -> None:
        """Keep a task until it ends; *on_end* calls `_ended`."""
        self._events[task] = None
        task.add_done_callback(on_end)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._events.pop(task, None)
        self.idle_since = self._around.now()
        if not task.cancelled():
            task.exception()  # whoever called may have gone: it is nobody's fault

    async def _event(
        self,
        event: Callable[[], Coroutine[Any, Any, T]],
        *,
        runs_code: bool,
        since: Mark | None = None,
    ) -> T:
        if since is None:
            since = self.output.mark()
        try:
            try:
                if runs_code and (self._object is None or self._beginning):
                    await self._begun()
                result = await event()
            except BaseException as error:
                if not is_of_code(error):
                    raise
                await self.output.leave(since)
                if not runs_code:
                    raise
                raise raised_by(error) from error
            await self.output.leave(since)
        except asyncio.CancelledError:
            if self._committer.failure is None:
                raise
            raise self.output.failed_since(since) from None
        return result

    # -- its beginning and its end -------------------------------------------------

    async def _begun(self) -> None:
        """Make the object, if it is not there, and wait for how it begins."""
        if self._object is None:
            try:
                self._object = self._of(self, self._around.env(self))
            except Exception as error:
                self._fail_soon("it could not be made", error)
                raise
        if self._beginning:
            await asyncio.wait(self._beginning)
            for task in self._beginning:
                task.result()
            self._beginning.clear()

    def _made(self) -> DurableObject:
        assert self._object is not None, "the event has made it"
        return self._object

    def fail(self, why: KvError) -> None:
        """End this instance: nothing of it leaves any more."""
        if self._why_broken is None:
            self.retire(why)
            for task in tuple(self._events):
                task.cancel()
            # Not at once: an entry may be about to say why it has failed.
            asyncio.get_running_loop().call_soon(self._committer.release)
            self._around.broken(self)

    def retire(self, why: KvError) -> None:
        """Let what this instance has left running do nothing."""
        self._why_broken = why
        self._committer.fail(why)
        self.storage.sql.end(why)
        self._gate.abandon()

    def _fail_soon(self, what: str, why: object) -> None:
        """End this instance once what runs has gone on, for a reason of its own."""
        class_name = self.id.class_name
        logger.warning("an object ends: %s %s: %s: %r", class_name, self.id, what, why)
        self._end_soon(
            ObjectEndedError(f"the {class_name} has ended: {what}; see the log")
        )

    def _end_soon(self, why: ObjectEndedError) -> None:
        self._committer.fail(why)  # what it has just written goes with it
        asyncio.get_running_loop().call_soon(self.fail, why)

    def _committed(self) -> None:
        """Tell of an entry, and of an alarm, that is durable by now."""
        self._around.committed(self)
        if self.storage.alarm_changes == self._alarm_changes:
            return  # to look costs a read of the state
        self._alarm_changes = self.storage.alarm_changes
        alarm = self.storage.alarm()
        if alarm != self._alarm and self._why_broken is None:
            self._alarm = alarm
            self._around.alarm_changed(self.id.body, alarm)

    async def drained(self) -> None:
        """
        Return once nothing that it has written may still come to show.

        Raises:
            UnavailableError: Nobody knows whether it will.
        """
        around = self._around
        await self._committer.drained(lambda: around.log.hurry(around.shard))

    def applied(self, number: int) -> bool:
        """
        Let what was written be read from the state, which shows entries up to *number*.

        Returns:
            Whether all that is committed shows.
        """
        return self._committer.applied(number)

    # -- what its code may ask for (kvnode.objects.durable_object.ObjectContext) ----

    def block_concurrency_while(
        self, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        """Run *work* while nothing else of the object does."""

        async def section() -> T:
            try:
                async with asyncio.timeout(SECTION_SECONDS_MAX):
                    return await work()
            except Exception as error:
                self._fail_soon("a section of its code has failed", error)
                raise

        task = self._gate.section(section)
        self._begin(task, self._ended)
        if self._object is None:
            self._beginning.append(task)
        return task

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work* beside what is under way."""
        try:
            self._check_room()
        except OverloadedError:
            work.close()
            raise
        task = asyncio.create_task(self._gate.pass_through(work))
        task.add_done_callback(lambda _: work.close())  # it may never have begun
        self._begin(task, self._ended)

    def abort(self, reason: str) -> None:
        """End this instance."""
        logger.warning("%s %s ends itself: %s", self.id.class_name, self.id, reason)
        self._end_soon(ObjectEndedError(f"the {self.id.class_name} has ended itself"))

    # -- its alarm ------------------------------------------------------------------

    async def alarm_call(self, method: str, arguments: tuple[Value, ...]) -> Value:
        """
        Do what is asked of its alarm from outside; see kvnode.objects.alarming.

        Raises:
            InvalidArgumentError: It cannot be done; nothing was changed.
            KvError: See `call`.
        """

        async def event() -> Value:
            asked = alarm_call(
                self.id, self.storage, method, arguments, now=self._around.now
            )
            return await self._gate.pass_through(asked)

        return await self._run(event, runs_code=False)

    async def run_alarm(self) -> Alarm | None:
        """
        Run the alarm if it is due, and set it again if it fails; return what is set.

        Must not overlap with itself.

        Raises:
            KvError: The instance has failed; the alarm is as it was.
        """

        async def event() -> None:
            around, made = self._around, cast("Any", self._made())
            run = run_alarm(
                self.id,
                self.storage,
                made.alarm,
                now=around.now,
                chance=around.chance,
            )
            await self._gate.pass_through(run)

        await self._run(event)
        return self.storage.alarm()  # a call may have set one since the run ended
