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
from functools import partial
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
from cluster.simulated.true_time import EPOCH_MILLIS
from kvnode.config import NodeConfig
from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.roster import Standing
from kvnode.core.versions.store_view import Commit
from kvnode.storage.durability import Durability
from kvnode.types import EntryKey, Millis, ReplicaId

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
        self._identities: dict[str, dict[ReplicaId, None]] = {}
        self._regions = regions
        self._settings = {"durability": durability.value, **settings}
        for name in self.names:
            peers = tuple(
                {"name": other, "address": peer_address(other)}
                for other in self.names
                if other != name
            )
            self._make(name, {"peers": peers})
        self._attacker = Attacker(
            self.network, loop.owner("hostile"), chance.stream("attacks")
        )

    def _make(self, name: str, friends: Mapping[str, object]) -> None:
        """Make a node that knows of *friends* by its settings."""
        config = NodeConfig.model_validate(
            {
                "name": name,
                "listen": peer_address(name),
                "region": self._regions.get(name, ""),
                **self._settings,
                **friends,
            }
        )
        node = SimulatedNode(config, self._loop, self.network, self.chance)
        identities = self._identities[name] = {node.disk.state().replica: None}
        node.answered = partial(self._judge.answered, name)
        node.disk.on_applied = _Noting(name, self.trace, self._judge, identities)
        self._nodes[name] = node

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

    # -- members --------------------------------------------------------------

    async def join(self, name: str, seed: str) -> None:
        """
        Start a new, empty node called *name* that knows of node *seed* alone.

        Raises:
            ValueError: There is one of that name, or no *seed*.
            KvError: It cannot start.
        """
        if name in self._nodes:
            msg = f"there is a node {name!r} already"
            raise ValueError(msg)
        self._make(name, {"seeds": (peer_address(self.node(seed).name),)})
        self.names = (*self.names, name)
        self._begins(name)
        await self.start(name)

    async def remove_member(self, name: str) -> bool:
        """
        End *name*, and have another node declare it gone for good (G3).

        Returns:
            False if no node that runs knows it: it has been ended, and no more.
        """
        await self.kill(name)
        state = self.node(name).disk.state()
        self._judge.is_gone(state.replica)
        return self._declare_gone(state.replica)

    async def remove_former(self, name: str) -> int:
        """
        Have all that *name* was before declared gone; return how many that were.

        What its store was by an identity before, the node declares gone itself, and is
        the first to do so: whoever did it without having met the node would take for
        lost what that still has (docs/operations.md, Durability).
        """
        state = self.node(name).disk.state()
        former = [
            replica
            for replica in self._identities[name]
            if replica != state.replica and not state.roster.gone(replica)
        ]
        return sum(map(self._declare_gone, former))

    def _declare_gone(self, replica: ReplicaId) -> bool:
        self.trace.note(f"remove {replica:016x}")
        return any(
            self._nodes[name].remove(replica)
            for name in self.running()
            if not self._nodes[name].paused
        )

    def coordinator(self) -> str:
        """Return the running node that works out floors if it is connected to all."""
        running = self.running() or self.names
        return min(running, key=lambda name: self.node(name).disk.state().replica)

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
        self._judge.is_gone(disk.state().replica)
        disk.restore_backup()
        self._begins(name)
        await self.start(name)
        return True

    def _begins(self, name: str) -> None:
        """Note that node *name* is a replica that nobody has met."""
        replica = self.node(name).disk.state().replica
        self._identities[name][replica] = None
        self._judge.is_new(replica)

    async def wipe(self, name: str) -> None:
        """End *name*, delete all it has stored, and start it by its old name."""
        await self.kill(name)
        disk = self.node(name).disk
        self._judge.is_gone(disk.state().replica)
        disk.wipe()
        self._begins(name)
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

    def rescues(self) -> tuple[tuple[str, float], ...]:
        """Return which nodes put entries aside (G2b), and when in virtual seconds."""
        return tuple(
            (name, at)
            for name, node in self._nodes.items()
            for at in node.disk.rescued_at
        )

    def at_rest(self) -> bool:
        """Tell whether all nodes serve, cover the same, and wait for nothing."""
        return not self._unequal()

    def unrest(self) -> str:
        """
        Return what is still to come when nobody does anything; empty if nothing.

        In the end all nodes cover the same and have forgotten the same, and nothing
        is left that could be forgotten (G1, G2).
        """
        if unequal := self._unequal():
            return unequal
        states = [self._nodes[name].disk.state() for name in self.names]
        for name, state in zip(self.names, states, strict=True):
            own = state.roster.get(state.replica)
            if own is None or own.standing is not Standing.MEMBER:
                return f"{name} goes on and is no member (G3)"
            if state.roster != states[0].roster:
                return f"{self.names[0]} and {name} have different rosters"
            if state.floor != states[0].floor:
                return f"{self.names[0]} and {name} have forgotten different things"
        now = from_millis(Millis(round(EPOCH_MILLIS + 1000 * self._loop.time())))
        for name in self.names:
            with self._nodes[name].disk.undamaged() as view:
                left = [mortal.key.key for mortal in view.mortals(now)]
            if left:
                return (
                    f"{name} still holds {len(left)} entries that are deleted or have"
                    f" expired, the first of {left[0]!r}"
                )
        return ""

    def _unequal(self) -> str:
        """Return in what nodes are not ready, or differ; empty if in nothing."""
        first: VersionVector | None = None
        for name, node in self._nodes.items():
            if node.assembly is None:
                return f"{name} does not run"
            driver = node.assembly.driver
            if refusal := driver.refusal():
                return f"{name} does not serve: {refusal}"
            first = driver.clock() if first is None else first
            if driver.clock() != first:
                return f"{self.names[0]} and {name} do not cover the same"
            if driver.committed_state.pending or driver.uncovered_batches():
                return f"{name} waits for what its entries depend on"
        return ""


class _Noting:
    """Takes the commits of one node."""

    def __init__(
        self,
        name: str,
        trace: Trace,
        judge: Judge,
        identities: dict[ReplicaId, None],
    ) -> None:
        self._name = name
        self._trace = trace
        self._judge = judge
        self._identities = identities

    def __call__(self, commit: Commit) -> None:
        """Note *commit*, and judge what it made."""
        state = commit.state
        self._identities[state.replica] = None
        self._trace.note(
            f"commit {self._name} {state.seq} {state.hlc} {len(commit.writes)}"
            f" {state.clock}"
        )
        self._judge.applied(self._name, commit)
