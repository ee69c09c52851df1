"""
Owners: to whom each callback of the event loop belongs.

A node's incarnation is an owner, so is the network, and so are the clients of
the harness.  The owner is found from a context variable, which asyncio hands on
by itself: to tasks from who made them, to callbacks from who added them.
"""

import asyncio
from collections import deque
from contextvars import Context, ContextVar, copy_context
from enum import Enum

TASKS_KEPT = 64
"""Finished tasks are let go of when so many more have been made."""


class Life(Enum):
    """How an owner is doing."""

    RUNNING = "running"
    PAUSED = "paused"  # its callbacks wait
    DEAD = "dead"  # its callbacks never run again


class Owner:
    """
    A process of the simulation, as the event loop sees it.

    Attributes:
        name: For messages.
        context: In it, everything belongs to this owner.
        life: How it is doing; changed by the loop alone.
        ready: Callbacks whose time has come, in order.
        runnable: Whether it is in the loop's list of those that may run.
        stalled: Whether it waits for the processor.
        may_stall: Whether it ever does; nodes do.
    """

    __slots__ = (
        "_compact_at",
        "_tasks",
        "context",
        "life",
        "may_stall",
        "name",
        "ready",
        "runnable",
        "stalled",
    )

    def __init__(self, name: str, *, may_stall: bool = False) -> None:
        self.name = name
        self.may_stall = may_stall
        self.stalled = False
        self.life = Life.RUNNING
        self.ready: deque[asyncio.Handle] = deque()
        self.runnable = False
        self.context: Context = copy_context()
        self.context.run(OWNER.set, self)
        self._tasks: list[asyncio.Task[object]] = []
        self._compact_at = TASKS_KEPT

    def adopt(self, task: "asyncio.Task[object]") -> None:
        """Keep *task* until it is done."""
        self._tasks.append(task)
        if len(self._tasks) >= self._compact_at:
            self._tasks = self.unfinished()
            self._compact_at = 2 * len(self._tasks) + TASKS_KEPT

    def unfinished(self) -> "list[asyncio.Task[object]]":
        """Return the tasks that are not done, oldest first."""
        return [task for task in self._tasks if not task.done()]

    def __repr__(self) -> str:
        return f"<{self.name}, {self.life.value}>"


OWNER: ContextVar[Owner] = ContextVar("owner")
"""Whose the running code is."""
