"""
An event loop on virtual time, which decides whose turn it is by chance.

Time stands still while callbacks run and then jumps to the next timer, so hours
take seconds and nothing depends on the machine.  Callbacks belong to owners
(cluster.simulated.owner).  Those of one owner run in the order in which they
became ready, as on asyncio's loop; whose turn is next is drawn, so that one seed
is one interleaving of the processes.

An owner can be paused, as by SIGSTOP, or killed, as by SIGKILL: then none of its
callbacks runs again, and no `finally` of its coroutines has any effect.  They
are kept until the end, because their destruction would run them.

References:
    Zhou et al., 2021.  FoundationDB: a distributed unbundled transactional key
        value store.  Section 4: simulation.
"""

import asyncio
import gc
import heapq
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Never, TypeVar

from cluster.simulated.chance import Chance
from cluster.simulated.owner import OWNER, Life, Owner

T = TypeVar("T")

CALLBACKS_PER_INSTANT_MAX = 1_000_000
"""More without any time passing is a loop that never ends."""

SECONDS_MAX = 100_000.0
"""A run that takes longer waits for what never comes: nodes tick for ever."""

CALLBACKS_PER_COLLECTION = 500_000
"""Cyclic garbage is collected at fixed points of a run: collecting runs code."""

STALL_PROBABILITY = 0.002
STALL_SECONDS_MAX = 0.02
"""Now and then a process that has something to do is not given the processor."""

COMPLAINTS_MAX = 100
CLOSINGS_MAX = 50
"""Times that a buried coroutine may refuse to end."""

_FORBIDDEN = (
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "run_in_executor",
    "sendfile",
    "set_default_executor",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)


class SimulationError(Exception):
    """The simulated program did what cannot be simulated; says what."""


class DeadlockError(SimulationError):
    """Nothing can ever happen again, and the main coroutine waits."""


class _Handle(asyncio.Handle):
    """A callback that is ready, and whose it is."""

    __slots__ = ()

    def __init__(  # asyncio's own would look at the time and the stack
        self,
        callback: Callable[..., object],
        args: tuple[object, ...],
        loop: "VirtualLoop",
        context: Context,
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._source_traceback = None
        self._repr = None


class _Timer(asyncio.TimerHandle):
    """A callback that becomes ready at a time."""

    __slots__ = ("number",)

    def __init__(  # noqa: PLR0913, PLR0917 -- all that a timer is; a hot path
        self,
        when: float,
        number: int,
        callback: Callable[..., object],
        args: tuple[object, ...],
        loop: "VirtualLoop",
        context: Context,
    ) -> None:
        self._when = when
        self.number = number
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._scheduled = True
        self._source_traceback = None
        self._repr = None


class VirtualLoop(asyncio.AbstractEventLoop):
    """
    The loop of one simulation.

    Attributes:
        now: Virtual seconds since the run began.
        world: Owner of what belongs to no process, such as the network.
        main: Owner of the main coroutine and the clients.
        complaints: Errors that nobody took, by whom, in order.
    """

    def __init__(self, chance: Chance, seconds_max: float = SECONDS_MAX) -> None:
        """
        Make a loop.

        Args:
            chance: What is drawn from.
            seconds_max: Virtual time after which the run is given up.
        """
        self.now = 0.0
        self._owners: list[Owner] = []
        self.world = self.owner("world")
        self.main = self.owner("main")
        self.complaints: list[str] = []
        self._order = chance.stream("order")
        self._stalls = chance.stream("stalls")
        self._runnable: list[Owner] = []
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = 0
        self._cancelled_timers = 0
        self._graveyard: list[asyncio.Task[Any]] = []
        self._running: Owner | None = None
        self._buried = False
        self._closed = False
        self._callbacks = 0
        self._seconds_max = seconds_max

    # -- what asyncio asks of a loop ------------------------------------------

    def time(self) -> float:
        """Return virtual seconds since the run began."""
        return self.now

    def get_debug(self) -> bool:
        """Return False: debugging looks at the real time."""
        return False

    def is_running(self) -> bool:
        """Tell whether the simulation goes on."""
        return not self._buried

    def is_closed(self) -> bool:
        """Tell whether the simulation is over."""
        return self._closed

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[T]":
        """Run *coro* as a task of the owner of *context*, or of the running one."""
        context = context or copy_context()
        task: asyncio.Task[T] = asyncio.Task(
            coro, loop=self, name=name or "task", context=context
        )
        owner = context.get(OWNER, self.main)
        if self._buried or owner.life is Life.DEAD:
            self._graveyard.append(task)  # it will never run
        else:
            owner.adopt(task)
        return task

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Let *callback* run after what is ready already of its owner."""
        context = context or copy_context()
        handle = _Handle(callback, args, self, context)
        self._make_ready(context.get(OWNER, self.main), handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Let *callback* run in *delay* virtual seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Let *callback* run at virtual time *when*."""
        self._numbers += 1
        timer = _Timer(
            when, self._numbers, callback, args, self, context or copy_context()
        )
        heapq.heappush(self._timers, (when, self._numbers, timer))
        return timer

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > 1000 + len(self._timers) // 2:
            self._timers = [item for item in self._timers if not item[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody took: it is a fault of the simulated program."""
        if not self._buried and len(self.complaints) < COMPLAINTS_MAX:
            owner = self._running.name if self._running else "?"
            what = context.get("exception") or context.get("message")
            self.complaints.append(f"{owner}: {what!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Do as `call_exception_handler`."""
        self.call_exception_handler(context)

    # -- owners ---------------------------------------------------------------

    def owner(self, name: str, *, may_stall: bool = False) -> Owner:
        """Return a new owner, which runs."""
        owner = Owner(name, may_stall=may_stall)
        self._owners.append(owner)
        return owner

    def spawn(
        self, owner: Owner, coro: Coroutine[Any, Any, T], name: str
    ) -> "asyncio.Task[T]":
        """Run *coro* as a task of *owner*."""
        return self.create_task(coro, name=name, context=owner.context.copy())

    def pause(self, owner: Owner) -> None:
        """Keep back all callbacks of *owner*, timers too, until `resume`."""
        if owner.life is Life.RUNNING:
            owner.life = Life.PAUSED
            self._forget_runnable(owner)

    def resume(self, owner: Owner) -> None:
        """Let a paused owner go on where it was."""
        if owner.life is Life.PAUSED:
            owner.life = Life.RUNNING
            self._wake(owner)

    def kill(self, owner: Owner) -> None:
        """End *owner* in the middle of whatever it does; it notices nothing."""
        assert owner is not self._running, "nobody kills itself"
        owner.life = Life.DEAD
        owner.ready.clear()
        self._forget_runnable(owner)
        self._owners.remove(owner)
        self._graveyard.extend(owner.unfinished())

    def _make_ready(self, owner: Owner, handle: asyncio.Handle) -> None:
        if owner.life is Life.DEAD or self._buried:
            return
        owner.ready.append(handle)
        if not owner.runnable and owner.life is Life.RUNNING and not owner.stalled:
            if owner.may_stall and self._stalls.happens(STALL_PROBABILITY):
                owner.stalled = True
                seconds = self._stalls.between(0, STALL_SECONDS_MAX, 0)
                self.call_later(
                    seconds, self._end_stall, owner, context=self.world.context
                )
            else:
                owner.runnable = True
                self._runnable.append(owner)

    def _end_stall(self, owner: Owner) -> None:
        owner.stalled = False
        self._wake(owner)

    def _wake(self, owner: Owner) -> None:
        """Let *owner* run if it has something to do and nothing keeps it."""
        if owner.ready and owner.life is Life.RUNNING and not owner.stalled:
            owner.runnable = True
            self._runnable.append(owner)

    def _forget_runnable(self, owner: Owner) -> None:
        if owner.runnable:
            owner.runnable = False
            self._runnable.remove(owner)

    # -- running --------------------------------------------------------------

    def run_until_complete(  # type: ignore[override]  # takes coroutines alone
        self, main: Coroutine[Any, Any, T]
    ) -> T:
        """
        Run *main* to its end, and bury everything else.

        Raises:
            DeadlockError: *main* waits, and nothing can happen any more.
            SimulationError: The program runs for ever without time passing, or
                asked for what cannot be simulated.
        """
        before = asyncio._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        collecting = gc.isenabled()
        gc.disable()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._close_generator)
        task = self.spawn(self.main, main, "main")
        try:
            self._run_until(task)
            return task.result()
        finally:
            self._bury()
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(before)
            if collecting:
                gc.enable()

    def _run_until(self, task: "asyncio.Task[T]") -> None:
        at_instant = 0
        runnable = self._runnable
        while not task.done():
            if not runnable:
                self._advance(task)
                at_instant = 0
                continue
            position = 0
            if len(runnable) > 1:
                position = self._order.below(len(runnable))
            owner = runnable[position]
            handle = owner.ready.popleft()
            if not owner.ready:
                owner.runnable = False
                runnable[position] = runnable[-1]
                runnable.pop()
            if handle._cancelled:
                continue
            self._running = owner
            handle._run()
            self._running = None
            at_instant += 1
            if at_instant > CALLBACKS_PER_INSTANT_MAX:
                msg = (
                    f"{at_instant} callbacks ran at {self.now:.6f} s without time"
                    f" passing, the last of {owner.name}: {handle!r}"
                )
                raise SimulationError(msg)
            self._callbacks += 1
            if self._callbacks % CALLBACKS_PER_COLLECTION == 0:
                gc.collect()

    def _advance(self, task: "asyncio.Task[T]") -> None:
        """Let time jump to the next timer, and make all ready that are due then."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
            self._cancelled_timers -= 1
        if not timers:
            msg = (
                f"at {self.now:.3f} s nothing can happen any more, and main waits in"
                f" {_where(task)}"
            )
            raise DeadlockError(msg)
        if timers[0][0] > self._seconds_max:
            msg = f"at {self.now:.3f} s main still waits in {_where(task)}"
            raise SimulationError(msg)
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                self._make_ready(timer._context.get(OWNER, self.main), timer)

    def _close_generator(self, generator: AsyncGenerator[object, None]) -> None:
        """Let a forgotten generator clean up, if its owner still can."""
        owner = OWNER.get(self.main)
        if not self._buried and owner.life is not Life.DEAD:
            self.create_task(generator.aclose())

    # -- the end --------------------------------------------------------------

    def _bury(self) -> None:
        """
        Close all that was never finished, when nothing has any effect any more.

        Closing runs every `finally`.  What they call does nothing: callbacks are
        dropped, and errors are of no interest.
        """
        self._buried = True
        for owner in self._owners:
            self._graveyard.extend(owner.unfinished())
        for task in self._graveyard:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # how asyncio itself keeps quiet
            _close(task.get_coro())
        self._graveyard.clear()
        self._timers.clear()
        self._closed = True


def _where(task: "asyncio.Task[T]") -> str:
    """Return where in the program *task* waits, for people."""
    frames = task.get_stack()
    lines = (f"{f.f_code.co_qualname}, line {f.f_lineno}" for f in frames)
    return "; ".join(lines) or "nothing"


def _close(coro: object) -> None:
    """Close a coroutine that may await or raise on its way out."""
    assert isinstance(coro, Coroutine), "tasks run coroutines"
    for _ in range(CLOSINGS_MAX):
        try:
            coro.close()
        except BaseException:  # noqa: BLE001, S112 -- it is dead: nobody listens
            continue
        return


def _forbidden(name: str) -> Callable[..., Never]:
    def refuse(_loop: VirtualLoop, *args: object, **named: object) -> Never:
        del args, named
        msg = f"{name}: there are no files, sockets, threads or processes here"
        raise SimulationError(msg)

    refuse.__name__ = name
    return refuse


for _name in _FORBIDDEN:
    setattr(VirtualLoop, _name, _forbidden(_name))
