"""
A run from the beginning to the end.

    set up -> workers and nemesis, side by side -> recover -> settle -> tear down

Time is the running loop's, chance there is none: on a loop of virtual time a run
is a function of its plan and of the system.  Nothing that goes wrong is hidden:
what an adapter raises is in the history or among the errors of the run.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import Operation
from jepsen_like.history.recorder import Recorder
from jepsen_like.nemesis.conditions import KILL
from jepsen_like.nemesis.faults import Join
from jepsen_like.nemesis.spans import Struck, fault_spans
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.runner.clients import Clients
from jepsen_like.runner.run import Bounds, Notebook, Progress, Run, Watch, described
from jepsen_like.runner.settling import Settled, Settling
from jepsen_like.runner.time import RunTime, all_of
from jepsen_like.runner.working import Striker, Worker
from jepsen_like.system import System
from jepsen_like.workloads import workload_named
from jepsen_like.workloads.workload import Workload


@runtime_checkable
class SelfObserving(Protocol):
    """A system that looks inside itself for broken promises."""

    def violations(self) -> tuple[str, ...]:
        """Return what it saw; each a sentence for people."""


@runtime_checkable
class Resting(Protocol):
    """A system that looks inside itself for what is still to come."""

    def unrest(self) -> str:
        """Return a sentence about it for people; empty if nothing is to come."""


@runtime_checkable
class Losing(Protocol):
    """A system of which nodes may lose what they acknowledged without being harmed."""

    @property
    def loses_on_kill(self) -> bool:
        """Whether a killed node may have lost what it had just acknowledged."""

    def losses(self) -> Sequence[tuple[str, float]]:
        """Return which nodes lost something by themselves, and when by the loop."""


class SetUpError(Exception):
    """The system could not be started; nothing was tested."""


async def execute(  # noqa: PLR0913 - what a run can be given, each by its name
    plan: Plan,
    system: System,
    *,
    workload: Workload | None = None,
    bounds: Bounds | None = None,
    clock_ns: Callable[[], int] | None = None,
    progress: Watch | None = None,
) -> Run:
    """
    Do what *plan* says to *system*, and return what became of it.

    Args:
        plan: What to do.
        system: To whom; set up and torn down here.
        workload: Whose operations they are, if it is not one that has a name.
        bounds: How long parts may take.
        clock_ns: What the history is dated by, if not the loop's time.
        progress: Told how far it is, after each operation.

    Raises:
        SetUpError: The system could not be started, or has other nodes.
    """
    chosen = workload or workload_named(plan.workload)
    strangers = [node for node in plan.nodes if node not in system.nodes]
    if strangers:
        msg = (
            f"{system.name} has no node {', '.join(strangers)};"
            f" its nodes are {', '.join(system.nodes)}"
        )
        raise SetUpError(msg)
    execution = _Execution(plan, system, bounds or Bounds(), progress)
    return await execution.run(chosen, clock_ns)


class _Execution:
    """One run."""

    def __init__(
        self, plan: Plan, system: System, bounds: Bounds, progress: Watch | None
    ) -> None:
        self._plan = plan
        self._system = system
        self._bounds = bounds
        self._progress = progress
        self._notebook = Notebook()
        self._clients = Clients(system, self._notebook, bounds)
        self._invokes = [step for step in plan.steps if isinstance(step, Invoke)]
        self._strikes = [step for step in plan.steps if isinstance(step, Strike)]
        self._done = 0
        self._left_out = 0
        self._time = RunTime()
        self._struck: list[Struck] = []

    async def run(self, workload: Workload, clock_ns: Callable[[], int] | None) -> Run:
        """Do all, in order."""
        try:
            await self._set_up()
            self._time = RunTime(clock_ns)
            recorder = Recorder(self._time.now_ns)
            used = await self._work(recorder)
            await self._guarded(self._system.recover(), "ending all faults")
            recovered_ns = self._time.now_ns()
            settled = await self._settle(workload, first_process=used)
            violations = self._violations()
            elapsed_ms = self._time.now_ms()
        finally:
            self._tell("tearing down")
            await self._clients.close()
            await self._guarded(self._system.tear_down(), "tearing down")
        history = self._history(workload, recorder, settled.operations, recovered_ns)
        return Run(
            history=history,
            struck=tuple(self._struck),
            left_out=self._left_out,
            unsettled=settled.unsettled,
            notes=self._notebook.notes,
            errors=self._notebook.errors,
            violations=violations,
            elapsed_ms=elapsed_ms,
        )

    async def _set_up(self) -> None:
        self._tell("setting up")
        bound_ms = self._bounds.set_up
        try:
            async with asyncio.timeout(bound_ms / 1000):
                await self._system.set_up()
        except Exception as error:
            msg = f"{self._system.name} could not be set up: {described(error)}"
            raise SetUpError(msg) from error

    async def _work(self, recorder: Recorder) -> int:
        """Do all steps; return a number above those of all processes."""
        numbers = list(dict.fromkeys(step.worker for step in self._invokes))
        count = max(numbers, default=0) + 1
        last_ms = self._plan.steps[-1].at if self._plan.steps else 0
        workers = [
            Worker(
                [step for step in self._invokes if step.worker == number],
                count,
                begin_by_ms=last_ms + self._bounds.overrun,
            )
            for number in numbers
        ]
        striker = Striker(self._system, self._notebook, bound_ms=self._bounds.fault)

        async def strike() -> int:
            self._struck = await striker.work(self._strikes, self._time)
            return 0

        self._tell("running")
        left_out = await all_of(
            [
                strike(),
                *(
                    worker.work(self._clients, recorder, self._time, self._finished)
                    for worker in workers
                ),
            ]
        )
        self._left_out = sum(left_out)
        await self._clients.close()
        return max((worker.process for worker in workers), default=0) + count

    async def _settle(self, workload: Workload, *, first_process: int) -> Settled:
        self._tell("settling")
        system = self._system
        settling = Settling(
            self._clients,
            self._time,
            workload.finals(self._invokes),
            first_process=first_process,
            unrest=system.unrest if isinstance(system, Resting) else lambda: "",
        )
        joined = tuple(
            each.strike.fault.node
            for each in self._struck
            if each.came and isinstance(each.strike.fault, Join)
        )
        return await settling.settle((*self._plan.nodes, *joined), self._plan.settle)

    def _violations(self) -> tuple[str, ...]:
        if isinstance(self._system, SelfObserving):
            return tuple(self._system.violations())
        return ()

    def _history(
        self,
        workload: Workload,
        recorder: Recorder,
        finals: Sequence[Operation],
        recovered_ns: int,
    ) -> History:
        header = Header(
            workload=self._plan.workload,
            model=workload.model,
            system=self._system.name,
            seed=self._plan.seed,
            nodes=self._plan.nodes,
        )
        recorded = recorder.history(header)
        return History(
            (*recorded.operations, *sorted(finals, key=lambda each: each.called)),
            tuple(self._spans(recovered_ns)),
            header,
        )

    def _spans(self, recovered_ns: int) -> Iterator[FaultSpan]:
        """Yield what was planned and came, and then what nodes lost by themselves."""
        losing = self._system if isinstance(self._system, Losing) else None
        for span in fault_spans(self._struck, recovered_ns):
            is_loss = losing and losing.loses_on_kill and span.kind == KILL
            yield replace(span, kind=f"{KILL} with losses") if is_loss else span
        for node, seconds in losing.losses() if losing else ():
            at = self._time.at_ns(seconds)
            yield FaultSpan("start over", at, at, (node,))

    async def _guarded(self, work: Coroutine[Any, Any, None], called: str) -> None:
        """Do *work*; whatever it raises makes the run prove nothing."""
        try:
            async with asyncio.timeout(self._bounds.set_up / 1000):
                await work
        except Exception as error:  # noqa: BLE001 - told in the run
            self._notebook.error(f"{called} failed: {described(error)}")

    def _finished(self) -> None:
        self._done += 1
        self._tell("running")

    def _tell(self, phase: str) -> None:
        if self._progress:
            self._progress(
                Progress(phase, self._done, len(self._invokes), self._time.now_ms())
            )
