"""
kvnode in simulation: a plan on a whole cluster in one thread, on virtual time.

Everything that is not in the plan comes from named streams of its seed: how far
the nodes are from each other, whether their limits are tiny, which values are
large, and whatever the simulation draws while it runs.  A stream that is calm
gives the plainest case.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from typing import assert_never

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.knobs import INLINE_VALUE_BYTES, small_limits
from cluster.simulated.line import Trouble
from cluster.simulated.network import Pair
from cluster.simulated.running import run as simulate
from jepsen_like.adapters.kvnode_client import KvnodeClient, Memory
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
from kvnode.storage.durability import Durability

DELAY_MS_MAX = 120.0
"""One way; a quarter of the way around the world is about 100 ms."""

LARGE_VALUE_SHARE = 0.1
LARGE_VALUE_BYTES = 4 * INLINE_VALUE_BYTES

SETTINGS = {
    "gap_patience_ms": 300,
    "delta_page_bytes": 4096,
    "forget_interval_ms": 300,
}
"""So short that much is forgotten in a run of some seconds."""


class KvnodeSimulated:
    """A simulated cluster as a `jepsen_like.system.System`."""

    def __init__(self, cluster: SimulatedCluster, durability: Durability) -> None:
        """Take *cluster*, whose nodes have *durability*."""
        self.loses_on_kill = durability is Durability.RELAXED
        self._cluster = cluster
        self._memories: dict[int, Memory] = {}
        self._sizes = cluster.chance.stream("sizes")

    @property
    def name(self) -> str:
        """What is tested."""
        return f"kvnode, {len(self.nodes)} simulated nodes"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return self._cluster.names

    async def set_up(self) -> None:
        """Start all nodes, empty, and wait until they serve."""
        await self._cluster.start_all()

    async def connect(self, process: int, node: str) -> KvnodeClient:
        """Return a client of *node*, in the session of *process*."""
        memory = self._memories.setdefault(process, Memory(process))
        client = self._cluster.client(f"client{process}", node)
        return KvnodeClient(
            client.session, client.watch, memory, client.close, padding=self._padding
        )

    def _padding(self) -> int:
        large = self._sizes.happens(LARGE_VALUE_SHARE)
        return LARGE_VALUE_BYTES if large else 0

    async def recover(self) -> None:
        """End all faults."""
        cluster = self._cluster
        await cluster.heal()
        for node in self.nodes:
            await cluster.set_clock(node, 0)
            await cluster.slow_disk(node, 0)
            await cluster.free_disk(node)
            await cluster.resume(node)
            await cluster.start(node)
        for node in self.nodes:
            await cluster.remove_former(node)

    async def tear_down(self) -> None:
        """Do nothing: all of it ends with the simulation."""

    def violations(self) -> tuple[str, ...]:
        """Return the rules that were seen to be broken inside."""
        return self._cluster.violations()

    def unrest(self) -> str:
        """Return what is still to come inside; empty if nothing."""
        return self._cluster.unrest()

    def losses(self) -> tuple[tuple[str, float], ...]:
        """Return which nodes have put aside what they had acknowledged, and when."""
        return self._cluster.rescues()

    async def inject(self, fault: Fault) -> None:
        """
        Do *fault*; return when it is there.

        Raises:
            NotPossibleError: There is no backup, no record, nothing to flood, or no
                second version.
        """
        match fault:
            case Cut() | CutCoordinator() | Disturb() | Heal():
                await self._change_links(fault)
            case Kill(nodes) | Start(nodes) | Pause(nodes) | Resume(nodes):
                for node in nodes:
                    await self._signal(fault, node)
            case SetClock(node, offset_ms, drift_ppm):
                await self._cluster.set_clock(node, offset_ms, drift_ppm)
            case FillDisk() | FreeDisk() | SlowDisk() | FlipBits():
                await self._change_disk(fault)
            case TakeBackup() | RestoreBackup() | Wipe():
                await self._change_data(fault)
            case Join() | RemoveMember() | RemoveFormer():
                await self._change_members(fault)
            case Downgrade() | Upgrade():
                # One process has one kvnode.core, and the nodes are in this one.
                msg = "simulated nodes share the code of one process: one version"
                raise NotPossibleError(msg)
            case Flood() | Garble():
                await self._attack(fault)
            case _:
                assert_never(fault)

    async def _change_links(self, fault: Cut | CutCoordinator | Disturb | Heal) -> None:
        match fault:
            case Cut(links):
                await self._cluster.cut(links)
            case CutCoordinator():
                chosen = self._cluster.coordinator()
                others = [node for node in self.nodes if node != chosen]
                await self._cluster.cut(between([chosen], others))
            case Disturb(links):
                await self._cluster.disturb(links, trouble_of(fault))
            case Heal():
                await self._cluster.heal()
            case _:
                assert_never(fault)

    async def _signal(self, fault: Kill | Start | Pause | Resume, node: str) -> None:
        match fault:
            case Kill():
                await self._cluster.kill(node)
            case Start():
                await self._cluster.start(node)
            case Pause():
                await self._cluster.pause(node)
            case Resume():
                await self._cluster.resume(node)
            case _:
                assert_never(fault)

    async def _change_disk(
        self, fault: FillDisk | FreeDisk | SlowDisk | FlipBits
    ) -> None:
        match fault:
            case FillDisk(node):
                await self._cluster.fill_disk(node)
            case FreeDisk(node):
                await self._cluster.free_disk(node)
            case SlowDisk(node, sync_ms):
                await self._cluster.slow_disk(node, sync_ms)
            case FlipBits(node):
                if await self._cluster.flip_bits(node) is None:
                    msg = f"{node} has stored nothing yet that could be damaged"
                    raise NotPossibleError(msg)
            case _:
                assert_never(fault)

    async def _change_data(self, fault: TakeBackup | RestoreBackup | Wipe) -> None:
        match fault:
            case TakeBackup(node):
                await self._cluster.take_backup(node)
            case RestoreBackup(node):
                if not await self._cluster.restore_backup(node):
                    msg = f"no backup was taken of {node}"
                    raise NotPossibleError(msg)
            case Wipe(node):
                await self._cluster.wipe(node)
            case _:
                assert_never(fault)

    async def _change_members(self, fault: Join | RemoveMember | RemoveFormer) -> None:
        match fault:
            case Join(node, seed):
                await self._cluster.join(node, seed)
            case RemoveMember(node):
                if not await self._cluster.remove_member(node):
                    msg = f"nobody who runs knows {node}, so nobody can remove it"
                    raise NotPossibleError(msg)
            case RemoveFormer(node):
                await self._cluster.remove_former(node)
            case _:
                assert_never(fault)

    async def _attack(self, fault: Flood | Garble) -> None:
        if fault.node not in self._cluster.running():
            return  # whatever is sent to a node that is down, nobody reads it
        match fault:
            case Flood(node, messages):
                if not await self._cluster.flood(node, messages):
                    msg = f"nothing has been said to {node} yet that could be repeated"
                    raise NotPossibleError(msg)
            case Garble(node, messages):
                await self._cluster.garble(node, messages)
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

    settings: dict[str, object] = {**SETTINGS, **dict(plan.settings)}
    durability = Durability(settings.pop("durability", Durability.FSYNC))

    async def main(cluster: SimulatedCluster) -> Run:
        system = KvnodeSimulated(cluster, durability)
        return await execute(plan, system, workload=workload)

    with small_limits() if tiny else nullcontext():
        done = simulate(
            main,
            nodes=plan.nodes,
            chance=chance,
            delays_ms=distances(plan.nodes, chance),
            durability=durability,
            settings=settings,
        )
    return replace(done, streams=chance.names())


def distances(nodes: Sequence[str], chance: Chance) -> dict[Pair, float]:
    """Return how far the nodes are from each other, one way, in ms."""
    stream = chance.stream("distances")
    return {
        pair: stream.between(0.2, DELAY_MS_MAX, nominal=1.0)
        for pair in combinations(nodes, 2)
    }


def trouble_of(fault: Disturb, *, raw: bool = False) -> Trouble:
    """Return what *fault* does to a line; see `Trouble` for *raw*."""
    return Trouble(
        fault.delay_ms,
        fault.jitter_ms,
        fault.loss,
        fault.duplication,
        fault.reordering,
        fault.bytes_per_second,
        raw=raw,
    )
