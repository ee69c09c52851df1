"""
kvnode as real processes of this machine, and what can be done to them.

The nodes reach each other through a proxy in this process, which cuts and slows
what passes between them; clients reach each node directly.  A node advertises an
address that leads nowhere, since a peer that learned its real one would dial
around the proxy.

| fault | how |
| --- | --- |
| Cut, Disturb, Heal | the proxy |
| Kill, Start, Pause, Resume | signals |
| SetClock | the node's own clock, again after each start |
| FillDisk, FreeDisk | a file system of the node's own, if we may mount one |
| TakeBackup, RestoreBackup, Wipe | as the manual says to |
| Downgrade, Upgrade | SIGTERM, and a start of the other version, if there is one |
| Flood, Garble | somebody who claims to be a peer |
| CutCoordinator | the proxy, of the node with the smallest identity |
| SlowDisk, FlipBits, Join, RemoveMember, RemoveFormer | not possible |
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from types import MappingProxyType
from typing import assert_never

import aiofiles

from cluster.errors import NodeStartError
from cluster.fault_proxy import Conditions, FaultProxy, Passage
from cluster.fault_proxy.proxy import HOST
from cluster.local.installation import Installation
from cluster.local.node_process import ProcessState
from cluster.local.small_disk import SmallDisk
from cluster.processes import ProcessCluster
from cluster.topology import Site, Topology
from jepsen_like.adapters import kvnode_hostile
from jepsen_like.adapters.kvnode_client import KvnodeClient, Memory
from jepsen_like.adapters.links import change_links
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
from jepsen_like.system import Client as SystemClient
from jepsen_like.system import NotPossibleError
from kvnode._pb import peer_pb2
from kvnode.client import Client, PeerStatus
from kvnode.errors import KvError
from kvnode.runtime.app import random_replica
from kvnode.storage.backup import restore

OPERATION_SECONDS = 4.0
"""How long an operation may take: the library's word comes before the runner's."""

POLL_SECONDS = 0.05

_WHY_NOT: Mapping[type[Fault], str] = {
    SlowDisk: "a real disk cannot be slowed down from here",
    FlipBits: "a real store's records cannot be told from its other pages",
}

HANDOVER_SECONDS = 10.0
"""How long a node may take to see that a connection was reset."""


class KvnodeProcesses:
    """A cluster of real nodes; a `jepsen_like.system.System`."""

    def __init__(  # noqa: PLR0913 -- what a cluster can be given, each by its name
        self,
        nodes: Sequence[str],
        *,
        seed: int = 0,
        durability: str = "fsync",
        disk_bytes: int = 0,
        operation_seconds: float = OPERATION_SECONDS,
        previous: Installation | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """
        Describe a cluster; `set_up` starts it.

        Args:
            nodes: Their names; each is a region of its own.
            seed: What jitter and loss are drawn from.
            durability: `fsync` or `relaxed`.
            disk_bytes: Give each node a file system of that size, in memory, so
                that it can be filled; needs root.  0 = the usual disk.
            operation_seconds: How long an operation may take.
            previous: The version with which nodes begin, and can be upgraded from;
                None lets all be of this one, always.
            settings: Others of each node, as of kvnode.config.
        """
        self._topology = Topology(tuple(Site(name, name) for name in nodes), ())
        self._random = Random(seed)  # noqa: S311 -- faults, no secrets
        self._settings = dict(settings)
        self._durability = self._settings.pop("durability", durability)
        self._disk_bytes = disk_bytes
        self._operation_seconds = operation_seconds
        self._previous = previous
        self._memories: dict[int, Memory] = {}
        self._clocks: dict[str, SetClock] = {}
        self._disks: dict[str, SmallDisk] = {}
        self._home: Path | None = None
        self._proxy: FaultProxy | None = None
        self._cluster: ProcessCluster | None = None

    @property
    def name(self) -> str:
        """What is tested."""
        versions = "" if self._previous is None else ", two versions"
        return f"kvnode, {len(self.nodes)} processes, {self._durability}{versions}"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return self._topology.names

    @property
    def cluster(self) -> ProcessCluster:
        """The processes, from `set_up` on."""
        assert self._cluster is not None, "set_up comes first"
        return self._cluster

    @property
    def proxy(self) -> FaultProxy:
        """What is between the nodes, from `set_up` on."""
        assert self._proxy is not None, "set_up comes first"
        return self._proxy

    async def set_up(self) -> None:
        """
        Start all nodes, empty, and wait until they serve.

        Raises:
            MountError: A disk was asked for and cannot be mounted.
            NodeStartError: A node did not come up.
        """
        self._home = Path(await asyncio.to_thread(mkdtemp, prefix="kvnode-test-"))
        self._cluster = ProcessCluster.create(
            self._home / "cluster", self._topology, durability=self._durability
        )
        await self._lay_roads()
        for name in self.nodes:
            settings = {
                **self._settings,
                **await self._roads_of(name),
                **await self._disk_of(name),
            }
            self._cluster.override(name, settings)
            self._cluster.install(name, self._previous)
        await self._cluster.start()

    async def _lay_roads(self) -> None:
        """Make the network, before any node is started."""
        self._proxy = FaultProxy(self._random)

    async def _roads_of(self, name: str) -> Mapping[str, object]:
        """Return the settings that have a node live in that network."""
        peers = []
        for peer in self._topology.others(name):
            host, _, port = self.cluster.endpoint(peer).rpartition(":")
            at = await self.proxy.listen(name, peer, host, int(port))
            peers.append(f"{peer}={HOST}:{at}")
        nowhere = f"{HOST}:{await self.proxy.refusing()}"
        return {"peers": peers, "advertise": nowhere}

    async def _disk_of(self, name: str) -> Mapping[str, object]:
        """Return the settings that have a node live on a disk of its own, if so."""
        assert self._home is not None, "set_up makes it"
        if not self._disk_bytes:
            return {}
        disk = SmallDisk(self._home / f"disk-{name}", self._disk_bytes)
        await asyncio.to_thread(disk.mount)
        self._disks[name] = disk
        return {"data_directory": str(disk.place / "data")}

    async def connect(self, process: int, node: str) -> SystemClient:
        """Return a client of *node*, in the session of *process*."""
        memory = self._memories.setdefault(process, Memory(process))
        client = Client(self.cluster.endpoint(node), deadline=self._operation_seconds)
        return KvnodeClient(client.session, client.watch, memory, client.close)

    async def recover(self) -> None:
        """End all faults."""
        self._change_links(Heal())
        for disk in self._disks.values():
            await asyncio.to_thread(disk.free)
        await self.cluster.resume()
        for name in self.nodes:
            if self.cluster.installation(name) is not None:
                await self._change_version(Upgrade(name))
        await self.cluster.start()
        for name in list(self._clocks):
            await self._set_clock(SetClock(name))
        self._clocks.clear()

    async def tear_down(self) -> None:
        """End all processes and remove what was made, as far as it was."""
        if self._cluster is not None:
            await self._cluster.erase()
        await self._clear_roads()
        for disk in self._disks.values():
            await asyncio.to_thread(disk.unmount)
        self._disks.clear()
        if self._home is not None:
            await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)
        self._cluster = self._home = None

    async def _clear_roads(self) -> None:
        """Remove the network, when all nodes have ended."""
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = None

    # -- faults --------------------------------------------------------------

    async def inject(self, fault: Fault) -> None:
        """
        Do *fault*; return when it is there.

        Raises:
            NotPossibleError: Real processes cannot suffer it, or not now.
        """
        match fault:
            case Cut() | CutCoordinator() | Disturb() | Heal():
                await self._change_network(fault)
            case Kill() | Start() | Pause() | Resume():
                await self._signal(fault)
            case SetClock():
                await self._set_clock(fault)
            case FillDisk() | FreeDisk():
                await self._change_disk(fault)
            case TakeBackup() | RestoreBackup() | Wipe():
                await self._change_data(fault)
            case Join() | RemoveMember() | RemoveFormer():
                self._change_members(fault)
            case Downgrade() | Upgrade():
                await self._change_version(fault)
            case Flood() | Garble():
                await self._pose_as_peer(fault)
            case SlowDisk() | FlipBits():
                raise NotPossibleError(_WHY_NOT[type(fault)])
            case _:
                assert_never(fault)

    async def _change_network(
        self, fault: Cut | CutCoordinator | Disturb | Heal
    ) -> None:
        if isinstance(fault, CutCoordinator):
            chosen = await self._coordinator()
            others = [node for node in self.nodes if node != chosen]
            fault = Cut(between([chosen], others))
        self._change_links(fault)

    @staticmethod
    def _change_members(fault: Join | RemoveMember | RemoveFormer) -> None:
        # Here the nodes' own `members remove` is to be called.
        del fault
        msg = "members of real processes cannot be changed from here"
        raise NotPossibleError(msg)

    def _change_links(self, fault: Cut | Disturb | Heal) -> None:
        change_links(self.proxy, fault)

    async def _coordinator(self) -> str:
        """Return who works out what may be forgotten, if it is connected to all."""
        replicas: dict[int, str] = {}
        for node in self.nodes:
            if self.cluster.state(node) is ProcessState.RUNNING:
                async with Client(self.cluster.endpoint(node)) as client:
                    with suppress(KvError):
                        replicas[(await client.status()).replica] = node
        if not replicas:
            msg = "no node answers, so none works out anything"
            raise NotPossibleError(msg)
        return replicas[min(replicas)]

    async def _signal(self, fault: Kill | Start | Pause | Resume) -> None:
        match fault:
            case Kill(nodes):
                await self.cluster.kill(*nodes)
            case Start(nodes):
                await self.cluster.start(*nodes)
                await self._set_clocks_again(nodes)
            case Pause(nodes):
                await self.cluster.pause(*nodes)
            case Resume(nodes):
                await self.cluster.resume(*nodes)
                await self._set_clocks_again(nodes)
            case _:
                assert_never(fault)

    async def _set_clocks_again(self, nodes: Sequence[str]) -> None:
        """Make the clocks of *nodes* wrong that were, before they were gone."""
        for node in nodes:
            if node in self._clocks:
                await self._set_clock(self._clocks[node])

    async def _set_clock(self, fault: SetClock) -> None:
        """Set a clock; that of a node that cannot hear it now, when it can."""
        self._clocks[fault.node] = fault
        if self.cluster.state(fault.node) is ProcessState.RUNNING:
            async with Client(self.cluster.endpoint(fault.node)) as client:
                await client.set_clock(
                    offset=fault.offset_ms / 1000, drift_ppm=fault.drift_ppm
                )

    async def _change_disk(self, fault: FillDisk | FreeDisk) -> None:
        disk = self._disks.get(fault.node)
        if disk is None:
            msg = "the node shares the disk of this machine, which must not be filled"
            raise NotPossibleError(msg)
        change = disk.fill if isinstance(fault, FillDisk) else disk.free
        await asyncio.to_thread(change)

    # -- what is stored ------------------------------------------------------

    async def _change_data(self, fault: TakeBackup | RestoreBackup | Wipe) -> None:
        match fault:
            case TakeBackup(node):
                await self._take_backup(node)
            case RestoreBackup(node):
                if not self._backup_of(node).exists():
                    msg = f"no backup was taken of {node}"
                    raise NotPossibleError(msg)
                await self.cluster.erase(node)
                await restore(
                    self._backup_of(node),
                    self.cluster.data_directory(node),
                    random_replica=random_replica,
                )
                await self._signal(Start((node,)))
            case Wipe(node):
                await self.cluster.erase(node)
                await self._signal(Start((node,)))
            case _:
                assert_never(fault)

    def _backup_of(self, node: str) -> Path:
        assert self._home is not None, "set_up makes it"
        return self._home / f"{node}.backup"

    async def _take_backup(self, node: str) -> None:
        if self.cluster.state(node) is not ProcessState.RUNNING:
            msg = f"{node} does not run, so it cannot be asked for a backup"
            raise NotPossibleError(msg)
        fresh = self._backup_of(node).with_suffix(".new")
        async with (
            Client(self.cluster.endpoint(node)) as client,
            aiofiles.open(fresh, "wb") as file,
        ):
            async for chunk in client.backup():
                await file.write(chunk)
        await asyncio.to_thread(fresh.replace, self._backup_of(node))

    # -- versions ------------------------------------------------------------

    async def _change_version(self, fault: Downgrade | Upgrade) -> None:
        node, previous = fault.node, self._previous
        if previous is None:
            msg = "there is one version of kvnode here: say where a previous one is"
            raise NotPossibleError(msg)
        wanted = previous if isinstance(fault, Downgrade) else None
        if self.cluster.installation(node) == wanted:
            await self._signal(Resume((node,)))
            await self._signal(Start((node,)))
            return
        await self.cluster.stop(node)
        self.cluster.install(node, wanted)
        try:
            await self._signal(Start((node,)))
        except NodeStartError as error:
            if isinstance(fault, Upgrade):
                raise  # which must always be possible
            self.cluster.install(node, None)
            await self._signal(Start((node,)))
            msg = f"the previous version does not start on what {node} has stored"
            raise NotPossibleError(msg) from error

    # -- messages ------------------------------------------------------------

    async def _pose_as_peer(self, fault: Flood | Garble) -> None:
        """Take the place of one of the node's peers, and send what is asked for."""
        address = self.cluster.endpoint(fault.node)
        async with Client(address, deadline=self._operation_seconds) as client:
            peer = await self._acquaintance(client, fault.node)
            links = ((fault.node, peer.name), (peer.name, fault.node))
            before = [self.proxy.conditions(link) for link in links]
            for link in links:
                self.proxy.set(link, Conditions(Passage.RESET))
            try:
                await self._parted(client, peer.name)
                send = (
                    kvnode_hostile.flood
                    if isinstance(fault, Flood)
                    else kvnode_hostile.garble
                )
                await send(address, self.cluster.name, _claim(peer), fault.messages)
            finally:
                for link, conditions in zip(links, before, strict=True):
                    self.proxy.set(link, conditions)

    @staticmethod
    async def _acquaintance(client: Client, node: str) -> PeerStatus:
        """Return a peer that *node* has met; one that was wiped meets them soon."""
        try:
            for _ in range(int(HANDOVER_SECONDS / POLL_SECONDS)):
                for peer in (await client.status()).peers:
                    if peer.replica:
                        return peer
                await asyncio.sleep(POLL_SECONDS)
        except KvError as error:
            msg = f"{node} does not answer: {error}"
            raise NotPossibleError(msg) from error
        msg = f"{node} has met no peer yet whom one could pose as"
        raise NotPossibleError(msg)

    @staticmethod
    async def _parted(client: Client, peer: str) -> None:
        """Wait until the node knows that its connection to *peer* is gone."""
        async with asyncio.timeout(HANDOVER_SECONDS):
            while True:
                status = await client.status()
                if not any(p.connected for p in status.peers if p.name == peer):
                    return
                await asyncio.sleep(POLL_SECONDS)


def _claim(peer: PeerStatus) -> peer_pb2.Address:
    """Return what *peer* says of itself."""
    return peer_pb2.Address(
        name=peer.name,
        address=peer.address,
        replica=peer.replica,
        region=peer.region,
    )
