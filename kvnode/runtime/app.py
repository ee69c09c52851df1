"""
A node as a process: putting the parts together, and taking them apart in order.

Starting: open the store, take up its state, run turns, listen, dial.  Stopping:
report NOT_SERVING, hand over what others are to have (kvnode.runtime.handover,
kvnode.runtime.objects.handing_over), finish queued turns, close the store.
"""

import asyncio
import gc
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from random import Random
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kvnode._pb import (
    admin_pb2,
    admin_pb2_grpc,
    kv_pb2,
    kv_pb2_grpc,
    objects_pb2_grpc,
    peer_pb2,
)
from kvnode.api.admin_service import AdminServicer, Facts
from kvnode.api.kv_service import KvServicer
from kvnode.api.objects_admin_service import ObjectsAdminServicer
from kvnode.api.objects_service import add_objects
from kvnode.config import NodeConfig
from kvnode.errors import ConfigError, StartOverError
from kvnode.limits import (
    FRAME_BYTES_MAX,
    KEEPALIVE_MILLIS,
    KEEPALIVE_TIMEOUT_MILLIS,
)
from kvnode.objects.durable_object import DurableObject
from kvnode.runtime.assembly import (
    Assembly,
    Surroundings,
    assemble,
    dial_peers,
    end_turns,
    run_turns,
)
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.departure import Departures
from kvnode.runtime.handover import hand_over
from kvnode.runtime.objects.classes import load_classes
from kvnode.runtime.objects.serving import ServedObjects, open_objects, turn_away
from kvnode.runtime.objects.variables import read_variables
from kvnode.storage.backup import back_up
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.storage.rescue import rescue_files
from kvnode.transport.grpc_road import PEERS, SHARDS, GrpcRoad, add_meetings
from kvnode.types import Millis, ReplicaId

if TYPE_CHECKING:
    from kvnode.http.server import HttpServer

logger = logging.getLogger(__name__)

YOUNG_OBJECTS_MAX = 10_000
"""
How many objects there are more before the garbage collector looks at the new ones.

Calls under way are that many in no time, and go without it: they are not in cycles.
With Python's 700, each round of 64 calls was walked through once (decision 40).
"""

SWITCH_INTERVAL_SECONDS = 0.0001
"""
How soon a busy thread yields the interpreter.  The store's writer thread needs
it back after every call into LMDB; with Python's 5 ms a group commit beside a
busy event loop took 40 ms, with this 2.5 ms.
"""

STOP_GRACE_SECONDS = 0.25
"""
For what is left when all has been handed over: reads, which clients ask again, and
streams on which nothing is under way, which last as long as they may.
"""

HEALTH_SECONDS = 0.05
"""How soon the health service tells that the node begins or ceases to serve."""

SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    # A silent cut tells neither side: the one that was dialed must ask, too.
    ("grpc.keepalive_time_ms", KEEPALIVE_MILLIS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),  # else a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
]


def wall_clock() -> Millis:
    """Return milliseconds since 1970."""
    return Millis(time.time_ns() // 1_000_000)


def random_replica() -> ReplicaId:
    """Return a fresh identity: 64 random bits, not 0."""
    return ReplicaId(secrets.randbits(64) or 1)


@dataclass(slots=True)
class RunningNode:
    """
    A node that runs, and what it is reached by.

    `background` are its turns and its housekeeping: the node is finished when any of
    them ends.  `objects` are those that it serves, if any, and `http` is where it does
    so for who has no gRPC.
    """

    assembly: Assembly
    server: grpc.aio.Server
    health: health.aio.HealthServicer
    port: int
    background: list[asyncio.Task[None]]
    departures: Departures
    objects: ServedObjects | None
    http: "HttpServer | None" = None


def _classes(config: NodeConfig) -> dict[str, type[DurableObject]]:
    """Return the classes of objects that a node is told to serve."""
    return load_classes(config.objects, read_variables(config.objects_variables_file))


async def start(config: NodeConfig) -> RunningNode:
    """
    Start a node; it serves when this returns.

    Raises:
        KvError: The data directory is in use, the store is damaged, or the
            address cannot be listened on.
        OSError: The data directory cannot be made or read.
    """
    classes = _classes(config) if config.objects else {}
    store = LmdbStore.open(
        config.data_directory,
        durability=Durability(config.durability),
        map_bytes=config.map_bytes,
        reserve_bytes=config.disk_reserve_bytes,
        random_replica=random_replica,
    )
    try:
        return await _start_on(store, classes, config)
    except BaseException:
        store.close()
        raise


async def _start_on(
    store: LmdbStore, classes: Mapping[str, type[DurableObject]], config: NodeConfig
) -> RunningNode:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    try:
        port = server.add_insecure_port(config.listen)
    except RuntimeError as error:
        msg = f"listen: cannot listen on {config.listen}: is another process there?"
        raise ConfigError(msg) from error
    http_socket = _socket_for_http(config.http) if config.http else None
    rng = Random()  # noqa: S311 -- jitter, and whom to probe
    clock = NodeClock(wall_clock)
    surroundings = Surroundings(
        store,
        GrpcRoad(PEERS),
        clock,
        rng,
        rng.uniform,
        random_replica,
        lambda: back_up(store, now=clock()),
    )
    address = config.advertised(port)
    node = await assemble(config, surroundings, address=address)
    departures = Departures(node.driver)
    served: ServedObjects | None = None
    if classes:
        served = await open_objects(
            node,
            classes,
            clock=clock,
            address=address,
            random_replica=random_replica,
        )
    try:
        healthy = _add_services(server, node, served, clock, departures)
        background = await run_turns(node)
        if served is not None:
            background.append(asyncio.create_task(served.run(), name="objects"))
        await server.start()
        http = None
        if http_socket is not None:
            http = await _serve_http(http_socket, node, served, clock)
    except BaseException:
        if served is not None:
            await served.close()
        raise
    dial_peers(node)
    return RunningNode(
        node, server, healthy, port, background, departures, served, http
    )


def _socket_for_http(address: str) -> socket.socket:
    from kvnode.http.server import bound_socket  # noqa: PLC0415 - see _serve_http

    return bound_socket(address)


async def _serve_http(
    http_socket: socket.socket,
    node: Assembly,
    served: ServedObjects | None,
    clock: NodeClock,
) -> "HttpServer":
    # aiohttp takes a quarter of the time in which nodes start; most serve no HTTP.
    from kvnode.http.server import HttpServer  # noqa: PLC0415

    objects = served and served.objects
    http = HttpServer(http_socket, objects, serves=node.driver.serves, now=clock)
    await http.start()
    return http


def _add_services(
    server: grpc.aio.Server,
    node: Assembly,
    served: ServedObjects | None,
    clock: NodeClock,
    departures: Departures,
) -> health.aio.HealthServicer:
    config, driver = node.config, node.driver
    facts = Facts(
        name=config.name,
        region=config.region,
        cluster=config.cluster,
        version=version("kvnode"),
        durability=config.durability,
        data_directory=str(config.data_directory.absolute()),
        started_at_ms=clock(),
        fault_injection=config.fault_injection,
    )
    healthy = health.aio.HealthServicer()
    kv_pb2_grpc.add_KvServicer_to_server(
        KvServicer(driver, node.operations, node.watches), server
    )
    admin_pb2_grpc.add_AdminServicer_to_server(
        AdminServicer(
            driver,
            node.namespaces,
            node.pool,
            clock,
            facts,
            departures=departures,
            rescued=lambda: rescue_files(config.data_directory),
        ),
        server,
    )
    calls = served and served.calls
    objects_name = add_objects(
        server, served and served.objects, calls.invitation if calls else None
    )
    if served is not None:
        objects_pb2_grpc.add_ObjectsAdminServicer_to_server(
            ObjectsAdminServicer(served.objects.administration), server
        )
    mesh = served and served.mesh
    add_meetings(server, SHARDS, mesh.accept if mesh is not None else turn_away)
    add_meetings(server, PEERS, node.pool.accept)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = [
        module.DESCRIPTOR.services_by_name[name].full_name
        for module, name in (
            (kv_pb2, "Kv"),
            (admin_pb2, "Admin"),
            (peer_pb2, "Peer"),
            (health_pb2, "Health"),
        )
    ]
    reflection.enable_server_reflection(
        [*names, objects_name, reflection.SERVICE_NAME], server
    )
    return healthy


async def stop(node: RunningNode) -> None:
    """Stop *node*: what was accepted is finished, what was told stays true."""
    await node.health.enter_graceful_shutdown()
    if node.http is not None:
        node.http.leave()
    await asyncio.gather(_hand_keys_over(node), _hand_objects_over(node.objects))
    await node.assembly.pool.close()
    closing = [node.server.stop(STOP_GRACE_SECONDS)]
    if node.objects is not None and node.objects.calls is not None:
        closing.append(node.objects.calls.end(STOP_GRACE_SECONDS))
    if node.http is not None:
        closing.append(node.http.close())
    await asyncio.gather(*closing)
    await end_turns(node.assembly, node.background)
    if node.objects is not None:
        await node.objects.close()


async def _hand_keys_over(node: RunningNode) -> None:
    if not await hand_over(node.assembly.driver):
        logger.warning("not all peers have acknowledged what was written here last")


async def _hand_objects_over(served: ServedObjects | None) -> None:
    if served is not None:
        await served.objects.hand_over()
        if served.mesh is not None:
            await served.mesh.close()


async def serve(config: NodeConfig) -> None:
    """
    Run a node until SIGTERM or SIGINT, or until it has left, or its disk fails.

    A node whose store must be replaced ends, and begins anew in this process.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(YOUNG_OBJECTS_MAX, *gc.get_threshold()[1:])
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    while not stopping.is_set():
        try:
            await _serve_once(config, stopping)
        except StartOverError as error:
            logger.warning("this node starts over as a new replica: %s", error)


async def _serve_once(config: NodeConfig, stopping: asyncio.Event) -> None:
    node = await start(config)
    telling = asyncio.create_task(_tell_health(node), name="health")
    gc.collect()
    gc.freeze()  # what is here stays: no collection need walk through it again
    logger.info(
        "%s (%016x) listens on %s",
        config.name,
        node.assembly.driver.replica(),
        config.advertised(node.port),
    )
    if node.http is not None:
        host = config.http.rpartition(":")[0]
        logger.info("%s serves HTTP on %s:%s", config.name, host, node.http.port)
    asked = asyncio.create_task(stopping.wait())
    left = asyncio.create_task(node.departures.departed())
    await asyncio.wait(
        (asked, left, *node.background), return_when=asyncio.FIRST_COMPLETED
    )
    if left.done():
        logger.info("%s has left the cluster for good", config.name)
        stopping.set()
    asked.cancel()
    telling.cancel()
    left.cancel()
    logger.info("%s is stopping", config.name)
    await stop(node)
    for task in node.background:
        if not task.cancelled():
            task.result()  # raises what ended the node, if it was not asked to end


async def _tell_health(node: RunningNode) -> None:
    """Keep the health service true: a node that is being filled serves nobody."""
    statuses = health_pb2.HealthCheckResponse
    told: bool | None = None
    while True:
        serves = node.assembly.driver.serves()
        if serves != told:
            await node.health.set(
                "", statuses.SERVING if serves else statuses.NOT_SERVING
            )
            told = serves
        await asyncio.sleep(HEALTH_SECONDS)


def run(config: NodeConfig) -> None:
    """
    Run a node in this process; returns when it has been told to stop.

    Raises:
        KvError: It could not start; see `start`.
        OSError: The disk failed while it ran.
    """
    logging.basicConfig(
        level=config.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    asyncio.run(serve(config))


__all__ = ["RunningNode", "run", "serve", "start", "stop"]
