"""
Workers and the nemesis: those who do what the plan says, when it says so.

A worker does one operation after the other.  After one that ended `INFO`, or that the
store refused for having lost what the process had seen, it goes on as a new process,
so process % (number of workers) is always the worker.
"""

import asyncio
from collections.abc import Callable, Sequence

from jepsen_like.history.recorder import Recorder
from jepsen_like.nemesis.conditions import kind, nodes_met
from jepsen_like.nemesis.spans import Struck
from jepsen_like.plan import Invoke, Strike
from jepsen_like.runner.clients import Clients, Question
from jepsen_like.runner.run import Notebook, described
from jepsen_like.runner.time import RunTime
from jepsen_like.system import NotPossibleError, System

_LATE_MS = 1_000
"""A fault that comes later than that is worth a note."""


class Worker:
    """One client that does its operations in order."""

    def __init__(
        self, invokes: Sequence[Invoke], workers: int, *, begin_by_ms: int
    ) -> None:
        """
        Begin with nothing done.

        Args:
            invokes: What it is to do, all of one worker, in order of time.
            workers: How many there are, by which process numbers rise.
            begin_by_ms: What has not begun by then is left out.
        """
        self._invokes = invokes
        self._workers = workers
        self._begin_by_ms = begin_by_ms
        self.process = invokes[0].worker

    async def work(
        self,
        clients: Clients,
        recorder: Recorder,
        time: RunTime,
        finished: Callable[[], None],
    ) -> int:
        """Do all and return how many were left out; call *finished* after each."""
        for done, step in enumerate(self._invokes):
            await time.sleep_until(step.at)
            if time.now_ms() > self._begin_by_ms:
                return len(self._invokes) - done
            token = recorder.invoked(
                self.process, step.node, step.f, step.key, step.argument
            )
            reply = await clients.ask(
                self.process, Question(step.node, step.f, step.key, step.argument)
            )
            recorder.returned(
                token, reply.outcome, reply.value, reply.version, reply.error
            )
            if reply.ends_process:
                await clients.retire(self.process)
                self.process += self._workers
            finished()
        return 0


class Striker:
    """The nemesis at work: one fault after the other."""

    def __init__(self, system: System, notebook: Notebook, *, bound_ms: int) -> None:
        """
        Begin with nothing done.

        Args:
            system: Whom to harm.
            notebook: Where errors of the adapter go.
            bound_ms: What is not there by then never came to be.
        """
        self._system = system
        self._notebook = notebook
        self._bound_ms = bound_ms

    async def work(self, strikes: Sequence[Strike], time: RunTime) -> list[Struck]:
        """Do all *strikes*, and return what became of each."""
        struck: list[Struck] = []
        for strike in strikes:
            await time.sleep_until(strike.at)
            if time.now_ms() > strike.at + _LATE_MS:
                self._notebook.note(
                    f"{_called(strike)} came {time.now_ms() - strike.at} ms late"
                )
            began = time.now_ns()
            error = await self._inject(strike)
            struck.append(Struck(strike, began, time.now_ns(), error))
        return struck

    async def _inject(self, strike: Strike) -> str:
        """Do one fault; return why not, or nothing."""
        bound = asyncio.timeout(self._bound_ms / 1000)
        try:
            async with bound:
                await self._system.inject(strike.fault)
        except NotPossibleError as error:
            return f"not possible: {error}"
        except TimeoutError as error:
            if bound.expired():
                return f"not there after {self._bound_ms} ms"
            return self._failed(strike, error)
        except Exception as error:  # noqa: BLE001 - told in the run, which then proves nothing
            return self._failed(strike, error)
        return ""

    def _failed(self, strike: Strike, error: Exception) -> str:
        told = described(error)
        self._notebook.error(f"{_called(strike)} at {strike.at} ms failed: {told}")
        return told


def _called(strike: Strike) -> str:
    met = ", ".join(nodes_met(strike.fault))
    return f"{kind(strike.fault)} of {met}" if met else kind(strike.fault)
