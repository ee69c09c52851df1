"""
Where calls go: to this node's objects, or to the node that leads their shard.

Who leads is a guess until somebody has answered: this node's replica has heard of a
leader, a node that was asked has named another, or the authority was asked.  A guess
that is wrong costs a round trip, since whoever does not lead says so and has done
nothing.  What may have happened is tried again only under an idempotency key.

While nobody leads the call waits, for about as long as a takeover lasts.  What an
object's own code has ended is not begun again: the next instance may do the same.
"""

import asyncio
import logging
from contextvars import copy_context
from typing import Final

from kvnode.api.object_calls import RESULT_BYTES_MAX
from kvnode.api.objects_port import Call
from kvnode.authority.port import Authority
from kvnode.completion import is_being_cancelled
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.homes import region_of
from kvnode.errors import (
    IndeterminateError,
    KvError,
    MovedError,
    NotLeaderError,
    ObjectEndedError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.object_values import Value, encode_value
from kvnode.objects.running.object_host import ObjectHost
from kvnode.objects.telling import Leave, Tell, Told
from kvnode.runtime.objects.homes import Homes
from kvnode.runtime.objects.ports import ObjectPeers
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

ROUTING_SECONDS_MAX: Final = 3.0
"""A leader that has died is missed for 1.0 to 1.5 s, and followed within another."""

PAUSE_SECONDS: Final = 0.02
PAUSE_SECONDS_MAX: Final = 0.2
"""Between two guesses: doubled each time, until another leader is heard of."""

ASK_AGAIN_SECONDS: Final = 0.5
"""Between two questions to the authority about a shard."""

LAST_WORD_SECONDS: Final = 0.2
"""
For the answer of one that has led and does not any more: it may be on its way.

A round trip, most often.  One that is paused has been missed for a second by then.
"""

_NOT_MENDED: Final = (ObjectEndedError, OverloadedError, StoreFullError)
"""What another try, here or elsewhere, is as likely to meet as well."""

PATIENCE_SHARE: Final = 0.8
"""Of the caller's: who is told in time that nothing was done can try elsewhere."""


class Router:
    """
    The way of calls from one node.

    Attributes:
        under_way: Calls that `begin` has begun, and nobody was told of.
    """

    def __init__(
        self,
        objects: ObjectHost,
        shards: ShardHost,
        authority: Authority,
        peers: ObjectPeers,
        homes: Homes,
    ) -> None:
        """Begin without a guess."""
        self.under_way = 0
        self._homes = homes
        self._objects = objects
        self._shards = shards
        self._authority = authority
        self._peers = peers
        self._guesses: dict[str, str] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._sent: dict[str, dict[asyncio.Future[Value], str]] = {}
        self._news: dict[str, asyncio.Event] = {}  # of shards for which calls wait
        self._is_closed = False

    def begin(self, call: Call, tell: Tell) -> Leave:
        """
        Do *call*, wherever its object lives, and tell what came of it.

        Raises:
            KvError: See kvnode.api.objects_port.ObjectsPort.begin.
        """
        begun = _Begun(self, call, tell)
        self.under_way += 1
        try:
            is_here = not self._is_closed and self._objects.begin(
                self._shard_of(call),
                call.target,
                call.method,
                call.arguments,
                call.named,
                call.idempotency_key,
                begun.told,
            )
        except BaseException:
            self.under_way -= 1
            raise
        if not is_here:
            begun.go_on(None)
        return begun.leave

    def is_final(self, call: Call, failure: Exception) -> bool:
        """Tell whether *failure* is what is told, since to try again is of no use."""
        if call.is_forwarded or self._is_closed:
            return True
        if isinstance(failure, IndeterminateError):
            return not call.idempotency_key
        is_temporary = isinstance(failure, UnavailableError | MovedError)
        return not is_temporary or isinstance(failure, _NOT_MENDED)

    def _shard_of(self, call: Call) -> str:
        home = call.home if call.is_forwarded else None
        return self._homes.shard_of(call.target, home)

    async def call(self, call: Call, failed: KvError | None = None) -> Value:
        """
        Do *call*, wherever its object lives.

        Args:
            call: What is to be done.
            failed: What came of a try that was made before, if there was one.

        Raises:
            KvError: See kvnode.api.objects_port.ObjectsPort.begin.
        """
        shard = self._shard_of(call)
        loop = asyncio.get_running_loop()
        until = loop.time() + _routing_seconds(call)
        pause = PAUSE_SECONDS
        doubt: KvError | None = None
        latest: KvError
        while True:
            try:
                if failed is not None:
                    before, failed = failed, None
                    raise before
                return await self._call_leader(shard, call)
            except MovedError as error:
                if call.is_forwarded or region_of(shard):
                    raise  # nobody is moved on from home: it would go on for ever
                self._homes.learn(call.target, error.region)
                shard = self._homes.shard_of(call.target)
                continue
            except UnavailableError as error:
                # Nothing was done this time, and an earlier try may have done it.
                failure, latest = doubt or error, error
            except IndeterminateError as error:
                failure = doubt = latest = error
            is_late = loop.time() + pause >= until
            if is_late or self.is_final(call, latest):
                raise failure
            pause = await self._paused(shard, pause)

    async def _paused(self, shard: str, seconds: float) -> float:
        """Wait, or until another leader is heard of; return how long to wait next."""
        news = self._news.setdefault(shard, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return min(PAUSE_SECONDS_MAX, 2 * seconds)
        return PAUSE_SECONDS

    async def _call_leader(self, shard: str, call: Call) -> Value:
        """Try once, at whoever leads as far as is known."""
        if self._is_closed:
            msg = "this node has stopped: ask another"
            raise UnavailableError(msg)
        if self._objects.leads(shard):
            return await self._objects.call(
                shard,
                call.target,
                call.method,
                call.arguments,
                call.named,
                idempotency_key=call.idempotency_key,
                location_hint=call.location_hint,
            )
        leader = self.leader(shard)
        if call.is_forwarded or not leader:
            # Where a call was sent on to is what its sender says, whoever that is.
            if not call.is_forwarded or self._homes.may_have_begun(shard):
                self._ask_authority(shard)
            msg = f"this node does not lead shard {shard}" + (
                f", {leader} does" if leader else ", and knows of none that does"
            )
            raise NotLeaderError(msg, leader=leader)
        try:
            sent = call._replace(home=region_of(shard))
            return await self._sent_on(shard, leader, sent)
        except MovedError:
            raise  # which tells that it does lead
        except NotLeaderError as error:
            self._guesses.pop(shard, None)
            if error.leader == leader or not self._guess(shard, error.leader):
                # What this node's replica believes is wrong, too.
                self._ask_authority(shard, even_with_replica=True)
            raise
        except ObjectEndedError:
            raise  # which tells that it does lead
        except (UnavailableError, IndeterminateError, asyncio.CancelledError):
            # It is gone, or so slow that whoever called has given up.
            self._guesses.pop(shard, None)
            self._ask_authority(shard)
            raise

    async def _sent_on(self, shard: str, leader: str, call: Call) -> Value:
        """
        Let *leader* do a call, and give up soon if another is heard to lead meanwhile.

        One that is paused would else keep its callers until they lose patience; one
        that has given its lead away has said so, and done nothing.
        """
        sending = asyncio.ensure_future(self._peers.call(leader, call))
        here = self._sent.setdefault(shard, {})
        here[sending] = leader
        try:
            return await sending
        except asyncio.CancelledError:
            if here[sending] == leader or is_being_cancelled():
                raise
            msg = (
                f"{here[sending]} has taken the lead of shard {shard} from {leader}"
                f" while that did {call.method}: it may have happened"
            )
            raise IndeterminateError(msg) from None
        finally:
            sending.cancel()
            del here[sending]

    def led(self, shard: str, leader: ReplicaId) -> None:
        """Take note of who leads *shard*: who led it before answers no more."""
        self._guesses.pop(shard, None)
        if shard in self._news:
            self._news.pop(shard).set()
        name = self._peers.name_of(leader)
        sent = self._sent.get(shard, {})
        for sending, to in sent.items():
            if name and to != name:
                sent[sending] = name
                loop = asyncio.get_running_loop()
                loop.call_later(LAST_WORD_SECONDS, sending.cancel)

    def leader(self, shard: str) -> str:
        """Return the name of the node that is held for the leader; may be empty."""
        if self._objects.leads(shard):
            return self._peers.name_of(self._shards.own)
        if shard in self._guesses:
            return self._guesses[shard]
        heard_of = self._shards.leader(shard)
        return "" if heard_of == self._shards.own else self._peers.name_of(heard_of)

    def _ask_authority(self, shard: str, *, even_with_replica: bool = False) -> None:
        """Find out who leads, unless that is under way or was just done."""
        finds_out_itself = self._shards.has_replica(shard) and not even_with_replica
        if finds_out_itself or shard in self._asking or self._is_closed:
            return
        task = asyncio.create_task(self._learn(shard), name=f"who leads {shard}")
        self._asking[shard] = task

    def _guess(self, shard: str, name: str) -> bool:
        """Hold *name* for the leader, if it can be; this node knows of itself."""
        if name in {"", self._peers.name_of(self._shards.own)}:
            return False
        self._guesses[shard] = name
        return True

    def _guess_one_of(self, shard: str, held: Configuration) -> None:
        """Hold one that keeps *shard* for its leader: who should be, if it is there."""
        for replica in (held.leader, *held.replicas):
            if self._guess(shard, self._peers.name_of(replica)):
                return

    async def named_leader(self, shard: str) -> str:
        """
        Return the name of the node that leads *shard* by the authority; may be empty.

        Raises:
            KvError: The authority does not answer.
        """
        held = await self._authority.read(shard)
        return "" if held is None else self._peers.name_of(held.leader)

    async def _learn(self, shard: str) -> None:
        try:
            try:
                held = await self._authority.read(shard)
                if held is not None:
                    self._homes.begin(shard, held)
                    self._guess_one_of(shard, held)
            except KvError as error:
                logger.debug("who leads shard %s is not known: %s", shard, error)
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        finally:
            del self._asking[shard]

    async def close(self) -> None:
        """End what is under way but calls; those that wait give up soon."""
        self._is_closed = True
        tasks = tuple(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Begun:
    """A call that was begun, and whoever is to be told what came of it."""

    __slots__ = ("_call", "_context", "_has_left", "_router", "_task", "_tell")

    def __init__(self, router: Router, call: Call, tell: Tell) -> None:
        self._router = router
        self._call = call
        self._tell = tell
        self._context = copy_context()  # whoever tells may be in a section of others
        self._task: asyncio.Task[Value] | None = None
        self._has_left = False

    def told(self, told: Told) -> None:
        """Pass on what came of the first try, or try again."""
        if isinstance(told, KvError) and not self._router.is_final(self._call, told):
            self.go_on(told)
        else:
            self._end(told)

    def go_on(self, failed: KvError | None) -> None:
        """Do the call in a task, which can wait for a leader and send it there."""
        doing = self._router.call(self._call, failed)
        self._task = asyncio.create_task(doing, context=self._context)
        self._task.add_done_callback(self._ended)
        if self._has_left:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[Value]) -> None:
        told: Told
        if task.cancelled():
            told = IndeterminateError("whoever called has gone: it may have happened")
        else:
            try:
                told = encode_value(
                    task.result(), "the result", bytes_max=RESULT_BYTES_MAX
                )
            except Exception as error:  # noqa: BLE001 -- it is told, whatever it is
                told = error
        self._end(told)

    def _end(self, told: Told) -> None:
        self._router.under_way -= 1
        self._tell(told)

    def leave(self) -> None:
        """Send nothing on any more; what runs goes on."""
        self._has_left = True
        if self._task is not None:
            self._task.cancel()


def _routing_seconds(call: Call) -> float:
    """Return for how long a leader is looked for."""
    if not call.patience_ms:
        return ROUTING_SECONDS_MAX
    return min(ROUTING_SECONDS_MAX, PATIENCE_SHARE * call.patience_ms / 1000)
