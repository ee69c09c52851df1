"""
The replicas of one node at work: turns against a real store, peers and an authority.

Events wait per shard and become turns; the turns of all shards that have any are made
durable together, in one transaction with one sync.  What a leader sends goes out before
that, so that its followers' disks work beside its own; whatever speaks of this node's
disk goes out after it (kvnode.core.objects.shard_turn).

Whoever proposes an entry waits until it is committed.  If the lead is lost meanwhile
nobody can say, here, whether it will be.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, assert_never

from kvnode.authority.port import Authority
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Closed,
    Committed,
    Confirm,
    Confirmed,
    Declined,
    Effect,
    Event,
    Opened,
    Persist,
    Propose,
    Proposed,
    Received,
    Send,
    SendSnapshot,
    SnapshotEnded,
    Swap,
    Tick,
    TurnResult,
)
from kvnode.core.objects.messages import Message
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import ShardReplica, Uniform
from kvnode.errors import IndeterminateError, KvError, OverloadedError, UnavailableError
from kvnode.storage.shards.port import ShardLogStore
from kvnode.types import Millis, ReplicaId

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.05

AUTHORITY_SECONDS_MAX: Final = 2.0
"""Longer than a round trip around the Earth and a sync take, several times over."""

WAITING_EVENTS_MAX: Final = 10_000
"""Events of one shard; messages above that are dropped, as networks do."""

UNANSWERED_MAX: Final = 20_000
"""Proposals and confirmations of one shard that wait; more are refused."""


class ShardTransport(Protocol):
    """What a host asks of the network."""

    def send(self, peer: ReplicaId, shard: str, message: Message) -> None:
        """Send *message*; it may be lost."""


class ShardListener(Protocol):
    """What a host tells of its shards, in the order in which it happens."""

    def opened(self, shard: str, epoch: int, number: int) -> None:
        """Entries up to *number* are all there ever was; this node leads from here."""

    def closed(self, shard: str, epoch: int) -> None:
        """This node does not lead any more."""

    def committed(self, shard: str, number: int) -> None:
        """Entries up to *number* are committed."""


@dataclass(slots=True)
class _Shard:
    """One shard here, and who waits for it."""

    replica: ShardReplica
    events: list[Event] = field(default_factory=list)
    asked: dict[int, asyncio.Future[int]] = field(default_factory=dict)  # by token
    proposed: dict[int, asyncio.Future[int]] = field(default_factory=dict)  # by number


class ShardHost:
    """All replicas of one node."""

    def __init__(  # noqa: PLR0913 -- the ports of the host, each named at the call
        self,
        store: ShardLogStore,
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
        self._authority = authority
        self._transport = transport
        self._listener = listener
        self._settings = settings
        self._uniform = uniform
        self._steady = steady
        self._arrived = asyncio.Event()
        self._tokens = 0
        self._is_stopping = False
        self._asking: set[asyncio.Task[None]] = set()
        self._shards = {
            name: _Shard(
                ShardReplica(
                    store.replica,
                    settings,
                    uniform=uniform,
                    now=steady(),
                    log=stored.log,
                    promised=stored.promised,
                )
            )
            for name, stored in store.load().items()
        }

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the names of the shards that are here, ascending."""
        return tuple(sorted(self._shards))

    def replica(self, shard: str) -> ShardReplica:
        """Return the replica of *shard*, to look at; made if there is none yet."""
        return self._shard(shard).replica

    def leads(self, shard: str) -> bool:
        """Tell whether this node leads *shard*, as far as it knows."""
        here = self._shards.get(shard)
        leading = here.replica.leadership if here is not None else None
        return leading is not None and leading.is_open

    def has_lease(self, shard: str) -> bool:
        """Tell whether a reply may leave now without a `confirm`."""
        here = self._shards.get(shard)
        leading = here.replica.leadership if here is not None else None
        return leading is not None and leading.has_lease(self._steady())

    # -- what is asked for -----------------------------------------------------

    def receive(self, sender: ReplicaId, shard: str, message: Message) -> None:
        """Take in a message of a peer."""
        self.tell(shard, Received(sender, message))

    def tell(self, shard: str, event: Event) -> None:
        """Take in an event."""
        here = self._shard(shard)
        if len(here.events) < WAITING_EVENTS_MAX or not isinstance(event, Received):
            here.events.append(event)
            self._arrived.set()

    async def propose(self, shard: str, data: bytes) -> int:
        """
        Append an entry; return its number once it is committed.

        Raises:
            UnavailableError: This node does not lead; nothing has happened.
            OverloadedError: Too many wait; nothing has happened.
            IndeterminateError: The lead was lost; it may be committed all the same.
        """
        return await self._ask(shard, lambda token: Propose(token, data))

    async def confirm(self, shard: str) -> None:
        """
        Return once a majority has confirmed that this node leads, after the call.

        Raises:
            UnavailableError: It does not.
            OverloadedError: Too many wait.
        """
        try:
            await self._ask(shard, Confirm)
        except IndeterminateError as error:
            msg = f"this node has lost the lead of shard {shard}"
            raise UnavailableError(msg) from error

    async def _ask(self, shard: str, event: Callable[[int], Propose | Confirm]) -> int:
        here = self._shard(shard)
        if len(here.asked) + len(here.proposed) >= UNANSWERED_MAX:
            msg = (
                f"{UNANSWERED_MAX} requests wait for shard {shard}, which is as many as"
                " may: try again"
            )
            raise OverloadedError(msg)
        self._tokens += 1
        future = asyncio.get_running_loop().create_future()
        here.asked[self._tokens] = future
        here.events.append(event(self._tokens))
        self._arrived.set()
        number: int = await future
        return number

    def _shard(self, name: str) -> _Shard:
        here = self._shards.get(name)
        if here is None:
            replica = ShardReplica(
                self._store.replica,
                self._settings,
                uniform=self._uniform,
                now=self._steady(),
            )
            here = self._shards[name] = _Shard(replica)
        return here

    # -- turns -----------------------------------------------------------------

    async def run(self) -> None:
        """
        Run turns until stopped.

        Raises:
            OSError: The disk failed; nobody knows what has happened.
            StoreFullError: The disk is full.  What was promised is not durable, so
                the node must not go on as if it were.
        """
        ticking = asyncio.create_task(self._tick_forever(), name="shard ticks")
        try:
            while not self._is_stopping:
                await self._arrived.wait()
                self._arrived.clear()
                await self._turn()
        finally:
            ticking.cancel()
            for task in self._asking:
                task.cancel()
            for here in self._shards.values():
                _fail(here, "this node stopped before the entry was committed")

    def stop(self) -> None:
        """End `run` after the turn under way."""
        self._is_stopping = True
        self._arrived.set()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for here in self._shards.values():
                here.events.append(Tick())
            self._arrived.set()

    async def _turn(self) -> None:
        """Take in what waits, make it durable, and do what comes of it."""
        now = self._steady()
        results: list[tuple[str, TurnResult]] = []
        turns: dict[str, Persist] = {}
        for name, here in list(self._shards.items()):
            if not here.events:
                continue
            events, here.events = here.events, []
            result = here.replica.step(events, now)
            results.append((name, result))
            if result.persist is not None:
                turns[name] = result.persist
            for effect in result.at_once:
                self._perform(name, effect)
        if turns:
            await self._store.persist(turns)
        for name, result in results:
            for effect in result.effects:
                self._perform(name, effect)

    def _perform(self, shard: str, effect: Effect) -> None:  # noqa: C901, PLR0912 -- one line each
        here = self._shards[shard]
        match effect:
            case Send(receiver, message):
                self._send(shard, receiver, message)
            case SendSnapshot(receiver):  # nothing here makes snapshots yet
                self.tell(shard, SnapshotEnded(receiver))
            case AskAuthority() | Swap():
                self._ask_authority(shard, effect)
            case Opened(epoch, number):
                self._listener.opened(shard, epoch, number)
            case Closed(epoch):
                _fail(here, f"this node has lost the lead of shard {shard}")
                self._listener.closed(shard, epoch)
            case Proposed(token, number):
                if token in here.asked:  # who was failed meanwhile is not told again
                    here.proposed[number] = here.asked.pop(token)
            case Declined(token):
                msg = f"this node does not lead shard {shard}"
                _answer(here.asked.pop(token, None), UnavailableError(msg))
            case Committed(number):
                for place in [each for each in here.proposed if each <= number]:
                    _answer(here.proposed.pop(place), place)
                self._listener.committed(shard, number)
            case Confirmed(tokens):
                for token in tokens:
                    _answer(here.asked.pop(token, None), 0)
            case _:
                assert_never(effect)

    def _send(self, shard: str, receiver: ReplicaId, message: Message) -> None:
        if receiver == self._store.replica:
            self.tell(shard, Received(receiver, message))
        else:
            self._transport.send(receiver, shard, message)

    def _ask_authority(self, shard: str, effect: AskAuthority | Swap) -> None:
        task = asyncio.create_task(self._hear_authority(shard, effect))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _hear_authority(self, shard: str, effect: AskAuthority | Swap) -> None:
        event: Event = AuthorityFailed()
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(AUTHORITY_SECONDS_MAX):
                    if isinstance(effect, Swap):
                        held = await self._authority.swap(
                            shard, effect.expected, effect.desired
                        )
                        event = AuthoritySaid(held)
                    else:
                        event = AuthoritySaid(await self._authority.read(shard))
            except KvError as error:
                logger.warning("the authority over shard %s: %s", shard, error)
        self.tell(shard, event)


def _answer(future: asyncio.Future[int] | None, outcome: int | KvError) -> None:
    """Tell who waits, unless it has given up or was told already."""
    if future is None or future.done():
        return
    if isinstance(outcome, KvError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _fail(here: _Shard, reason: str) -> None:
    """Tell all who wait that nobody knows."""
    for waiting in (here.asked, here.proposed):
        for future in waiting.values():
            _answer(future, IndeterminateError(reason))
        waiting.clear()
