"""
The input gate: what may enter an object, and when.

An object is a single thread of events.  Whatever resumes a piece of its code is an
event: a call that begins, and every return from an await.  Storage answers on the spot
and awaits nothing, so no event enters while storage is asked; other awaits let events
in.  Code that must not be interleaved at all runs in a *section*: until it ends, only
what belongs to it is resumed.

    call a   ──await fetch──┊             ┊──goes on──
    call b                  ├── section ──┤
    call c                  ┊             ┊──begins──

A coroutine is gated by resuming it through the gate, whatever it awaits, and however
that ends: also a timeout that cancels it waits for its turn.  What was begun within a
section and outlives it belongs to what is around it from then on.  Tasks that an object
starts by itself are not gated: `wait_until` of its context is the way to start some
that are.

References:
    Varda, 2021.  Durable Objects: easy, fast, correct: choose three.  Cloudflare.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Section:
    """Something that has the object to itself; may hold another one inside."""

    __slots__ = ("is_over", "parent")

    def __init__(self, parent: "Section | None") -> None:
        self.parent = parent
        self.is_over = False


class InputGate:
    """The input gate of one object."""

    def __init__(self) -> None:
        self._holder: Section | None = None
        self._is_abandoned = False
        self._waiting: list[asyncio.Future[None]] = []
        self._current: ContextVar[Section | None] = ContextVar("section", default=None)

    @property
    def is_closed(self) -> bool:
        """Tell whether something has the object to itself."""
        return self._holder is not None

    async def pass_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* so that it begins, and goes on, only while it may."""
        return await _gated(self, self._current.get(), work)

    async def go_on(
        self,
        work: Coroutine[Any, Any, T],
        context: Context,
        awaited: Any,  # noqa: ANN401 -- a coroutine may yield anything
    ) -> T:
        """Run *work*, which has begun in *context* and waits, in the same way."""

        def send(value: None) -> object:
            return context.run(work.send, value)

        def throw(error: BaseException) -> object:
            return context.run(work.throw, error)

        result: T = await _going_on(self, None, send, throw, awaited)
        return result

    def section(self, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """
        Run *work* while nothing else of the object is resumed.

        It has the object when this returns, unless another section does: sections wait
        for each other, in the order in which they came; one that is begun within
        another belongs to it.  Whoever awaits it goes on before all others.
        """
        around = self._current.get()
        held = [section] if (section := self._taken(around)) else []

        async def run() -> T:
            while not held:
                if section := self._taken(around):
                    held.append(section)
                else:
                    await self._change()
            self._current.set(held[0])  # of this task alone
            return await self.pass_through(work())

        task = asyncio.create_task(run())
        # Not in `run`: what awaits the task is told of its end just after this, and
        # what waits at the gate one step later.
        task.add_done_callback(lambda _: self._end(held))
        return task

    def _taken(self, around: Section | None) -> Section | None:
        """Give the object to a new section, if one within *around* may have it now."""
        if not self.may_pass(around):
            return None
        self._holder = Section(_lasting(around))
        return self._holder

    def _end(self, held: list[Section]) -> None:
        for section in held:
            section.is_over = True  # one that was begun within it may still go on
        self._holder = _lasting(self._holder)
        self._wake()

    def abandon(self) -> None:
        """Let everything pass from now on: nothing that the object does counts."""
        self._is_abandoned = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def may_pass(self, section: Section | None) -> bool:
        """Tell whether what belongs to *section* may be resumed now."""
        return self._is_abandoned or self._holder is _lasting(section)

    async def _change(self) -> None:
        """Wait until another has the object, or nobody."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def wait(self, section: Section | None) -> Generator[Any, None, None]:
        """Yield until what belongs to *section* may be resumed."""
        while not self.may_pass(section):
            yield from self._change().__await__()


def _lasting(section: Section | None) -> Section | None:
    """Return *section*, or the innermost around it, that is not over."""
    while section is not None and section.is_over:
        section = section.parent
    return section


@coroutine
def _gated(
    gate: InputGate, section: Section | None, work: Coroutine[Any, Any, T]
) -> Generator[Any, Any, T]:
    """Resume *work* for as long as it goes, each time through the gate."""
    try:
        yield from gate.wait(section)
    except BaseException:
        work.close()  # it has not begun: nothing of it would run
        raise
    try:
        awaited = work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    result = yield from _going_on(gate, section, work.send, work.throw, awaited)
    return result


@coroutine
def _going_on(
    gate: InputGate,
    section: Section | None,
    send: Callable[[None], Any],
    throw: Callable[[BaseException], Any],
    awaited: Any,  # noqa: ANN401 -- a coroutine may yield anything
) -> Generator[Any, Any, Any]:
    """Resume what waits for *awaited* for as long as it goes, through the gate."""
    while True:
        failure: BaseException | None = None
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 -- it is the work's to handle
            failure = error
        while not gate.may_pass(section) and not isinstance(failure, GeneratorExit):
            try:
                yield from gate.wait(section)
            except BaseException as error:  # noqa: BLE001 -- it waits for its turn, too
                failure = error
        try:
            awaited = send(None) if failure is None else throw(failure)
        except StopIteration as end:
            return end.value
