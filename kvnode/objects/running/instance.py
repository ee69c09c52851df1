"""
One object in memory: events come in, code runs, and nothing leaves too early.

    call ─▶ input gate ─▶ method ─▶ result as bytes ─▶ output gate ─▶ reply

The output gate opens when all that was written is durable on a majority, and this node
still leads.

An instance is thrown away when its shard has another leader, when an entry of it is
not committed, or when a section of its code fails: what it has in memory may differ
from what is stored then.  The next call starts another.

Calls with an idempotency key run in a section, as one transaction with their result:
so the result is there if and only if what they wrote is.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, Final, NamedTuple, TypeVar

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    ObjectRaisedError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import Value, decode_value, encode_value
from kvnode.objects.durable_object import DurableObject, Environment, methods_of
from kvnode.objects.input_gate import InputGate
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.kept_result import RESULT_BYTES_MAX, decode_kept, run_kept
from kvnode.objects.running.log_port import ShardLog
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.keys import Kind, object_prefix
from kvnode.objects.storing.object_storage import ObjectStorage
from kvnode.objects.storing.overlay import Overlay
from kvnode.types import Millis

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS_MAX: Final = 1000
"""Calls of one object that are under way: what waits longer is better told so."""

SECTION_SECONDS_MAX: Final = 30.0  # as in a Durable Object
RESULT_KEPT_MILLIS: Final = 24 * 3600 * 1000
IDEMPOTENCY_KEY_BYTES_MAX: Final = 256


class Surroundings(NamedTuple):
    """
    What an instance stands on.

    Attributes:
        shard: Where it lives.
        log: The log of its shard, and the state.
        env: Other objects.
        now: Returns ms since 1970.
        chance: Draws a number in [0, 1).
        alarm_changed: Called with an object's body and its alarm once that is durable.
        broken: Called once the instance must be replaced.
    """

    shard: str
    log: ShardLog
    env: Callable[["Instance"], Environment]
    now: Callable[[], Millis]
    chance: Callable[[], float]
    alarm_changed: Callable[[bytes, Alarm | None], None]
    broken: Callable[["Instance"], None]


class Instance:
    """
    One object in memory.

    Attributes:
        id: Who it is.
        storage: What it has stored.
        idle_since: When the last event ended, in ms since 1970.
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
        self._overlay = Overlay(log.state(shard))
        self._committer = Committer(
            self._overlay,
            lambda data: log.propose(shard, data),
            on_commit=self._committed,
            on_failure=self.fail,
        )
        self._gate = InputGate()
        self.storage = ObjectStorage(
            self._overlay,
            id_.body,
            committer=self._committer,
            gate=self._gate,
            origin=encode_value([id_.class_name, id_.name], "an object's name"),
            has_alarm_hook=asyncio.iscoroutinefunction(getattr(of, "alarm", None)),
        )
        self._object: DurableObject | None = None
        self._alarm = self.storage.alarm()
        self._beginning: list[asyncio.Task[Any]] = []
        self._events: set[asyncio.Task[Any]] = set()
        self._why_broken: KvError | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing of it is under way."""
        return not self._events and self._committer.is_idle

    # -- calls -------------------------------------------------------------------

    async def call(
        self,
        method: str,
        args: tuple[Value, ...],
        named: dict[str, Value],
        idempotency_key: str,
    ) -> Value:
        """
        Run a method; return its result once nothing can undo it.

        See kvnode.api.objects_port.ObjectsPort.call.
        """
        function = self._methods.get(method)
        if function is None:
            known = ", ".join(sorted(self._methods)) or "none"
            msg = (
                f"class {self.id.class_name} has no method {method!r} to call; it has"
                f" {known}"
            )
            raise InvalidArgumentError(msg)

        try:
            signature(function).bind(self, *args, **named)
        except TypeError as error:
            msg = f"{self.id.class_name}.{method} cannot be called so: {error}"
            raise InvalidArgumentError(msg) from error
        key = idempotency_key.encode()
        if len(key) > IDEMPOTENCY_KEY_BYTES_MAX:
            msg = (
                f"an idempotency key has {len(key)} bytes; it takes at most"
                f" {IDEMPOTENCY_KEY_BYTES_MAX}"
            )
            raise InvalidArgumentError(msg)

        async def run() -> bytes:
            result = await function(self._made(), *args, **named)
            subject = f"the result of {self.id.class_name}.{method}"
            return encode_value(result, subject, bytes_max=RESULT_BYTES_MAX)

        async def event() -> bytes:
            if key:
                return await self._once(key, run)
            return await self._gate.pass_through(run())

        return decode_value(await self._run(event))

    async def _once(
        self, key: bytes, run: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> bytes:
        """Run in a section and keep the outcome, or return that of the time before."""
        place = object_prefix(self.id.body, Kind.RESULT) + key

        async def section() -> bytes:
            row = self._overlay.get(place)
            now = self._around.now()
            if row is not None and (kept := decode_kept(row)).until > now:
                return kept.again()
            self._committer.flush()  # what others wrote is not part of it
            with self._committer.held():
                kept = await run_kept(run, Millis(now + RESULT_KEPT_MILLIS))
                self.storage.stage([Change(ChangeKind.PUT, place, kept.encode())])
            return kept.again()

        return await self._gate.section(section)

    async def _run(self, event: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run an event to its end, whether or not the caller waits for that."""
        if self._why_broken is not None:
            raise UnavailableError(str(self._why_broken))
        if len(self._events) >= EVENTS_MAX:
            msg = f"{EVENTS_MAX} calls of {self.id.class_name} {self.id} are under way"
            raise OverloadedError(msg)
        task = asyncio.create_task(self._event(event))
        self._events.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._events.discard(task)
        self.idle_since = self._around.now()
        if not task.cancelled():
            task.exception()  # whoever called may have gone: it is nobody's fault

    async def _event(self, event: Callable[[], Coroutine[Any, Any, T]]) -> T:
        since = self._committer.count
        try:
            try:
                await self._begun()
                result = await event()
            except ObjectRaisedError:
                await self.leave(since)
                raise
            except Exception as error:
                await self.leave(since)
                name = type(error).__name__
                raise ObjectRaisedError(str(error), type_name=name) from error
            await self.leave(since)
        except asyncio.CancelledError:
            if self._committer.failure is None:
                raise
            raise self._committer.failed_since(since) from None
        return result

    async def leave(self, since: int) -> None:
        """
        The output gate: return once what was written or read here holds for good.

        Args:
            since: How many entries had been proposed when the event began.

        Raises:
            UnavailableError: It does not, and nothing was written since.
            IndeterminateError: Nobody knows.
        """
        await self._committer.settled(since)
        around = self._around
        if around.log.has_lease(around.shard):
            return
        try:
            await around.log.confirm(around.shard)
        except UnavailableError as error:
            if self._committer.count == since:
                raise
            msg = f"{error}; what the call wrote has happened, its result is not known"
            raise IndeterminateError(msg) from error

    async def leave_for_a_call(self) -> None:
        """Return once a call of another object may leave."""
        await self.leave(self._committer.count)

    # -- its beginning and its end -------------------------------------------------

    async def _begun(self) -> None:
        """Make the object, if it is not there, and wait for how it begins."""
        if self._object is None:
            self._object = self._of(self, self._around.env(self))
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
            self._why_broken = why
            self._committer.fail(why)
            for task in tuple(self._events):
                task.cancel()
            self._around.broken(self)

    def _committed(self) -> None:
        """Tell of an alarm that is durable by now."""
        alarm = self.storage.alarm()
        if alarm != self._alarm:
            self._alarm = alarm
            self._around.alarm_changed(self.id.body, alarm)

    async def drained(self) -> None:
        """Return once nothing that it has written may still come to show."""
        await self._committer.drained()

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        self._committer.applied(number)

    # -- what its code may ask for (kvnode.objects.durable_object.ObjectContext) ----

    def block_concurrency_while(
        self, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        """Run *work* while nothing else of the object does."""

        async def section() -> T:
            async with asyncio.timeout(SECTION_SECONDS_MAX):
                return await work()

        async def guarded() -> T:
            try:
                return await self._gate.section(section)
            except Exception as error:
                msg = f"a section of {self.id.class_name} has failed: {error!r}"
                asyncio.get_running_loop().call_soon(self.fail, IndeterminateError(msg))
                raise

        task = asyncio.create_task(guarded())
        if self._object is None:
            self._beginning.append(task)
        return task

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work* beside what is under way."""
        task = asyncio.create_task(self._gate.pass_through(work))
        self._events.add(task)
        task.add_done_callback(self._ended)

    def abort(self, reason: str) -> None:
        """End this instance."""
        self.fail(IndeterminateError(f"the object has ended itself: {reason}"))

    # -- its alarm ------------------------------------------------------------------

    async def run_alarm(self) -> None:
        """
        Run the alarm that is due, and set it again if it fails.

        Raises:
            KvError: The instance has failed; the alarm is as it was.
        """
        await self._run(self._alarm_event)

    async def _alarm_event(self) -> None:
        storage, around = self.storage, self._around
        alarm = storage.alarm()
        if alarm is None or alarm.due > around.now():
            return
        storage.alarm_is_running, storage.alarm_is_touched = True, False
        failure: Exception | None = None
        try:
            hook: Any = self._made()
            await self._gate.pass_through(hook.alarm())
        except Exception as error:  # noqa: BLE001 -- the object's code may raise anything
            failure = error
        finally:
            storage.alarm_is_running = False
        if storage.alarm_is_touched:
            return
        after = None
        if failure is not None:
            counted = not isinstance(failure, UnavailableError | IndeterminateError)
            after = alarm.failed(
                around.now(), is_counted=counted, chance=around.chance()
            )
            what = f"tried again at {after.due}" if after else "given up"
            logger.warning(
                "the alarm of %s %s has failed and is %s: %r",
                *(self.id.class_name, self.id, what, failure),
            )
        storage.change_alarm(after)
