"""
The replicas of one node at work: turns against a real store, peers and an authority.

Events wait per shard and become turns; the turns of all shards that have any are made
durable together, in one transaction with one sync.  What a leader sends goes out before
that, so that its followers' disks work beside its own; whatever speaks of this node's
disk goes out after it (kvnode.core.objects.shard_turn).

Whoever proposes an entry waits until it is committed.  If the lead is lost meanwhile
nobody can say, here, whether it will be.

What is committed is applied to each shard's state in the background, and no turn waits
for that (kvnode.runtime.shards.state.applier).

A turn for which the disk has no room has not happened: its replicas are made anew from
what the disk has, as after a crash, and rest for a while.  What was sent before cannot
be taken back, and need not: an epoch that a replica has led never goes on after that.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from kvnode.authority.port import Authority
from kvnode.completion import failed
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    Closed,
    Committed,
    Confirm,
    Confirmed,
    Declined,
    Distrusted,
    Effect,
    Event,
    Opened,
    Propose,
    Proposed,
    Received,
    Send,
    SendSnapshot,
    Swap,
)
from kvnode.core.objects.messages import (
    Append,
    PagesTaken,
    PeerMessage,
    SnapshotPage,
    SnapshotWanted,
)
from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import NOBODY, ShardReplica, Uniform
from kvnode.core.objects.state_reader import StateReader
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.runtime.background import Background
from kvnode.runtime.shards.asking import answer_of
from kvnode.runtime.shards.distrust import Distrust
from kvnode.runtime.shards.hosted_shard import HostedShard, Turn
from kvnode.runtime.shards.ports import ShardListener, ShardTransport
from kvnode.runtime.shards.snapshots import Snapshots
from kvnode.storage.shards.port import ShardLogStore, StoredShard
from kvnode.storage.shards.state_port import (
    ShardStates,
    check_shard_name,
)
from kvnode.types import Millis, ReplicaId

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.05

UNAPPLIED_ENTRIES_MAX: Final = 10_000
"""Committed and not in the state: as many as the log keeps anyway; more are refused."""

REST: Final = Millis(1000)
"""A disk that was full is full for a while, and to begin anew means to read a log."""

SHARDS_MAX: Final = 1024
"""On one node: peers name them, and each takes a file.  16 a region are usual."""


class ShardHost:
    """All replicas of one node."""

    def __init__(  # noqa: PLR0913 -- the ports of the host, each named at the call
        self,
        store: ShardLogStore,
        states: ShardStates,
        authority: Authority,
        transport: ShardTransport,
        listener: ShardListener,
        *,
        settings: ShardSettings,
        uniform: Uniform,
        steady: Callable[[], Millis],
    ) -> None:
        """
        Start with the shards that *store* has; blocks while it reads them.

        Raises:
            CorruptRecordError: A record is damaged.
        """
        self._store = store
        self._states = states
        self._authority = authority
        self._transport = transport
        self._listener = listener
        self._settings = settings
        self._uniform = uniform
        self._steady = steady
        self._arrived = asyncio.Event()
        self._tokens = 0
        self._is_stopping = False
        self._background = Background(self._arrived.set)
        self._distrust = Distrust()
        self._shards: dict[str, HostedShard] = {}
        self._idle: list[HostedShard] = []  # their appliers do not run yet
        self._snapshots = Snapshots(
            self._shard, transport.send, self._background, uniform=uniform
        )
        for name, stored in store.load().items():
            self._add(name, stored)

    @property
    def own(self) -> ReplicaId:
        """Return the identity of this node's logs."""
        return self._store.replica

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the names of the shards that are here, ascending."""
        return tuple(sorted(self._shards))

    def replica(self, shard: str) -> ShardReplica:
        """Return the replica of *shard*, to look at; made if there is none yet."""
        return self._shard(shard).replica

    def has_replica(self, shard: str) -> bool:
        """Tell whether this node has a replica of *shard*."""
        return shard in self._shards

    def leader(self, shard: str) -> ReplicaId:
        """Return who leads *shard*, as far as its replica here knows; or NOBODY."""
        here = self._shards.get(shard)
        return here.replica.leader if here is not None else NOBODY

    def state(self, shard: str) -> StateReader:
        """
        Return what *shard* holds, to be read at once: after a failure it is another.

        Raises:
            UnavailableError: It is not there; see `fault`.
        """
        return self._shard(shard).applier.state

    def applied(self, shard: str) -> Position:
        """Return the last entry whose changes are in the state of *shard*."""
        return self._shard(shard).applier.applied

    def hurry(self, shard: str) -> None:
        """Let what is committed show in the state of *shard* soon."""
        self._shard(shard).applier.hurry()

    def fault(self, shard: str) -> str:
        """Return what is wrong with the state of *shard*; empty if nothing is."""
        return self._shard(shard).applier.fault

    def leads(self, shard: str) -> bool:
        """Tell whether this node leads *shard*, as far as it knows."""
        here = self._shards.get(shard)
        return here is not None and here.leads

    def has_lease(self, shard: str) -> bool:
        """Tell whether a reply may leave now without a `confirm`."""
        here = self._shards.get(shard)
        leading = here.replica.leadership if here is not None else None
        return leading is not None and leading.has_lease(self._steady())

    # -- what is asked for -----------------------------------------------------

    def receive(self, sender: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Take in a message of a peer."""
        here = self._shards.get(shard)
        if here is None:
            here = self._begun_by(sender, shard)
        if here is None or here.rests_until is not None:
            return
        if isinstance(message, SnapshotPage | PagesTaken | SnapshotWanted):
            self._snapshots.heard(here, sender, message)
            return
        if isinstance(message, Append) and here.applier.is_lost:
            self._snapshots.want(here, sender, message.epoch, self._steady())
        if here.take(Received(sender, message)):
            self._arrived.set()

    def tell(self, shard: str, event: Event) -> None:
        """Take in an event; a shard that rests does not."""
        if self._shard(shard).take(event):
            self._arrived.set()

    def propose(self, shard: str, data: bytes) -> "asyncio.Future[int]":
        """
        Append an entry; see kvnode.objects.running.log_port.ShardLog.

        It fails with:
            UnavailableError: This node does not lead; nothing has happened.
            OverloadedError: Too many wait; nothing has happened.
            StoreFullError: The disk has no room; nothing has happened.
            IndeterminateError: The lead was lost; it may be committed all the same.
        """
        try:
            here = self._shard(shard)
            self._check_applied(here)
            return self._ask(here, lambda token: Propose(token, data), len(data))
        except KvError as error:
            return failed(error)

    def _check_applied(self, here: HostedShard) -> None:
        """Refuse more entries where the state is too far behind."""
        unapplied = here.replica.committed - here.applier.applied.number
        if here.leads and unapplied > UNAPPLIED_ENTRIES_MAX:
            msg = (
                f"the state of shard {here.name} is {unapplied} entries behind, and"
                f" more than {UNAPPLIED_ENTRIES_MAX} may not be: try again"
            )
            raise OverloadedError(msg)

    async def confirm(self, shard: str) -> None:
        """
        Return once a majority has confirmed that this node leads, after the call.

        Raises:
            UnavailableError: It does not.
            OverloadedError: Too many wait.
        """
        try:
            await self._ask(self._shard(shard), Confirm, 0)
        except IndeterminateError as error:
            msg = f"this node has lost the lead of shard {shard}"
            raise UnavailableError(msg) from error

    def _ask(
        self,
        here: HostedShard,
        event: Callable[[int], Propose | Confirm],
        size_bytes: int,
    ) -> "asyncio.Future[int]":
        if self._is_stopping:
            msg = "this node has stopped: ask another"
            raise UnavailableError(msg)
        here.check_at_work()
        self._tokens += 1
        future = here.waiting.ask(self._tokens, size_bytes, here.name)
        self.tell(here.name, event(self._tokens))
        return future

    # -- the shards that are here ----------------------------------------------

    def _shard(self, name: str) -> HostedShard:
        return self._shards.get(name) or self._add(name, None)

    def _add(self, name: str, stored: StoredShard | None) -> HostedShard:
        replica = self._replica_of(stored)
        here = HostedShard(name, replica, self._states, self._listener)
        self._shards[name] = here
        self._idle.append(here)
        self._arrived.set()
        return here

    def _replica_of(self, stored: StoredShard | None) -> ShardReplica:
        """Return a replica that begins with what is durable."""
        return ShardReplica(
            self._store.replica,
            self._settings,
            uniform=self._uniform,
            now=self._steady(),
            log=stored.log if stored is not None else None,
            promised=stored.promised if stored is not None else 0,
        )

    def _begun_by(self, sender: ReplicaId, name: str) -> HostedShard | None:
        """Return a shard that another node has brought here, unless it may not be."""
        try:
            check_shard_name(name)
        except InvalidArgumentError as error:
            self._distrust.note(sender, "?", str(error), self._steady())
            return None
        if len(self._shards) >= SHARDS_MAX:
            msg = f"{SHARDS_MAX} shards are here, which is as many as may be"
            self._distrust.note(sender, name, msg, self._steady())
            return None
        return self._shard(name)

    # -- turns -----------------------------------------------------------------

    async def run(self) -> None:
        """
        Run turns until stopped.

        Raises:
            OSError: The disk failed; nobody knows what has happened.
            CorruptRecordError: What it has of a shard is damaged.
        """
        self._background.start(self._tick_forever())
        try:
            while not self._is_stopping:
                await self._arrived.wait()
                self._arrived.clear()
                if self._background.failure is not None:
                    raise self._background.failure
                await self._turn()
        finally:
            self._is_stopping = True
            for here in self._shards.values():
                msg = "this node stopped before the entry was committed"
                here.waiting.fail(IndeterminateError(msg))
            await self._background.end()

    def stop(self) -> None:
        """End `run` after the turn under way."""
        self._is_stopping = True
        self._arrived.set()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._steady()
            for here in self._shards.values():
                if here.rests_until is not None and here.rests_until <= now:
                    here.rests_until = None
                here.tick()
                self._snapshots.compact(here)
            self._arrived.set()

    async def _turn(self) -> None:
        """Take in what waits, make it durable, and do what comes of it."""
        while self._idle:
            self._background.start(self._idle.pop().applier.run())
        now = self._steady()
        turns: list[tuple[HostedShard, Turn]] = []
        for here in list(self._shards.values()):
            if here.must_not_lead:
                stored = StoredShard(here.replica.promised, here.replica.log)
                here.begin_anew(self._replica_of(stored))
            if here.has_events:
                turn = here.step(now)
                turns.append((here, turn))
                self._perform(here, turn.result.at_once)
        self._transport.flush()  # to disks that work while this node's does
        has_room = await self._persist(turns)
        for here, turn in turns:
            if has_room or turn.result.persist is None:
                self._perform(here, turn.result.effects)
        self._transport.flush()

    async def _persist(self, turns: Sequence[tuple[HostedShard, Turn]]) -> bool:
        """Make turns durable; if there is no room for them, take them back."""
        persists = {
            here.name: turn.result.persist
            for here, turn in turns
            if turn.result.persist is not None
        }
        if not persists:
            return True
        try:
            await self._store.persist(persists)
        except StoreFullError as error:
            logger.error("a turn found no room on the disk: %s", error)  # noqa: TRY400 -- an expected state; the trace says nothing
            until = Millis(self._steady() + REST)
            for here, turn in turns:
                if here.name in persists:
                    stored = self._store.load_shard(here.name)
                    here.rest(turn, self._replica_of(stored), until)
            return False
        return True

    def _perform(self, here: HostedShard, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(receiver, message) if receiver == self._store.replica:
                    here.take_own(Received(receiver, message))
                    self._arrived.set()
                case Send(receiver, message):
                    self._transport.send(receiver, here.name, message)
                case SendSnapshot():
                    self._snapshots.begin(here, effect)
                case AskAuthority() | Swap():
                    self._ask_authority(here, effect)
                case Distrusted(sender, reason):
                    self._distrust.note(sender, here.name, reason, self._steady())
                case (
                    Opened()
                    | Closed()
                    | Proposed()
                    | Declined()
                    | Committed()
                    | Confirmed()
                ):
                    here.tell(effect)
                case _:
                    assert_never(effect)

    def _ask_authority(self, here: HostedShard, effect: AskAuthority | Swap) -> None:
        """
        Ask, unless the same is being asked.

        A leader that moves its shard asks at every tick until it is answered, and tries
        to change one register outbid each other: so many at once never come to an end.
        """
        question = (here.life, effect)
        if question not in here.asked:
            here.asked.add(question)
            self._background.start(self._hear_authority(here, effect))

    async def _hear_authority(
        self, here: HostedShard, effect: AskAuthority | Swap
    ) -> None:
        life = here.life
        if here.applier.is_lost:  # without a state it must not lead
            event: Event = AuthorityFailed()
        else:
            event = await answer_of(self._authority, here.name, effect)
        here.asked.discard((life, effect))
        if here.life == life:
            self.tell(here.name, event)
