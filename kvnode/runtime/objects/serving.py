"""The objects of a node that runs: opened, met by others, and run."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from kvnode._pb.shards_pb2 import ShardFrame
from kvnode.address import split_address
from kvnode.api.direct_calls import CALLS, DirectCalls
from kvnode.authority.etcd.access import read_access
from kvnode.authority.etcd.etcd_authority import EtcdAuthority
from kvnode.authority.etcd.health import watch_health
from kvnode.config import NodeConfig
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.versions.roster import Standing
from kvnode.core.versions.store_view import PeerAddress
from kvnode.direct.stream import Frames, MessageT
from kvnode.errors import ConfigError
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.points.shard_history import HistoryLimits
from kvnode.runtime.assembly import Assembly
from kvnode.runtime.clock import Clock
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.opening import (
    Etcd,
    Site,
    open_alone,
    open_among,
    open_with_etcd,
)
from kvnode.runtime.objects.remote import RemotePeers
from kvnode.transport.direct_road import DirectDoor, DirectRoad
from kvnode.transport.grpc_road import SHARDS, GrpcRoad
from kvnode.transport.road import Ending, Farewell, Stream
from kvnode.transport.shards.approach import Approach
from kvnode.transport.shards.introduction import Introduction
from kvnode.transport.shards.mesh import ShardMesh
from kvnode.types import Millis, ReplicaId

NONE_TO_MEET = "this node keeps no objects together with others"


class ServedObjects(NamedTuple):
    """
    The objects of a node, and its way to others.

    Attributes:
        objects: What is served.
        mesh: The streams to other nodes; None if it keeps its objects by itself.
        door: Where others dial it directly; None if nobody does.
        etcd: What says who leads; None if nodes do.
        calls: What clients call without gRPC; None if they do not.
    """

    objects: Objects
    mesh: ShardMesh | None
    door: DirectDoor[ShardFrame] | None = None
    etcd: EtcdAuthority | None = None
    calls: DirectCalls | None = None

    async def run(self) -> None:
        """
        Serve until cancelled.

        Raises:
            KvError: A record is damaged, or the authority cannot be written.
            OSError: The disk failed.
        """
        tasks = [asyncio.create_task(self.objects.run(), name="objects of a node")]
        if self.mesh is not None:
            tasks.append(asyncio.create_task(self.mesh.run(), name="meeting"))
        if self.etcd is not None:
            watching = watch_health(self.etcd)
            tasks.append(asyncio.create_task(watching, name="watching etcd"))
        try:
            # None ends but by an error, and none is of use without the others.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Release ports and files; `run` has ended."""
        if self.calls is not None:
            await self.calls.close()
        if self.door is not None:
            await self.door.close()
        await self.objects.close()


async def open_objects(
    node: Assembly,
    classes: Mapping[str, type[DurableObject]],
    *,
    clock: Clock,
    address: str,
    random_replica: Callable[[], ReplicaId],
) -> ServedObjects:
    """
    Open the objects that *node* is told to serve; blocks while it reads them.

    Args:
        node: Its configuration says with whom it keeps them, and it knows the others.
        classes: What they are made of, by name.
        clock: The node's.
        address: host:port at which other nodes reach this one.
        random_replica: Draws a fresh identity.

    Raises:
        KvError: See kvnode.runtime.objects.opening; or the port is taken.
        OSError: A file cannot be opened.
    """
    config = node.config
    rng = Random()  # noqa: S311 -- patience and jitter
    site = Site(
        config.data_directory,
        config.name,
        classes,
        clock,
        rng,
        random_replica,
        config.objects_moved,
        HistoryLimits(config.objects_history_hours, config.objects_history_bytes),
        config.objects_spread,
        ShardSettings(lease=Millis(config.objects_lease_ms)),
        config.region,
    )
    calls = await _open_door(CALLS, config, "objects_calls_port")
    try:
        if config.objects_voters or config.objects_etcd:
            served = await _serve_together(node, site, address)
        else:
            served = ServedObjects(open_alone(site), None)
    except BaseException:
        await calls.close()
        raise
    return served._replace(calls=DirectCalls(served.objects, calls, address))


async def _open_door(
    frames: Frames[MessageT], config: NodeConfig, setting: str
) -> DirectDoor[MessageT]:
    """Listen at the port that *setting* says."""
    host, port = split_address(config.listen)[0], getattr(config, setting)
    try:
        return await DirectDoor.open(frames, host, port)
    except OSError as error:
        msg = (
            f"{setting}: cannot listen on port {port} of {host}"
            f" ({error.strerror or error}): is another process there?"
        )
        raise ConfigError(msg) from error


async def _serve_together(node: Assembly, site: Site, address: str) -> ServedObjects:
    door = await _open_door(SHARDS.frames, node.config, "objects_port")
    try:
        return _meet_others(node, site, address, door)
    except BaseException:
        await door.close()
        raise


def _meet_others(
    node: Assembly, site: Site, address: str, door: DirectDoor[ShardFrame]
) -> ServedObjects:
    config = node.config
    meshes: list[ShardMesh] = []

    def meet(own: ReplicaId) -> RemotePeers:
        introduction = Introduction(
            config.cluster, config.name, own, address, config.region, door.port
        )
        approach = Approach(
            introduction,
            GrpcRoad(SHARDS),
            conditions=node.pool.conditions,
            direct_road=DirectRoad(SHARDS),
        )
        mesh = ShardMesh(
            approach, known=lambda: addresses_of(node), uniform=site.rng.uniform
        )
        meshes.append(mesh)
        return RemotePeers(mesh, lambda: distances_of(node), lambda: regions_of(node))

    objects, etcd = _open_together(config, site, meet)
    (mesh,) = meshes
    mesh.attach(objects)
    door.attach(mesh.accept)
    return ServedObjects(objects, mesh, door, etcd)


def _open_together(
    config: NodeConfig, site: Site, meet: Callable[[ReplicaId], RemotePeers]
) -> tuple[Objects, EtcdAuthority | None]:
    """Open objects that are kept with others, and what says who leads them."""
    if not config.objects_etcd:
        return open_among(site, config.objects_voters, meet), None
    prefix = config.objects_etcd_prefix or f"/kvnode/{config.cluster}/shards/"
    authority = EtcdAuthority(read_access(config), prefix)
    etcd = Etcd(authority, prefix, config.objects_keepers)
    return open_with_etcd(site, etcd, meet), authority


def addresses_of(node: Assembly) -> list[PeerAddress]:
    """
    Return where *node* is to dial whom it knows.

    What it was told itself counts more than what they say of themselves: there may be
    a tunnel between the two, or a proxy that only this node can use.
    """
    told = {peer.name: peer.address for peer in node.config.peers if peer.name}
    return [
        each._replace(address=told.get(each.name, each.address))
        for each in node.driver.known_peers()
    ]


def distances_of(node: Assembly) -> Mapping[str, int]:
    """Return how long round trips to other nodes take, in ms, where that is known."""
    return {
        each.name: each.rtt_ms
        for each in node.driver.members()
        if each.rtt_ms is not None
    }


def regions_of(node: Assembly) -> frozenset[str]:
    """Return where members of the cluster are."""
    is_member = Standing.MEMBER
    members = node.driver.members()
    return frozenset(each.region for each in members if each.standing is is_member)


async def turn_away(stream: Stream[ShardFrame], origin: str) -> Farewell:
    """Tell a node that would keep objects with this one that it does not."""
    del stream, origin
    return Farewell(Ending.REFUSED, NONE_TO_MEET)
