"""
A simulated node: a disk and a clock that last, and incarnations that come and go.

What runs is kvnode's own assembly: core, driver, deltas, peer pool and data API.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

from cluster.simulated.chance import Chance
from cluster.simulated.disk import Disk
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import Network
from cluster.simulated.owner import Life, Owner
from cluster.simulated.road import PeerStream, SimulatedRoad, take_peer
from cluster.simulated.service import take_client
from cluster.simulated.stream import End, Host
from cluster.simulated.true_time import true_time
from kvnode.config import NodeConfig
from kvnode.core.node.events import RemoveMember
from kvnode.core.versions.store_view import DurableState
from kvnode.errors import StartOverError
from kvnode.runtime.assembly import (
    Assembly,
    Surroundings,
    assemble,
    dial_peers,
    end_turns,
    run_turns,
)
from kvnode.runtime.clock import NodeClock
from kvnode.storage.durability import Durability
from kvnode.types import ReplicaId

Answered = Callable[[DurableState, Collection[ReplicaId]], None]

PEER_PORT = 7400
CLIENT_PORT = 7401
"""A real node has one port; here it saves telling the two apart."""


def peer_address(name: str) -> str:
    """Return where the peers of node *name* reach it."""
    return f"{name}:{PEER_PORT}"


def client_address(name: str) -> str:
    """Return where the clients of node *name* reach it."""
    return f"{name}:{CLIENT_PORT}"


@dataclass(slots=True)
class _Incarnation:
    """
    One process: from its start to its end.

    `ready` and `ended` are for those outside: whoever waits for a task of a
    process that is killed waits for ever.  `clients` are connections of the node
    as it is: when it begins anew in the same process, its server ends them.
    `impostors` are connections on which an attacker speaks in the name of a peer.
    """

    owner: Owner
    host: Host
    ready: "asyncio.Future[None]"
    ended: "asyncio.Future[None]"
    assembly: Assembly | None = None
    background: "tuple[asyncio.Task[None], ...]" = ()
    stopping: "asyncio.Task[None] | None" = None
    clients: dict[End, None] = field(default_factory=dict)
    impostors: dict[PeerStream, None] = field(default_factory=dict)


class SimulatedNode:
    """
    One node of the cluster, whether it runs or not.

    Attributes:
        name: Its name, and its host's.
        disk: What it has stored.
        clock: Its wall clock.
        crashes: How its processes ended by themselves.
        answered: Is called when a client is answered, with what the node's next turn
            builds on, and whom it has met and is connected to.
    """

    def __init__(
        self,
        config: NodeConfig,
        loop: VirtualLoop,
        network: Network,
        chance: Chance,
    ) -> None:
        self.name = config.name
        self.disk = Disk(config.name, chance, Durability(config.durability))
        true = true_time(loop.time)
        self.clock = NodeClock(true, steady_time=true)
        self.crashes: list[str] = []
        self.answered: Answered = lambda _state, _connected: None
        self._config = config
        self._loop = loop
        self._network = network
        self._redialing = chance.stream(f"redial {config.name}")
        self._probing = chance.stream(f"probe {config.name}")
        self._starts = 0
        self._incarnation: _Incarnation | None = None

    @property
    def runs(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._incarnation is not None

    @property
    def paused(self) -> bool:
        """Whether the process is stopped in the middle."""
        now = self._incarnation
        return now is not None and now.owner.life is Life.PAUSED

    @property
    def serves(self) -> bool:
        """Whether it answers clients now."""
        node = self.assembly
        return node is not None and not self.paused and node.driver.serves()

    @property
    def assembly(self) -> Assembly | None:
        """The parts of the node, if it serves."""
        return self._incarnation.assembly if self._incarnation else None

    async def start(self) -> None:
        """
        Start a process on the disk as it is; return when it serves, or has ended.

        Raises:
            KvError: It could not start.
        """
        if self._incarnation is not None:
            return
        self._starts += 1
        loop = self._loop
        owner = loop.owner(f"{self.name}#{self._starts}", may_stall=True)
        host = self._network.host(self.name, owner)
        ready: asyncio.Future[None] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()
        now = self._incarnation = _Incarnation(owner, host, ready, ended)
        loop.spawn(owner, self._run(now), f"{self.name} boots")
        await ready

    async def _run(self, now: _Incarnation) -> None:
        """Be the node's main coroutine."""
        errors: list[BaseException] = []
        while True:
            try:
                await self._boot(now)
            except Exception as error:  # noqa: BLE001 -- the process ends with it, whatever it is
                self._end_later(now, error)
                return
            if not now.ready.done():
                now.ready.set_result(None)
            await asyncio.wait(now.background, return_when=asyncio.FIRST_COMPLETED)
            ended = [t for t in now.background if t.done() and not t.cancelled()]
            errors = [failure for task in ended if (failure := task.exception())]
            if now.stopping or not any(isinstance(e, StartOverError) for e in errors):
                break
            assert now.assembly is not None, "it has been running"
            await now.assembly.pool.close()
            await end_turns(now.assembly, list(now.background))
            for client in tuple(now.clients):
                client.close("the node begins anew")
            now.assembly = None
            self._network.end_listening(now.host)
        if now.stopping is not None:
            await asyncio.wait([now.stopping])
        self._end_later(now, errors[0] if errors else None)

    async def _boot(self, now: _Incarnation) -> None:
        self.disk.open()
        surroundings = Surroundings(
            self.disk,
            SimulatedRoad(self._network, now.host),
            self.clock,
            self._probing,
            self._redialing.uniform,
            self.disk.new_replica,
            _no_backup,
        )
        node = await assemble(
            self._config, surroundings, address=peer_address(self.name)
        )
        now.background = tuple(await run_turns(node))
        now.assembly = node
        listen, loop, network = self._network.listen, self._loop, self._network

        def accept_peer(end: End) -> None:
            taking = take_peer(network, node.pool, end, now.impostors)
            loop.spawn(now.owner, taking, "peer")

        def answered() -> None:
            linked = node.pool.connected().intersection(node.driver.peers())
            met = linked.difference(stream.speaker for stream in now.impostors)
            self.answered(node.driver.node.state, met)

        async def serve_client(end: End) -> None:
            now.clients[end] = None
            try:
                await take_client(node, end, answered)
            finally:
                del now.clients[end]

        def accept_client(end: End) -> None:
            loop.spawn(now.owner, serve_client(end), "client")

        listen(now.host, peer_address(self.name), accept_peer)
        listen(now.host, client_address(self.name), accept_client)
        dial_peers(node)

    def _end_later(self, now: _Incarnation, error: BaseException | None) -> None:
        """Let the process end as soon as it is not the one that runs."""
        self._loop.call_soon(self._ended, now, error, context=self._loop.world.context)

    def _ended(self, now: _Incarnation, error: BaseException | None) -> None:
        if self._incarnation is not now:
            return
        if not now.ready.done() and error is not None:
            now.ready.set_exception(error)
        elif error is not None:
            self.crashes.append(f"{type(error).__name__}: {error}")
        self._end(now)

    def _end(self, now: _Incarnation) -> None:
        self._incarnation = None
        self._loop.kill(now.owner)
        self._network.end_host(now.host)
        self.disk.crash()
        for waited in (now.ready, now.ended):
            if not waited.done():
                waited.set_result(None)

    def kill(self) -> None:
        """End the process at once, as SIGKILL or a power cut would."""
        if self._incarnation is not None:
            self._end(self._incarnation)

    async def stop(self) -> None:
        """End the process politely: what was accepted is finished."""
        now = self._incarnation
        if now is None or now.assembly is None or self.paused:
            self.kill()
            return
        node = now.assembly

        async def finish() -> None:
            await node.pool.close()
            await end_turns(node, list(now.background))

        now.stopping = self._loop.spawn(now.owner, finish(), f"{self.name} stops")
        await now.ended

    def remove(self, replica: ReplicaId) -> bool:
        """Have the operator declare *replica* gone; False if it is no member here."""
        node = self.assembly
        if node is None or not node.driver.roster().counts(replica):
            return False
        node.driver.tell(RemoveMember(replica))
        return True

    def pause(self) -> None:
        """Freeze the process, as SIGSTOP would."""
        if self._incarnation is not None:
            self._loop.pause(self._incarnation.owner)

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self._incarnation is not None:
            self._loop.resume(self._incarnation.owner)


async def _no_backup() -> AsyncIterator[bytes]:
    """Yield nothing: backups of a simulated disk are taken from outside."""
    return
    yield b""  # what makes it a generator
