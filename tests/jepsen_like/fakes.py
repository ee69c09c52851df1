"""
Systems and a workload for tests of the runner, with and without mistakes.

`FakeSystem` is one dictionary that all nodes share, so it is linearizable.
"""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.nemesis.faults import (
    Fault,
    FlipBits,
    Kill,
    Pause,
    Resume,
    Start,
)
from jepsen_like.plan import Invoke, Plan
from jepsen_like.runner.execution import execute
from jepsen_like.runner.run import Run
from jepsen_like.system import (
    Answer,
    FailedError,
    NotPossibleError,
    ProcessEndedError,
)
from jepsen_like.verdict import Judgement, Verdict, Witness
from jepsen_like.workloads.workload import Extent, Final
from tests.jepsen_like.virtual_time import run_virtually

NODES = ("n1", "n2", "n3")


class FakeClient:
    """A connection to one node of a `FakeSystem`."""

    def __init__(self, system: "FakeSystem", node: str) -> None:
        self._system = system
        self._node = node

    async def invoke(self, f: str, key: Key, argument: Value) -> Answer:
        """Read or write, or do something odd."""
        await self._system.reached(self._node)
        match f:
            case "read":
                return Answer(self._system.read(self._node, key))
            case "write":
                self._system.write(self._node, key, argument)
                return Answer()
            case "conflicts":
                return Answer(())
            case "fail":
                message = "never"
                raise FailedError(message)
            case "end":
                message = "never, nor anything else"
                raise ProcessEndedError(message)
            case "break":
                message = "an adapter's mistake"
                raise ZeroDivisionError(message)
            case _:
                await asyncio.sleep(3600)
                return Answer()

    async def close(self) -> None:
        """Count connections that are open."""
        self._system.open_clients -= 1


class FakeSystem:
    """A linearizable store of three nodes that can be killed and paused."""

    name = "fake"

    def __init__(self, nodes: tuple[str, ...] = NODES) -> None:
        self.nodes = nodes
        self.stored: dict[Key, Value] = {}
        self.down: list[str] = []
        self.paused: list[str] = []
        self.suffered: list[Fault] = []
        self.open_clients = 0
        self.open_clients_most = 0
        self.is_up = False
        self.latency_s = 0.001
        self.changed = asyncio.Condition()

    async def set_up(self) -> None:
        """Begin empty."""
        self.is_up = True

    async def connect(self, process: int, node: str) -> FakeClient:
        """Return a client, unless the node is down."""
        del process
        if node in self.down:
            message = "connection refused"
            raise ConnectionRefusedError(message)
        self.open_clients += 1
        self.open_clients_most = max(self.open_clients_most, self.open_clients)
        return FakeClient(self, node)

    async def reached(self, node: str) -> None:
        """Return when *node* handles a request."""
        await asyncio.sleep(self.latency_s)
        if node in self.down:
            message = "down"
            raise FailedError(message)
        async with self.changed:
            await self.changed.wait_for(lambda: node not in self.paused)

    def read(self, node: str, key: Key) -> Value:
        """Return what *node* has."""
        del node
        return self.stored.get(key)

    def write(self, node: str, key: Key, value: Value) -> None:
        """Store *value*."""
        del node
        self.stored[key] = value

    async def inject(self, fault: Fault) -> None:
        """Suffer *fault*; damage to a dictionary is not possible."""
        if isinstance(fault, FlipBits):
            message = "a dictionary has no bits"
            raise NotPossibleError(message)
        self.suffered.append(fault)
        match fault:
            case Kill(nodes):
                self.down.extend(nodes)
            case Start(nodes):
                self.down = [each for each in self.down if each not in nodes]
            case Pause(nodes):
                self.paused.extend(nodes)
            case Resume(nodes):
                self.paused = [each for each in self.paused if each not in nodes]
                await self._tell_waiting()
            case _:
                pass

    async def recover(self) -> None:
        """End all faults."""
        self.down.clear()
        self.paused.clear()
        await self._tell_waiting()

    async def tear_down(self) -> None:
        """Stop."""
        self.is_up = False

    async def _tell_waiting(self) -> None:
        async with self.changed:
            self.changed.notify_all()


class ForgetfulSystem(FakeSystem):
    """After a restart a node acknowledges overwriting, and does not do it."""

    name = "forgetful"

    def write(self, node: str, key: Key, value: Value) -> None:
        """Store *value*, unless the mistake is met."""
        was_killed = any(
            isinstance(each, Kill) and node in each.nodes for each in self.suffered
        )
        if not (was_killed and key in self.stored):
            self.stored[key] = value


class DividedSystem(FakeSystem):
    """Each node stores for itself and tells nobody."""

    name = "divided"

    def read(self, node: str, key: Key) -> Value:
        """Return what was written here."""
        return self.stored.get(f"{node}/{key}")

    def write(self, node: str, key: Key, value: Value) -> None:
        """Store *value* here."""
        self.stored[f"{node}/{key}"] = value


class LastWrites:
    """Reads and unique writes; at the end one of the last writes is there."""

    name = "last-writes"
    model = "register"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield reads and writes, evenly in time."""
        for number in range(extent.operations):
            yield Invoke(
                at=extent.duration_ms * number // extent.operations,
                worker=random.randrange(extent.workers),
                node=random.choice(nodes),
                f=random.choice(("read", "write")),
                key=f"k{random.randrange(extent.keys)}",
                argument=number,
            )

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each key."""
        keys = dict.fromkeys(each.key for each in invocations)
        return tuple(Final("read", key) for key in keys)

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Find final reads of what had been overwritten."""
        witnesses = [
            witness
            for key, operations in history.by_key().items()
            for witness in _lost(key, operations)
        ]
        if not witnesses:
            return (Judgement("last-write", Verdict.VALID),)
        reason = witnesses[0].explanation
        return (Judgement("last-write", Verdict.INVALID, reason, tuple(witnesses)),)


def _lost(key: Key, operations: Sequence[Operation]) -> Iterator[Witness]:
    writes = [each for each in operations if each.f == "write"]
    done = [each for each in writes if each.outcome is Outcome.OK]
    for final in operations:
        if final.f != "final-read" or final.outcome is not Outcome.OK:
            continue
        seen = [each for each in writes if each.argument == final.result]
        for later in done:
            if not seen or seen[0].returned < later.called:
                yield Witness(
                    "lost write",
                    f"{later.argument} was written last and {final.result} is there",
                    (*seen, later, final),
                    key,
                )
                return


def run_on(system: FakeSystem, plan: Plan, **options: object) -> Run:
    """Return the run of *plan* on *system* in virtual time."""
    return run_virtually(
        execute(plan, system, workload=LastWrites(), **options)  # type: ignore[arg-type]  # options of execute, passed on
    )


def linearizable(plan: Plan) -> Run:
    """Run *plan*, of a workload that has a name, on a system without mistakes."""
    return run_virtually(execute(plan, FakeSystem(plan.nodes)))


def forgetful(plan: Plan) -> Run:
    """Run *plan* on one that forgets."""
    return run_virtually(execute(plan, ForgetfulSystem(plan.nodes)))


def divided(plan: Plan) -> Run:
    """Run *plan* on one whose nodes never talk."""
    return run_virtually(execute(plan, DividedSystem(plan.nodes)))


def in_real_time(plan: Plan) -> FakeSystem:
    """Return a system to run *plan* on in real time."""
    return FakeSystem(plan.nodes)


class UnstartableSystem(FakeSystem):
    """Cannot be set up."""

    async def set_up(self) -> None:
        """Fail."""
        message = "the port is taken"
        raise OSError(message)


def unstartable(plan: Plan) -> FakeSystem:
    """Return a system that cannot be set up."""
    return UnstartableSystem(plan.nodes)


_runs_before: list[Plan] = []


def restless(plan: Plan) -> Run:
    """Run *plan* so that no two runs are alike."""
    system = FakeSystem(plan.nodes)
    _runs_before.append(plan)
    system.latency_s *= len(_runs_before)
    return run_virtually(execute(plan, system))


def broken(plan: Plan) -> Run:
    """Break."""
    del plan
    message = "a mistake in the simulation"
    raise ZeroDivisionError(message)
