"""
A node as a process: putting the parts together, and taking them apart in order.

Starting: open the store, take up its state, run turns, listen, dial.  Stopping:
report NOT_SERVING, let calls end, finish queued turns, close the store.
"""

import asyncio
import logging
import secrets
import signal
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kvnode._pb import (
    admin_pb2,
    admin_pb2_grpc,
    kv_pb2,
    kv_pb2_grpc,
    peer_pb2,
)
from kvnode.api.admin_service import AdminServicer, Facts
from kvnode.api.kv_service import KvServicer
from kvnode.api.namespaces import Namespaces, registration
from kvnode.api.operations import Operations
from kvnode.api.reads import Reader
from kvnode.api.watch import Watches
from kvnode.api.writing import write_and_wait
from kvnode.config import NodeConfig
from kvnode.core.node.commands import Put
from kvnode.core.node.node import Node, Settings
from kvnode.core.versions.store_view import DurableState, PeerAddress
from kvnode.errors import ConfigError
from kvnode.limits import FRAME_BYTES_MAX
from kvnode.runtime.delta_server import DeltaServer
from kvnode.runtime.driver import Driver
from kvnode.runtime.inbox import Inbox
from kvnode.storage.backup import back_up
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.transport.link import Conditions
from kvnode.transport.peer_pool import PeerPool, add_peer_service
from kvnode.types import Millis, Namespace, ReplicaId

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_SECONDS = 0.0001
"""
How soon a busy thread yields the interpreter.  The store's writer thread needs
it back after every call into LMDB; with Python's 5 ms a group commit beside a
busy event loop took 40 ms, with this 2.5 ms.
"""

STOP_GRACE_SECONDS = 3.0

SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.so_reuseport", 0),
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
    The parts of a node that runs.

    `background` are its turns and, in relaxed mode, its syncs: the node is
    finished when any of them ends.
    """

    config: NodeConfig
    store: LmdbStore
    pool: PeerPool
    driver: Driver
    deltas: DeltaServer
    server: grpc.aio.Server
    health: health.aio.HealthServicer
    port: int
    background: list[asyncio.Task[None]]


async def start(config: NodeConfig) -> RunningNode:
    """
    Start a node; it serves when this returns.

    Raises:
        KvError: The data directory is in use, the store is damaged, or the
            address cannot be listened on.
        OSError: The data directory cannot be made or read.
    """
    store = LmdbStore.open(
        config.data_directory,
        durability=Durability(config.durability),
        map_bytes=config.map_bytes,
        reserve_bytes=config.disk_reserve_bytes,
        random_replica=random_replica,
    )
    try:
        return await _start_on(store, config)
    except BaseException:
        store.close()
        raise


async def _start_on(store: LmdbStore, config: NodeConfig) -> RunningNode:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    try:
        port = server.add_insecure_port(config.listen)
    except RuntimeError as error:
        msg = f"listen: cannot listen on {config.listen}: is another process there?"
        raise ConfigError(msg) from error
    state = await _initial_state(store)
    own = PeerAddress(
        config.name, config.advertised(port), state.replica, config.region
    )
    driver, pool, deltas = _make_driver(store, own, state, config)
    with store.snapshot() as view:
        namespaces = Namespaces(view)
    driver.listen(namespaces.on_commit)
    healthy = _add_services(server, driver, namespaces, pool, config)
    background = [asyncio.create_task(driver.run(), name="turns")]
    if store.durability is Durability.RELAXED:
        syncing = _sync_forever(store, config.relaxed_sync_interval_ms)
        background.append(asyncio.create_task(syncing, name="syncs"))
    await _make_namespaces(driver, namespaces, config)
    await server.start()
    _dial_peers(driver, pool, config)
    return RunningNode(
        config, store, pool, driver, deltas, server, healthy, port, background
    )


def _make_driver(
    store: LmdbStore, own: PeerAddress, state: DurableState, config: NodeConfig
) -> tuple[Driver, PeerPool, DeltaServer]:
    """Return the node's loop, with its connections to peers attached."""
    settings = Settings(
        own,
        report_interval=Millis(config.delta_interval_ms),
        gap_patience=Millis(config.gap_patience_ms),
        outbox_bytes_max=config.outbox_bytes_max,
        clock_ahead_max=Millis(config.clock_offset_max_ms),
    )
    conditions = {
        name: Conditions(delay) for name, delay in config.link_delays_ms.items()
    }
    pool = PeerPool(own, config.cluster, conditions)
    deltas = DeltaServer(
        store,
        pool,
        page_bytes=config.delta_page_bytes,
        sessions_max=config.delta_sessions_max,
    )
    driver = Driver(
        Node(state, settings),
        store,
        pool,
        clock=wall_clock,
        deltas=deltas,
        inbox=Inbox(
            operations_max=config.inbox_operations_max,
            bytes_max=config.inbox_bytes_max,
        ),
        backup=lambda: back_up(store, now=wall_clock()),
    )
    pool.attach(driver)
    return driver, pool, deltas


async def _initial_state(store: LmdbStore) -> DurableState:
    """
    Return the state to start from.

    A relaxed store that was not closed may lack writes that peers already have
    from us.  Going on under the same identity would give their numbers to other
    writes, and let an older counter sum stand for a newer one; so the node
    becomes a new replica, which pulls what the old one wrote like anyone's
    (docs/decisions/0002).
    """
    state = store.state()
    if store.unclean:
        logger.warning("not closed in relaxed mode: taking a new identity")
        state = replace(state, replica=random_replica(), seq=0)
        await store.reserve(state)
    return state


def _add_services(
    server: grpc.aio.Server,
    driver: Driver,
    namespaces: Namespaces,
    pool: PeerPool,
    config: NodeConfig,
) -> health.aio.HealthServicer:
    reader = Reader(driver, namespaces)
    facts = Facts(
        name=config.name,
        region=config.region,
        cluster=config.cluster,
        version=version("kvnode"),
        durability=config.durability,
        data_directory=str(config.data_directory.absolute()),
        started_at_ms=wall_clock(),
        fault_injection=config.fault_injection,
    )
    healthy = health.aio.HealthServicer()
    kv_pb2_grpc.add_KvServicer_to_server(
        KvServicer(driver, Operations(driver, reader), Watches(driver, reader)), server
    )
    admin_pb2_grpc.add_AdminServicer_to_server(
        AdminServicer(driver, namespaces, pool, facts), server
    )
    add_peer_service(server, pool)
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
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    return healthy


def _dial_peers(driver: Driver, pool: PeerPool, config: NodeConfig) -> None:
    named = tuple(PeerAddress(p.name, p.address) for p in config.peers if p.name)
    driver.configure(named)
    for address in (*(p.address for p in config.peers if not p.name), *config.seeds):
        pool.dial(PeerAddress("", address))


async def _make_namespaces(
    driver: Driver, namespaces: Namespaces, config: NodeConfig
) -> None:
    missing = [n for n in map(Namespace, config.namespaces) if n not in namespaces]
    if missing:
        await write_and_wait(
            driver, tuple(Put(registration(name), b"{}") for name in missing)
        )


async def _sync_forever(store: LmdbStore, interval_ms: int) -> None:
    while True:
        await asyncio.sleep(interval_ms / 1000)
        await store.sync()


async def stop(node: RunningNode) -> None:
    """Stop *node*: what was accepted is finished, what was told stays true."""
    await node.health.enter_graceful_shutdown()
    await node.pool.close()
    await node.server.stop(STOP_GRACE_SECONDS)
    node.driver.stop()
    turns, *syncs = node.background
    for task in syncs:
        task.cancel()
    await asyncio.gather(turns, *syncs, return_exceptions=True)
    node.deltas.close()
    node.store.close()


async def serve(config: NodeConfig) -> None:
    """Run a node until SIGTERM or SIGINT, or until its disk fails."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    node = await start(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await node.health.set("", health_pb2.HealthCheckResponse.SERVING)
    logger.info(
        "%s (%016x) serves on %s",
        config.name,
        node.driver.replica(),
        node.config.advertised(node.port),
    )
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((asked, *node.background), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    logger.info("%s is stopping", config.name)
    await stop(node)
    for task in node.background:
        if not task.cancelled():
            task.result()  # raises what ended the node, if it was not asked to end


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
