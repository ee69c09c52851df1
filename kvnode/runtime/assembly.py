"""
Putting a node together, on whatever disk, road and clock it is given.

A process gives it LMDB, gRPC and the system's clock (kvnode.runtime.app); a
simulation gives it others.  All that is between is the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from kvnode._pb.peer_pb2 import PeerMessage
from kvnode.api.namespaces import Namespaces, registration
from kvnode.api.operations import Operations
from kvnode.api.reads import Reader
from kvnode.api.watch import Watches
from kvnode.api.writing import write_and_wait
from kvnode.config import NodeConfig
from kvnode.core.membership.events import Rng
from kvnode.core.node.address_book import configured
from kvnode.core.node.commands import Put
from kvnode.core.node.departure import has_left
from kvnode.core.node.node import Node, Settings
from kvnode.core.versions.roster import Member, Standing
from kvnode.core.versions.store_view import DurableState, PeerAddress
from kvnode.core.versions.version import Entry
from kvnode.errors import RejectedError
from kvnode.runtime.clock import Clock
from kvnode.runtime.conflict_sweep import sweep_forever
from kvnode.runtime.delta_server import DeltaServer
from kvnode.runtime.driver import Driver
from kvnode.runtime.inbox import Inbox
from kvnode.runtime.repair_server import RepairServer
from kvnode.runtime.self_check import SelfCheck
from kvnode.runtime.start_over import start_over
from kvnode.storage.durability import Durability
from kvnode.storage.port import Store
from kvnode.transport.link import Conditions
from kvnode.transport.peer_pool import PeerPool, Uniform
from kvnode.transport.road import Road
from kvnode.types import EntryKey, Millis, Namespace, ReplicaId

logger = logging.getLogger(__name__)

NAMESPACES_RETRY_SECONDS = 0.1
"""While a node is being filled, how often it looks whether it may write."""


class NodeStore(Store, Protocol):
    """A store as a whole node uses it: it knows what a crash may cost."""

    @property
    def durability(self) -> Durability:
        """What `apply` waits for."""

    @property
    def unclean(self) -> bool:
        """Whether it may lack writes that peers have; see LmdbStore."""

    async def sync(self) -> None:
        """Bring the disk up to all that was applied."""

    async def rescue(self, entries: list[tuple[EntryKey, Entry]]) -> str:
        """Put *entries* aside, durably; return where, for people."""


class Surroundings(NamedTuple):
    """
    What a node stands on.

    Attributes:
        store: Its disk.
        road: What it dials peers on.
        clock: Milliseconds since 1970, as this node believes, and a steady clock.
        rng: What the node's core draws from.
        uniform: Draws how long to wait before dialing again.
        random_replica: Draws a fresh identity.
        backup: Begins a backup of the store.
    """

    store: NodeStore
    road: Road[PeerMessage]
    clock: Clock
    rng: Rng
    uniform: Uniform
    random_replica: Callable[[], ReplicaId]
    backup: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts of a node, connected to each other; nothing runs yet."""

    config: NodeConfig
    store: NodeStore
    pool: PeerPool
    deltas: DeltaServer
    repairs: RepairServer
    self_check: SelfCheck
    driver: Driver
    namespaces: Namespaces
    operations: Operations
    watches: Watches
    later: set[asyncio.Task[None]] = field(default_factory=set)


async def assemble(
    config: NodeConfig, surroundings: Surroundings, *, address: str
) -> Assembly:
    """
    Take up the store's state and connect the parts of a node.

    Args:
        config: Its settings.
        surroundings: What it stands on.
        address: host:port at which peers reach it.

    Raises:
        KvError: The store is damaged.
        OSError: The disk failed.
    """
    store = surroundings.store
    state = await _initial_state(store, config.name, surroundings.random_replica)
    # From the first hello on, which may go out before the first commit: whoever met
    # this node without hearing of them would forget without them (G1).
    peers = configured(state.peers, _named(config), state.roster, own_name=config.name)
    state = replace(state, peers=peers)
    own = PeerAddress(config.name, address, state.replica, config.region)
    conditions = {
        name: Conditions(delay) for name, delay in config.link_delays_ms.items()
    }
    pool = PeerPool(
        own,
        config.cluster,
        conditions,
        road=surroundings.road,
        uniform=surroundings.uniform,
        configured=(*(peer.address for peer in config.peers), *config.seeds),
    )
    deltas = DeltaServer(
        store,
        pool,
        page_bytes=config.delta_page_bytes,
        sessions_max=config.delta_sessions_max,
        bootstrap_bytes_per_second=config.bootstrap_bytes_per_second,
    )
    repairs = RepairServer(
        store,
        pool,
        random_word=surroundings.random_replica,
        uniform=surroundings.uniform,
        page_bytes=config.delta_page_bytes,
        bytes_per_second=config.repair_bytes_per_second,
    )
    driver = Driver(
        Node(state, _settings(own, config, surroundings.clock()), surroundings.rng),
        store,
        pool,
        clock=surroundings.clock,
        deltas=deltas,
        repairs=repairs,
        inbox=Inbox(
            operations_max=config.inbox_operations_max,
            bytes_max=config.inbox_bytes_max,
        ),
        backup=surroundings.backup,
    )
    pool.attach(driver)
    with store.snapshot() as view:
        namespaces = Namespaces(view)
    driver.listen(namespaces.on_commit)
    reader = Reader(driver, namespaces)
    return Assembly(
        config,
        store,
        pool,
        deltas,
        repairs,
        SelfCheck(
            store,
            driver,
            interval_ms=config.scan_interval_ms,
            uniform=surroundings.uniform,
            on_checked=repairs.checked,
        ),
        driver,
        namespaces,
        Operations(driver, reader),
        Watches(driver, reader),
    )


def _settings(own: PeerAddress, config: NodeConfig, started_at: Millis) -> Settings:
    return Settings(
        own,
        report_interval=Millis(config.delta_interval_ms),
        gap_patience=Millis(config.gap_patience_ms),
        outbox_bytes_max=config.outbox_bytes_max,
        clock_ahead_max=Millis(config.clock_offset_max_ms),
        forget_interval=Millis(config.forget_interval_ms),
        incarnation=started_at,
        repair_automatically=config.repair_automatically,
        seeds=_seeds(config),
    )


async def _initial_state(
    store: NodeStore, name: str, random_replica: Callable[[], ReplicaId]
) -> DurableState:
    """
    Return the state to start from.

    A relaxed store that was not closed may lack writes that peers already have
    from us.  Going on under the same identity would give their numbers to other
    writes, and let an older counter sum stand for a newer one; so the node
    becomes a new replica, which pulls what the old one wrote like anyone's
    (docs/decisions/0002).  A power cut may have left pages of different times, so
    the digest does not count until the store has been scanned.
    """
    state = store.state()
    if has_left(state.replica, state.roster):
        msg = (
            f"this data directory belongs to {state.replica:016x}, which has left the"
            " cluster for good: move it away, and start with an empty one to join again"
        )
        raise RejectedError(msg)
    if store.unclean:
        logger.warning("not closed in relaxed mode: taking a new identity")
        # This directory was its only one.  That it had joined may be lost as well.
        former = state.roster.get(state.replica) or Member(state.replica, name)
        roster = state.roster.join((former._replace(standing=Standing.REMOVED),))
        state = replace(
            state,
            replica=random_replica(),
            seq=0,
            roster=roster,
            digest=state.digest.broken(),
        )
        await store.reserve(state)
    if state.start_over is not None:
        state = await start_over(store, random_replica)
    return state


async def run_turns(node: Assembly) -> list[asyncio.Task[None]]:
    """
    Begin the node's turns, and see that its namespaces are there.

    A node that has just begun and is to join others serves nobody before it has met
    one; its namespaces are made when it has.

    Returns:
        The tasks that run: turns, self-checks, and in relaxed mode syncs.  The node
        is finished when any of them ends.
    """
    if _has_just_begun(node) and (node.config.peers or node.config.seeds):
        node.driver.join(Millis(node.config.join_patience_ms))
    background = [
        asyncio.create_task(node.driver.run(), name="turns"),
        asyncio.create_task(node.self_check.run(), name="self-check"),
        asyncio.create_task(sweep_forever(node.driver), name="sweep"),
    ]
    if node.store.durability is Durability.RELAXED:
        syncing = _sync_forever(node.store, node.config.relaxed_sync_interval_ms)
        background.append(asyncio.create_task(syncing, name="syncs"))
    if node.driver.refusal():
        making = asyncio.create_task(_make_namespaces(node), name="namespaces")
        node.later.add(making)
        making.add_done_callback(node.later.discard)
    else:
        await _make_namespaces(node)
    return background


def _has_just_begun(node: Assembly) -> bool:
    """
    Tell whether this replica has told nobody anything yet.

    It is empty, or has been restored from a backup and may have to start over (G2b):
    what clients told it meanwhile would then be put aside.
    """
    state = node.driver.committed_state
    if state.seq or state.filling is not None:
        return False
    return not state.clock or state.roster.get(state.replica) is None


async def _make_namespaces(node: Assembly) -> None:
    while node.driver.refusal():  # noqa: ASYNC110 -- that has many causes, and is rare
        await asyncio.sleep(NAMESPACES_RETRY_SECONDS)
    wanted = map(Namespace, node.config.namespaces)
    missing = [name for name in wanted if name not in node.namespaces]
    if missing:
        await write_and_wait(
            node.driver, tuple(Put(registration(name), b"{}") for name in missing)
        )


async def _sync_forever(store: NodeStore, interval_ms: int) -> None:
    while True:
        await asyncio.sleep(interval_ms / 1000)
        await store.sync()


def _named(config: NodeConfig) -> tuple[PeerAddress, ...]:
    """Return the peers that the operator has named."""
    return tuple(PeerAddress(p.name, p.address) for p in config.peers if p.name)


def _seeds(config: NodeConfig) -> tuple[str, ...]:
    """Return where the operator says that others are, and not who."""
    return (*(peer.address for peer in config.peers if not peer.name), *config.seeds)


def dial_peers(node: Assembly) -> None:
    """Dial whom the configuration names; the node must be listening by now."""
    node.driver.configure(_named(node.config))
    for address in _seeds(node.config):
        node.pool.dial(PeerAddress("", address))


async def end_turns(node: Assembly, background: list[asyncio.Task[None]]) -> None:
    """Finish what was accepted and close the store; nobody may call any more."""
    node.driver.stop()
    turns, *others = (*background, *node.later)
    for task in others:
        task.cancel()
    await node.repairs.close()
    await asyncio.gather(turns, *others, return_exceptions=True)
    node.deltas.close()
    node.store.close()
