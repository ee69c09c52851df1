"""
kvnode's objects in simulation: a plan on nodes that host them, on virtual time.

As in `jepsen_like.adapters.kvnode_simulated`, what is not in the plan comes from named
streams of its seed: distances, whether logs are tiny, whether reads rest on leases,
whether calls have location hints.

| fault | what it does |
| --- | --- |
| Cut, Disturb, Heal | to messages of shards and voters, and to calls sent on |
| Kill, Start, Pause, Resume | to processes; a kill is now and then a power cut |
| SetClock | the wall clock; drift bends the steady one, too, within the bound |
| FillDisk, FreeDisk, SlowDisk | to logs, states and voters together |
| Wipe | the disk is lost; shards move to who the node is now, its voter is replaced |
| CutCoordinator | the node that leads the most shards |
| others | not possible |
"""

import asyncio
from dataclasses import replace
from typing import assert_never

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.objects.cluster import ObjectCluster
from cluster.simulated.objects.knobs import chosen
from cluster.simulated.running import run as simulate
from cluster.simulated.true_time import EPOCH_MILLIS
from jepsen_like.adapters.kvnode_objects import (
    CLASS,
    HINTED_SHARE,
    ObjectsClient,
    Points,
)
from jepsen_like.adapters.kvnode_simulated import distances, trouble_of
from jepsen_like.adapters.trial_object import Trial
from jepsen_like.nemesis.faults import (
    Cut,
    CutCoordinator,
    Disturb,
    Downgrade,
    Fault,
    FillDisk,
    FlipBits,
    Flood,
    FreeDisk,
    Garble,
    Heal,
    Join,
    Kill,
    Pause,
    RemoveFormer,
    RemoveMember,
    RestoreBackup,
    Resume,
    SetClock,
    SlowDisk,
    Start,
    TakeBackup,
    Upgrade,
    Wipe,
)
from jepsen_like.nemesis.partitions import between
from jepsen_like.plan import Plan
from jepsen_like.runner.execution import execute
from jepsen_like.runner.run import Run
from jepsen_like.system import NotPossibleError
from jepsen_like.workloads.workload import Workload
from kvnode.api.objects_port import Call
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points import point_calls

UNLEASED_SHARE = 0.25
"""Of the seeds: in these each read is confirmed by a round of messages."""


class PostedObjects:
    """Objects as a host reaches them through a node; a `TrialObjects`."""

    def __init__(self, cluster: ObjectCluster, host: str, node: str) -> None:
        """Ask *node* from *host*."""
        self._cluster = cluster
        self._host = host
        self._node = node

    async def call(
        self, name: str, method: str, *arguments: Value, idempotency_key: str = ""
    ) -> Value:
        """Call a method."""
        target = ObjectId.from_name(CLASS, name)
        wanted = Call(target, method, arguments, {}, idempotency_key)
        return await self._cluster.call(self._host, self._node, wanted)

    async def bookmark(self, name: str) -> str:
        """Return the bookmark of the present."""
        return str(await self.call(name, point_calls.CURRENT))

    async def restore(self, name: str, bookmark: str) -> str:
        """Restore an object; return the bookmark that undoes it."""
        restored = await self.call(name, point_calls.RESTORE, bookmark)
        assert isinstance(restored, list), "it is a row of Restored"
        return str(restored[0])


class KvnodeObjectsSimulated:
    """Simulated nodes with objects as a `jepsen_like.system.System`."""

    def __init__(self, cluster: ObjectCluster) -> None:
        """Take *cluster*, of which nothing runs yet."""
        self._cluster = cluster
        self._points: Points = {}

    @property
    def name(self) -> str:
        """What is tested."""
        return f"kvnode's objects, {len(self.nodes)} simulated nodes"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return self._cluster.names

    async def set_up(self) -> None:
        """Start all nodes, and wait until each shard is led."""
        await self._cluster.found()

    async def connect(self, process: int, node: str) -> ObjectsClient:
        """Return a client of *node*."""
        objects = PostedObjects(self._cluster, f"client{process}", node)
        return ObjectsClient(
            objects,
            f"{process} {node}",
            self._points,
            now=_true_millis,
            close=_nothing,
        )

    async def recover(self) -> None:
        """End all faults."""
        self._cluster.heal()
        for name, node in self._cluster.nodes.items():
            self._cluster.set_clock(name, 0, 0)
            node.disk.slow(0)
            node.disk.free()
            node.resume()
            node.start()

    async def tear_down(self) -> None:
        """Do nothing: all of it ends with the simulation."""

    def violations(self) -> tuple[str, ...]:
        """Return the rules that were seen to be broken inside."""
        return self._cluster.violations()

    def unrest(self) -> str:
        """Return what is still to come inside; empty if nothing."""
        return self._cluster.unrest()

    async def inject(self, fault: Fault) -> None:
        """
        Do *fault*.

        Raises:
            NotPossibleError: It is none of the module's table, or not possible now.
        """
        nodes = self._cluster.nodes
        match fault:
            case Cut() | CutCoordinator() | Disturb() | Heal():
                self._change_links(fault)
            case Kill() | Start() | Pause() | Resume():
                self._signal(fault)
            case SetClock(node, offset_ms, drift_ppm):
                self._cluster.set_clock(node, offset_ms, drift_ppm)
            case FillDisk(node):
                nodes[node].disk.fill()
            case FreeDisk(node):
                nodes[node].disk.free()
            case SlowDisk(node, sync_ms):
                nodes[node].disk.slow(sync_ms / 1000)
            case Wipe(node):
                if not self._cluster.wipe(node):
                    msg = "another disk was lost, and its node is not replaced yet"
                    raise NotPossibleError(msg)
            case (
                FlipBits()
                | TakeBackup()
                | RestoreBackup()
                | Join()
                | RemoveMember()
                | RemoveFormer()
                | Downgrade()
                | Upgrade()
                | Flood()
                | Garble()
            ):
                msg = f"{type(fault).__name__} is not simulated of objects"
                raise NotPossibleError(msg)
            case _:
                assert_never(fault)

    def _change_links(self, fault: Cut | CutCoordinator | Disturb | Heal) -> None:
        match fault:
            case Cut(links):
                self._cluster.cut(links)
            case CutCoordinator():
                chosen = self._cluster.busiest()
                others = [node for node in self.nodes if node != chosen]
                self._cluster.cut(between([chosen], others))
            case Disturb(links):
                self._cluster.disturb(links, trouble_of(fault, raw=True))
            case Heal():
                self._cluster.heal()
            case _:
                assert_never(fault)

    def _signal(self, fault: Kill | Start | Pause | Resume) -> None:
        for name in fault.nodes:
            node = self._cluster.nodes[name]
            match fault:
                case Kill():
                    node.kill()
                case Start():
                    node.start()
                case Pause():
                    node.pause()
                case Resume():
                    node.resume()
                case _:
                    assert_never(fault)


def run(plan: Plan, *, workload: Workload | None = None) -> Run:
    """
    Run *plan* in simulation; the same plan gives the same run, byte for byte.

    Args:
        plan: What to do.
        workload: Whose operations they are, if it is not one that has a name.

    Raises:
        SetUpError: The plan is about other nodes than it names.
        SimulationError: The program did what cannot be simulated.
    """
    chance = Chance(plan.seed, plan.calm)
    tiny = chance.stream("limits").happens(0.5)
    leased = not chance.stream("leases").happens(UNLEASED_SHARE)
    hinted = chance.stream("hints").happens(HINTED_SHARE)

    async def main(simulated: SimulatedCluster) -> Run:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "it is simulated"
        cluster = ObjectCluster(
            plan.nodes,
            loop,
            simulated.network,
            chance,
            {CLASS: Trial},
            has_hints=hinted,
        )
        system = KvnodeObjectsSimulated(cluster)
        return await execute(plan, system, workload=workload)

    with chosen(has_small_logs=tiny, has_leases=leased):
        done = simulate(
            main, nodes=(), chance=chance, delays_ms=distances(plan.nodes, chance)
        )
    return replace(done, streams=chance.names())


def _true_millis() -> int:
    return EPOCH_MILLIS + int(1000 * asyncio.get_running_loop().time())


async def _nothing() -> None:
    """Hang up: there is no connection to keep."""
