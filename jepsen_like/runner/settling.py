"""
The quiet end: all faults are over, and the nodes must come to agree in time.

Every node is asked all finals, round after round, until all give the same answers
or the time is over (safety has been tested; this is liveness).  Only the answers
of the last round go into the history, as operations `final-...`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.runner.clients import Clients, Question
from jepsen_like.runner.run import Unsettled
from jepsen_like.runner.time import RunTime, all_of
from jepsen_like.workloads.workload import Final as FinalQuestion

FINAL_PREFIX: Final = "final-"
_WAIT_MS: Final = 100
_WAIT_MS_MAX: Final = 2_000


class Settled(NamedTuple):
    """
    How the end was.

    Attributes:
        operations: The last round.
        unsettled: Why the nodes were not at rest; None if they were.
    """

    operations: tuple[Operation, ...]
    unsettled: Unsettled | None


class Settling:
    """Asks all nodes until they agree."""

    def __init__(
        self,
        clients: Clients,
        time: RunTime,
        finals: Sequence[FinalQuestion],
        *,
        first_process: int,
        unrest: Callable[[], str] = lambda: "",
    ) -> None:
        """
        Begin with no round done.

        Args:
            clients: Through which to ask.
            time: Of the run.
            finals: What to ask.
            first_process: A number that, like those above, no process has had.
            unrest: Tells what the system has still to do, which must end, too.
        """
        self._clients = clients
        self._time = time
        self._finals = tuple(finals)
        self._unrest = unrest
        self._next_process = first_process
        self._processes: dict[str, int] = {}

    async def settle(self, nodes: Sequence[str], within_ms: int) -> Settled:
        """Ask *nodes* until they agree, for *within_ms* at most and at least once."""
        deadline_ms = self._time.now_ms() + within_ms
        wait_ms = _WAIT_MS
        while True:
            answered = await all_of([self._ask_all(node) for node in nodes])
            unsettled = _difference(answered, self._finals)
            if unsettled is None and (reason := self._unrest()):
                unsettled = Unsettled(reason, ())
            left_ms = deadline_ms - self._time.now_ms()
            if not unsettled or left_ms <= 0:
                operations = tuple(each for part in answered for each in part)
                return Settled(operations, _late(unsettled, within_ms))
            await asyncio.sleep(min(wait_ms, left_ms) / 1000)
            wait_ms = min(2 * wait_ms, _WAIT_MS_MAX)

    async def _ask_all(self, node: str) -> list[Operation]:
        """Ask *node* finals until one is not answered, and return them as asked."""
        operations: list[Operation] = []
        if node not in self._processes:
            self._processes[node] = self._next_process
            self._next_process += 1
        process = self._processes[node]
        for final in self._finals:
            called = self._time.now_ns()
            reply = await self._clients.ask(
                process, Question(node, final.f, final.key, final.argument)
            )
            is_open = reply.outcome is Outcome.INFO
            returned = FOREVER if is_open else self._time.now_ns()
            operations.append(
                Operation(
                    process=process,
                    f=FINAL_PREFIX + final.f,
                    key=final.key,
                    argument=final.argument,
                    result=reply.value,
                    called=called,
                    returned=returned,
                    outcome=reply.outcome,
                    node=node,
                    version=reply.version,
                    error=reply.error,
                )
            )
            if reply.outcome is not Outcome.OK:
                # The next round begins anew, as a process that nothing is open of.
                del self._processes[node]
                await self._clients.retire(process)
                break
        return operations


def _difference(
    answered: Sequence[Sequence[Operation]], finals: Sequence[FinalQuestion]
) -> Unsettled | None:
    """Return why the answers of all nodes are not there and alike, if so."""
    for operations in answered:
        for each in operations:
            if each.outcome is not Outcome.OK:
                reason = f"{each.node} did not answer {_asked(each)}: {each.error}"
                return Unsettled(reason, (each,))
    first, *others = answered
    for operations in others:
        for one, other, final in zip(first, operations, finals, strict=True):
            if final.alike and one.result != other.result:
                reason = (
                    f"{one.node} and {other.node} differ in {_asked(one)}:"
                    f" {one.result!r} and {other.result!r}"
                )
                return Unsettled(reason, (one, other))
    return None


def _late(unsettled: Unsettled | None, within_ms: int) -> Unsettled | None:
    if unsettled is None:
        return None
    reason = f"{unsettled.reason}, {within_ms} ms after all faults had ended"
    return unsettled._replace(reason=reason)


def _asked(operation: Operation) -> str:
    if operation.key is None:
        return operation.f
    return f"{operation.f} of {operation.key!r}"
