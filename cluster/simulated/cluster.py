"""
A whole cluster in one thread: real nodes on a simulated network, disk and clock.

    def main(cluster: SimulatedCluster) -> ...:
        await cluster.start_all()
        ...

    run(main, nodes=("a", "b", "c"), seed=7)

The same seed gives the same run, byte for byte.  Whatever a nemesis can do is a
method; clients are kvnode's own, on the simulated network.  While it runs a
judge looks at every commit (cluster.simulated.judge); `violations` says what it
found.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from cluster.simulated.attacks import Attacker
from cluster.simulated.chance import Chance
from cluster.simulated.client import (
    DEADLINE_SECONDS,
    SimulatedClient,
    SimulatedDispatcher,
)
from cluster.simulated.judge import Judge
from cluster.simulated.line import Trouble
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import Network, Pair
from cluster.simulated.node import SimulatedNode, client_address, peer_address
from cluster.simulated.trace import Trace
from kvnode.config import NodeConfig
from kvnode.core.versions.store_view import Commit
from kvnode.storage.durability import Durability
from kvnode.types import EntryKey

SERVING_SECONDS_MAX = 5.0
"""Longer than an empty node waits for a peer to join."""

SERVING_LOOK_SECONDS = 0.01


class SimulatedCluster:
    """
    Nodes, the network between them, and what can be done to both.

    Attributes:
        names: Of the nodes, in order.
        chance: What is drawn from.
        trace: What was sent and committed.
        network: What is between them.
    """

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        nodes: Sequence[str],
        loop: VirtualLoop,
        chance: Chance,
        *,
        delays_ms: Mapping[Pair, float],
        durability: Durability,
        settings: Mapping[str, object],
        regions: Mapping[str, str],
        trace: Trace,
    ) -> None:
        """Make a cluster of which nothing runs yet; see `run`."""
        self.names = tuple(nodes)
        self.chance = chance
        self.trace = trace
        self.network = Network(loop, chance, delays_ms, trace)
        self._loop = loop
        self._judge = Judge(loop.time)
        self._nodes: dict[str, SimulatedNode] = {}
        for name in self.names:
            peers = tuple(
                {"name": other, "address": peer_address(other)}
                for other in self.names
                if other != name
            )
            config = NodeConfig.model_validate(
                {
                    "name": name,
                    "listen": peer_address(name),
                    "peers": peers,
                    "durability": durability.value,
                    "region": regions.get(name, ""),
                    **settings,
                }
            )
            node = SimulatedNode(config, loop, self.network, chance)
            node.disk.on_applied = self._noting(name)
            self._nodes[name] = node
        self._attacker = Attacker(
            self.network, loop.owner("hostile"), chance.stream("attacks")
        )

    def _noting(self, name: str) -> "_Noting":
        return _Noting(name, self.trace, self._judge)

    def node(self, name: str) -> SimulatedNode:
        """Return the node called *name*."""
        node = self._nodes.get(name)
        if node is None:
            msg = f"there is no node {name!r}; there are {', '.join(self.names)}"
            raise ValueError(msg)
        return node

    # -- processes ------------------------------------------------------------

    async def start_all(self) -> None:
        """Start all nodes that are down; return when all serve, if they soon do."""
        for name in self.names:
            await self.start(name)
        for _ in range(int(SERVING_SECONDS_MAX / SERVING_LOOK_SECONDS)):
            if all(self._nodes[name].serves for name in self.names):
                break
            await asyncio.sleep(SERVING_LOOK_SECONDS)

    async def start(self, name: str) -> None:
        """
        Start node *name* on the disk as it is; nothing if it runs.

        Raises:
            KvError: It cannot start.
        """
        node = self.node(name)
        if not node.runs:
            self.trace.note(f"start {name}")
            self._judge.opened(name, node.disk)
            await node.start()

    async def stop(self, name: str) -> None:
        """End node *name* politely."""
        self.trace.note(f"stop {name}")
        await self.node(name).stop()

    async def kill(self, name: str) -> None:
        """End node *name* at once, as SIGKILL or a power cut would."""
        self.trace.note(f"kill {name}")
        self.node(name).kill()

    async def pause(self, name: str) -> None:
        """Freeze node *name* where it is."""
        self.node(name).pause()

    async def resume(self, name: str) -> None:
        """Let node *name* go on."""
        self.node(name).resume()

    def running(self) -> tuple[str, ...]:
        """Return the nodes whose processes run, paused ones too."""
        return tuple(name for name in self.names if self._nodes[name].runs)

    # -- the network ----------------------------------------------------------

    async def cut(self, links: Iterable[Pair]) -> None:
        """Let nothing pass over *links*, each (sender, receiver)."""
        for link in links:
            self.network.cut(link)

    async def disturb(self, links: Iterable[Pair], trouble: Trouble) -> None:
        """Make *links* worse; replaces what was wrong with them before."""
        for link in links:
            self.network.disturb(link, trouble)

    async def heal(self) -> None:
        """Open all links, and make them as they were."""
        self.network.heal()

    def links(self) -> tuple[Pair, ...]:
        """Return all links between nodes, both ways."""
        return tuple(permutations(self.names, 2))

    # -- clocks and disks -----------------------------------------------------

    async def set_clock(self, name: str, offset_ms: int, drift_ppm: int = 0) -> None:
        """Make the wall clock of *name* wrong by so much from now on."""
        self.node(name).clock.bend(offset_ms=offset_ms, drift_ppm=drift_ppm)

    async def fill_disk(self, name: str, left_bytes: int | None = None) -> None:
        """Leave *name* room for *left_bytes*; by default little or none."""
        self.node(name).disk.fill(left_bytes)

    async def free_disk(self, name: str) -> None:
        """Give *name* its room back."""
        self.node(name).disk.free()

    async def slow_disk(self, name: str, sync_ms: float) -> None:
        """Make each sync of *name* take *sync_ms* longer; 0 = as it was."""
        self.node(name).disk.slow_seconds = sync_ms / 1000

    async def flip_bits(self, name: str) -> EntryKey | None:
        """Damage one stored record of *name*; return whose it is, if any."""
        key = self.node(name).disk.flip_bit()
        if key is not None:
            self._judge.flipped(name, key)
        return key

    async def take_backup(self, name: str) -> None:
        """Keep a copy of what *name* has stored now."""
        self.node(name).disk.take_backup()

    async def restore_backup(self, name: str) -> bool:
        """
        End *name*, give it its last backup as a new replica, and start it.

        Returns:
            False if there is no backup: nothing was done.
        """
        disk = self.node(name).disk
        if not disk.has_backup:
            return False
        await self.kill(name)
        disk.restore_backup()
        await self.start(name)
        return True

    async def wipe(self, name: str) -> None:
        """End *name*, delete all it has stored, and start it by its old name."""
        await self.kill(name)
        self.node(name).disk.wipe()
        await self.start(name)

    # -- attacks --------------------------------------------------------------

    async def flood(self, name: str, messages: int) -> int:
        """Send *name* old messages of its peers; return how many there were."""
        return await self._attacker.flood(name, peer_address(name), messages)

    async def garble(self, name: str, messages: int) -> int:
        """Send *name* messages that no correct peer sends; return how many."""
        return await self._attacker.garble(name, peer_address(name), messages)

    # -- clients --------------------------------------------------------------

    def client(
        self,
        name: str,
        node: str,
        session_token: bytes = b"",
        *,
        deadline: float = DEADLINE_SECONDS,
    ) -> SimulatedClient:
        """
        Return a session of a client with one node.

        Args:
            name: The client's host, for links: not a node's name.
            node: Which node it talks to.
            session_token: What the session has seen before.
            deadline: Seconds that a call may take, unless it says otherwise.
        """
        host = self.network.host(name, self._loop.main)
        address = client_address(self.node(node).name)
        dispatcher = SimulatedDispatcher(self.network, host, address)
        pauses = self.chance.stream(f"pauses {name}")
        return SimulatedClient(
            dispatcher, pauses, token=session_token, deadline=deadline
        )

    # -- judging --------------------------------------------------------------

    def violations(self) -> tuple[str, ...]:
        """
        Return what must never be and was, oldest first; empty if all is well.

        Each begins with the rule's name.  Judges all disks once more.
        """
        self._judge.judge_all()
        crashes = (
            f"crash: {name} ended with {crash}"
            for name in self.names
            for crash in self._nodes[name].crashes
        )
        errors = (f"error: {complaint}" for complaint in self._loop.complaints)
        return (*self._judge.violations(), *crashes, *errors)

    def at_rest(self) -> bool:
        """Tell whether all nodes run, cover the same, and wait for nothing."""
        assemblies = [node.assembly for node in self._nodes.values()]
        drivers = [a.driver for a in assemblies if a is not None]
        if len(drivers) < len(assemblies):
            return False
        first = drivers[0].clock()
        return all(
            driver.clock() == first
            and not driver.committed_state.pending
            and not driver.uncovered_batches()
            for driver in drivers
        )


class _Noting:
    """Takes the commits of one node."""

    def __init__(self, name: str, trace: Trace, judge: Judge) -> None:
        self._name = name
        self._trace = trace
        self._judge = judge

    def __call__(self, commit: Commit) -> None:
        """Note *commit*, and judge what it made."""
        state = commit.state
        self._trace.note(
            f"commit {self._name} {state.seq} {state.hlc} {len(commit.writes)}"
            f" {state.clock}"
        )
        self._judge.applied(self._name, commit)
