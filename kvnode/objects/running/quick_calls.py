"""
Calls that need no task of their own, because they wait for nothing.

Storage answers on the spot, so a method that asks nothing else comes to its end in one
step.  One task takes such calls one after another, as they came; a task for each costs
more than most methods do.  The first that does wait keeps that task for itself, and
those behind it get another.

    calls ──▶ queue ──▶ one step ──▶ its end ──▶ output gate ──▶ told
                           └── it waits: `continued` goes on with it ──▶ told

Calls that take a section, or that may not begin yet, have tasks of their own.  They
wait in the same queue for those before them, so that all begin as they came.

Each call has the context (contextvars) of whoever has called, as with a task: that says
to which section of another object it belongs.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple, Protocol

from kvnode.errors import KvError
from kvnode.objects.running.kept_result import raised_by
from kvnode.objects.running.output_gate import Mark, OutputGate
from kvnode.objects.telling import Tell, Told


class QuickCall(NamedTuple):
    """
    A call of a method.

    Attributes:
        begin: Returns it as a coroutine, of which nothing has run, that returns its
            result as bytes.
        tell: Is told what came of it.
        takes_section: Whether it has the object to itself.
        context: A copy of that of whoever has called, for this call alone.
    """

    begin: Callable[[], Coroutine[Any, Any, bytes]]
    tell: Tell
    takes_section: bool
    context: Context


class Waiting(NamedTuple):
    """A call that waits for something in the middle: where it is."""

    coroutine: Coroutine[Any, Any, bytes]
    context: Context
    awaited: Any
    since: Mark


class QuickCaller(Protocol):
    """The object whose calls they are."""

    @property
    def is_ready(self) -> bool:
        """Tell whether a call may begin, and nothing has to be done before."""

    def begin_slowly(self, call: QuickCall) -> None:
        """Do a call in a task of its own, or tell why not."""

    async def continued(self, waiting: Waiting) -> Told:
        """Go on with a call in the task that runs; return what is told."""

    def is_told(self) -> None:
        """Take note that a call is over."""


class QuickCalls:
    """Those of one object."""

    def __init__(self, caller: QuickCaller, output: OutputGate) -> None:
        """Have none; they leave by *output*."""
        self._caller = caller
        self._output = output
        self._queue: deque[QuickCall] = deque()
        self._is_working = False

    @property
    def is_working(self) -> bool:
        """Tell whether calls are to begin that were added before."""
        return self._is_working

    def add(self, call: QuickCall) -> None:
        """Do *call* soon, after those that were added before."""
        self._queue.append(call)
        if not self._is_working:
            self._work_soon()

    def _work_soon(self) -> None:
        self._is_working = True
        task = asyncio.create_task(self._work())
        del task  # the loop keeps what is about to run, and an awaited future the rest

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        has_begun_slowly = False
        while self._queue:
            is_slow = self._queue[0].takes_section or not self._caller.is_ready
            if has_begun_slowly and not is_slow:
                self._work_soon()  # once these have come to the gate
                return
            call = self._queue.popleft()
            if is_slow:
                self._caller.begin_slowly(call)
                has_begun_slowly = True
                continue
            since = self._output.mark()
            coroutine = call.begin()
            try:
                awaited = call.context.run(coroutine.send, None)
            except StopIteration as end:
                self._leave(call, since, end.value)
            except (KeyboardInterrupt, SystemExit):
                raise  # which ends the loop
            except BaseException as error:  # noqa: BLE001 -- those behind it go on
                self._leave(call, since, _raised(error))
            else:
                self._is_working = False
                if self._queue:
                    self._work_soon()
                waiting = Waiting(coroutine, call.context, awaited, since)
                told = await self._caller.continued(waiting)
                self._tell(call, told, None)
                return
            if task.cancelling():  # by that call, and the next may wait
                self._work_soon()
                return
        self._is_working = False

    def _leave(self, call: QuickCall, since: Mark, told: Told) -> None:
        self._output.leave_later(since, partial(self._tell, call, told))

    def _tell(self, call: QuickCall, told: Told, failure: KvError | None) -> None:
        """Tell what came of a call, or with what *failure* that cannot leave."""
        self._caller.is_told()
        call.tell(told if failure is None else failure)


def _raised(error: BaseException) -> KvError:
    """Return what is told of what a method has raised."""
    # The first frame is of who has run it, and knows the call.
    if (traceback := error.__traceback__) is not None:
        error.__traceback__ = traceback.tb_next
    raised = raised_by(error)
    raised.__cause__ = error
    return raised
