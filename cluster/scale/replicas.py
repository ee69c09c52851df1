"""
A few node cores on real stores, linked by queues that lose nothing.

For measurements of what nodes store: everything that decides about that is real
(stamps, merging, key clocks, commits, the store), and nothing is there that does
not (sockets, event loops of nodes, time).  A turn's effects follow its commit, as
in kvnode.runtime.driver.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count, permutations
from pathlib import Path
from random import Random
from typing import Self

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Applied, Command, WriteRequest
from kvnode.core.node.events import (
    Dial,
    Effect,
    Event,
    PeerUp,
    Received,
    Reply,
    Send,
    Tick,
)
from kvnode.core.node.node import Node, Settings
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import PeerAddress
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import Millis, ReplicaId

START = Millis(1_700_000_000_000)
"""A stamp of our years: 63 bits of it are on disk whatever they are."""

SCATTER = 0x9E37_79B9_7F4A_7C15
"""Odd, so that its multiples below 2^64 differ: identities as if drawn at random."""

PROTOCOL = 2
"""With which members are known for what they are, and deletions are forgotten."""

OUTBOX_BYTES_MAX = 1 << 30
"""No peer falls behind: what each node stores must not depend on the pace."""


class _Replica:
    """One node: its core, its store and what has arrived."""

    def __init__(self, name: str, store: LmdbStore) -> None:
        self.address = PeerAddress(name, "", store.state().replica)
        self.store = store
        self.inbox: deque[Event] = deque()
        own = PeerAddress(name, "")
        settings = Settings(own, outbox_bytes_max=OUTBOX_BYTES_MAX)
        rng = Random(name)  # noqa: S311 -- to be repeatable
        self.node = Node(store.state(), settings, rng)


class Replicas:
    """
    Nodes that all know each other.

    Attributes:
        now: What every node's clock says.
    """

    def __init__(self, stores: Sequence[LmdbStore]) -> None:
        """Take over open *stores*; callers use `open`."""
        self.now = START
        self._numbers = count(1)
        self._all = [_Replica(f"site-{n}", store) for n, store in enumerate(stores)]
        self._by_id = {each.address.replica: each for each in self._all}
        for replica, peer in permutations(self._all, 2):
            state = peer.store.state()
            replica.inbox.append(
                PeerUp(peer.address, state.clock, state.peers, protocol=PROTOCOL)
            )

    @classmethod
    async def open(
        cls, directory: Path, replica_count: int, *, writes_before: int = 0
    ) -> Self:
        """
        Return nodes with new stores in *directory*: see `store_directory`.

        Args:
            directory: Exists, and is empty.
            replica_count: At least 1.
            writes_before: How many writes each is taken to have made already, all
                of them superseded and forgotten since.
        """
        ids = [ReplicaId(SCATTER * n % 2**64) for n in range(1, replica_count + 1)]
        covered = VersionVector.of(dict.fromkeys(ids, writes_before))
        stores = []
        for n, replica in enumerate(ids):
            # Nothing is to survive a power cut; the rows are the same.
            store = LmdbStore.open(
                store_directory(directory, n),
                random_replica=partial(ReplicaId, replica),
                durability=Durability.RELAXED,
            )
            stores.append(store)
            if writes_before:
                state = replace(store.state(), clock=covered, seq=writes_before)
                await store.reserve(state)
        return cls(stores)

    def session(self, at: int) -> Session:
        """Return the session of somebody who has read all that is at a node."""
        return NEW_SESSION.saw_all_of(self._all[at].node.state.clock)

    async def write(
        self, at: int, commands: Sequence[Command], session: Session = NEW_SESSION
    ) -> None:
        """Perform *commands* in one turn of a node, and let all others hear of it."""
        self.now = Millis(self.now + 1)
        request = WriteRequest(next(self._numbers), tuple(commands), session)
        self._all[at].inbox.append(request)
        await self._settle()

    async def let_pass(self, span: Millis, step: Millis) -> None:
        """Let time pass at all nodes, in steps, and everything that it brings."""
        for _ in range(span // step):
            self.now = Millis(self.now + step)
            for replica in self._all:
                replica.inbox.append(Tick())
            await self._settle()

    def close(self) -> None:
        """Close the stores."""
        for replica in self._all:
            replica.store.close()

    async def _settle(self) -> None:
        """Make turns until no node has anything to take in."""
        while any(replica.inbox for replica in self._all):
            for replica in self._all:
                if replica.inbox:
                    await self._turn(replica)

    async def _turn(self, replica: _Replica) -> None:
        events = tuple(replica.inbox)
        replica.inbox.clear()
        with replica.store.snapshot() as view:
            at = ClockReading(self.now, self.now)
            result = replica.node.step(events, at, view)
        if result.commit:
            await replica.store.apply(result.commit)
        replica.node.committed()
        for effect in (*result.at_once, *result.effects):
            self._perform(replica, effect)

    def _perform(self, replica: _Replica, effect: Effect) -> None:
        match effect:
            case Send(peer, message):
                received = Received(replica.address.replica, message)
                self._by_id[peer].inbox.append(received)
            case Reply(outcomes=outcomes):
                for outcome in outcomes:
                    assert isinstance(outcome, Applied), f"a write: {outcome}"
            case Dial():
                pass  # all are connected
            case _:
                msg = f"nothing is lost or wrong here, and yet: {effect}"
                raise AssertionError(msg)


def store_directory(directory: Path, at: int) -> Path:
    """Return where the store of node number *at* is."""
    return directory / f"site-{at}"
