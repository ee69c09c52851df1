"""
Voters, their disks, the network between them, clients and operators: one seed each.

The hosts and the authorities are the real ones, on virtual time.  Messages are lost,
doubled, late by up to seconds, and all go through their bytes; voters crash while they
write, nodes are cut off, disks are wiped; clients and operators die in the middle.

Judged: what clients are told, of one register (tests.simulation.voter_history); that
no view has two electorates; and that in the end, when all is well, it goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cluster.simulated.running import run as run_simulated
from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.voter_host import VoterHost
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.voters.electorate import Electorate, View
from kvnode.core.objects.voters.fields import decode_electorate
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.message_codec import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from kvnode.core.objects.voters.messages import (
    SUCCESSION,
    Install,
    Vote,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import IndeterminateError, KvError, Outcome
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.types import ReplicaId
from tests.simulation.voter_history import End, History, Value

SHARD = "eu/1"


class SlowStore(MemoryVoterStore):
    """A disk that takes its time, and may or may not have written when power fails."""

    def __init__(
        self, voter: ReplicaId, random: Random, *, copied: bool = False
    ) -> None:
        super().__init__(voter, copied=copied)
        self._random = random
        self.before: VoterMemory | None = None
        self.seconds_max = 0.01

    async def persist(self, memory: VoterMemory) -> None:
        """Write, unless the power fails before."""
        try:
            await asyncio.sleep(self._random.uniform(0, self.seconds_max))
        except asyncio.CancelledError:
            if self._random.random() < 0.5:
                await super().persist(memory)
            raise
        await super().persist(memory)


@dataclass(slots=True)
class Machine:
    """A node that hosts a voter."""

    name: str
    store: SlowStore
    configured: tuple[str, ...]
    host: VoterHost | None = None
    running: "asyncio.Task[None] | None" = None


@dataclass(frozen=True, slots=True)
class Link:
    """What the node *origin* has for a transport."""

    world: "VoterWorld"
    origin: str

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """See kvnode.authority.voter_port.VoterTransport."""
        future: asyncio.Future[VoterAnswer]
        future = asyncio.get_running_loop().create_future()
        for _ in range(self.world.copies()):
            self.world.post(self.origin, voter, encode_request(request), future)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await future
        except TimeoutError as error:
            msg = f"{voter} does not answer"
            raise IndeterminateError(msg) from error


@dataclass(slots=True)
class VoterWorld:
    """Everything there is; made within a running loop."""

    random: Random
    names: tuple[str, ...] = ("a", "b", "c", "d")
    configured: tuple[str, ...] = ("a", "b", "c")
    loss: float = 0.0
    late: float = 0.0
    history: History = field(default_factory=History)
    views: dict[View, Electorate] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    machines: dict[str, Machine] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    slow: dict[tuple[str, str], float] = field(default_factory=dict)
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)
    identities: int = 0

    def __post_init__(self) -> None:
        for name in self.names:
            configured = tuple(sorted({*self.configured, name}))
            self.machines[name] = Machine(name, self.new_disk(), configured)

    # -- machines ---------------------------------------------------------------

    def identity(self) -> ReplicaId:
        """Return one that nobody has ever had."""
        self.identities += 1
        return ReplicaId(self.identities * 1000 + self.random.randrange(1000))

    def new_disk(self, _wiped: SlowStore | None = None) -> SlowStore:
        """Return a fresh disk, perhaps in place of one that is lost."""
        return SlowStore(self.identity(), self.random)

    def start(self, name: str) -> None:
        """Start a voter with what is on its disk."""
        machine = self.machines[name]
        assert machine.host is None
        machine.host = VoterHost(
            name,
            machine.configured,
            machine.store,
            Link(self, name),
            uniform=self.random.uniform,
        )
        machine.running = asyncio.ensure_future(machine.host.run())

    async def crash(self, name: str) -> None:
        """End a voter, whatever it is doing."""
        machine = self.machines[name]
        running, machine.running, machine.host = machine.running, None, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def wipe(self, name: str) -> None:
        """Take a voter's disk away; it is down."""
        await self.crash(name)
        machine = self.machines[name]
        machine.store = self.new_disk(machine.store)

    def authority(self, origin: str) -> EmbeddedAuthority:
        """Return that of a process that has just started."""
        return EmbeddedAuthority(
            self.configured,
            Link(self, origin),
            proposer=self.identity(),
            uniform=self.random.uniform,
        )

    # -- network ------------------------------------------------------------------

    def copies(self) -> int:
        """Return how often a message is sent."""
        if self.random.random() < self.loss:
            return self.random.choice((0, 0, 2))
        return 1

    def post(
        self, origin: str, voter: str, data: bytes, future: "asyncio.Future[Any]"
    ) -> None:
        """Let a request arrive, some time."""
        self._later(
            self.slow.get((origin, voter), 0.0),
            self._deliver,
            origin,
            voter,
            data,
            future,
        )

    def _later(self, least: float, action: Callable[..., None], *args: object) -> None:
        seconds = least + self.random.uniform(0.001, 0.01)
        if self.random.random() < self.late:
            seconds = self.random.uniform(0.01, 3)
        asyncio.get_running_loop().call_later(seconds, action, *args)

    def _deliver(
        self, origin: str, voter: str, data: bytes, future: "asyncio.Future[Any]"
    ) -> None:
        host = self.machines[voter].host
        if host is not None and self.cut.isdisjoint({origin, voter}):
            self.spawn(self._answer(host, origin, voter, data, future))

    async def _answer(
        self,
        host: VoterHost,
        origin: str,
        voter: str,
        data: bytes,
        future: "asyncio.Future[Any]",
    ) -> None:
        request = decode_request(data)
        if voter in self.deaf and isinstance(request, Install | Vote):
            return
        with suppress(KvError):
            answer = encode_answer(await host.answer(request))
            if self.cut.isdisjoint({origin, voter}):
                for _ in range(self.copies()):
                    self._later(0.0, _tell, future, answer)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do something beside; its errors are raised in the end."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.violations.append(f"{task.exception()!r}")

    # -- what is true ---------------------------------------------------------------

    def look(self) -> None:
        """Note who votes in which view."""
        for machine in self.machines.values():
            memory = machine.store.memory
            for each in (memory.electorate, memory.successor):
                if each and self.views.setdefault(each.view, each) != each:
                    self.violations.append(f"{each} and {self.views[each.view]}")
            if machine.running is not None and machine.running.done():
                self.violations.append(f"{machine.name}: {machine.running!r}")

    def present(self) -> Electorate | None:
        """Return the latest view in force, None if a later one is on its way."""
        memories = [each.store.memory for each in self.machines.values()]
        votes = [each.electorate for each in memories if each.electorate]
        chosen = [each.successor for each in memories if each.successor]
        chosen += [
            decode_electorate(each.registers[SUCCESSION].accepted.value)
            for each in memories
            if SUCCESSION in each.registers
            and each.registers[SUCCESSION].accepted.value
        ]
        latest = max(votes + chosen, key=lambda each: each.view.number, default=None)
        if latest is None or 2 * votes.count(latest) <= len(latest.members):
            return None
        return latest

    def lost(self, electorate: Electorate) -> list[str]:
        """Return whose disks were lost since they were chosen."""
        there = {name: each.store.memory.voter for name, each in self.machines.items()}
        return [m.name for m in electorate.members if there[m.name] != m.identity]

    # -- clients ------------------------------------------------------------------

    async def read(self, authority: EmbeddedAuthority) -> Value:
        """Read, and note what came of it; None if that is not known."""
        return await self._noted(authority, None, None)

    async def swap(
        self, authority: EmbeddedAuthority, expected: Value, *, far: int = 1
    ) -> Value:
        """Swap for a value that is wanted once, and note what came of it."""
        leader = self.identity()
        epoch = (expected.epoch if expected else 0) + far
        desired = Configuration(epoch, leader, (leader,))
        return await self._noted(authority, expected, desired)

    async def _noted(
        self,
        authority: EmbeddedAuthority,
        expected: Value,
        desired: Configuration | None,
    ) -> Value:
        operation = self.history.begin(expected, desired)
        try:
            if desired is None:
                seen = await authority.read(SHARD)
            else:
                seen = await authority.swap(SHARD, expected, desired)
        except KvError as error:
            failed = error.outcome is Outcome.FAILED
            self.history.end(operation, End.FAILED if failed else End.UNKNOWN)
            return None
        self.history.end(operation, End.SEEN, seen)
        return seen

    async def founded(self) -> None:
        """Start the voters that are configured, and wait until they vote."""
        for name in self.configured:
            self.start(name)
        while self.present() is None:  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.01)

    async def close(self) -> list[str]:
        """End everything; return what was wrong."""
        for name in self.machines:
            await self.crash(name)
        for task in list(self.tasks):
            task.cancel()
        self.look()
        return [*self.violations, *self.history.violations()]


def _tell(future: "asyncio.Future[VoterAnswer]", answer: bytes) -> None:
    if not future.done():
        future.set_result(decode_answer(answer))


Scenario = Callable[[VoterWorld], Coroutine[Any, Any, None]]


def judged(
    scenario: Scenario,
    seed: int,
    make: Callable[[Random], VoterWorld] = VoterWorld,
) -> list[str]:
    """Run a scenario on virtual time; return what was wrong."""

    async def main(_cluster: object) -> list[str]:
        world = make(Random(seed))
        await scenario(world)
        return await world.close()

    return run_simulated(main, seed=seed, nodes=())
