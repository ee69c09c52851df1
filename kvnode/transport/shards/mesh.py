"""
Streams between all nodes of a cluster that serve objects.

Each dials each other and speaks on its own stream, so nobody need choose one of two.
Messages of shards may be lost, and questions to voters too: a stream that breaks is
opened again, and nothing more is promised.

Whom to dial is learned from the cluster's members; who serves no objects says so, and
is asked again now and then.  Who has just been dialed by a node dials it back at once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from kvnode._pb import shards_pb2 as pb
from kvnode.completion import is_being_cancelled
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.core.versions.store_view import PeerAddress
from kvnode.direct.stream import DirectStream
from kvnode.errors import PeerProtocolError, RoadError, UnavailableError
from kvnode.transport.last_write import after_last_write
from kvnode.transport.road import Ending, Farewell, Stream
from kvnode.transport.shards.approach import (
    CUT,
    HELLO_SECONDS_MAX,
    STREAM_ENDED,
    Approach,
)
from kvnode.transport.shards.introduction import MetNode
from kvnode.transport.shards.lane import Lane, TryWrite, hello_frame
from kvnode.transport.shards.message_codec import (
    decode_shard_message,
    encode_shard_message,
)
from kvnode.transport.shards.voter_questions import (
    QUESTIONS_MAX,
    VoterQuestions,
    reply_to,
)
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

REDIAL_SECONDS_MIN: Final = 0.2
REDIAL_SECONDS_MAX: Final = 3.0
LOOK_SECONDS: Final = 0.5
"""How soon a node that has become known is dialed."""

STOPPING: Final = "the node is stopping"
TOO_MANY: Final = f"{QUESTIONS_MAX} questions wait here for the voter"

Uniform = Callable[[float, float], float]
"""Draws a number between two others."""


class MeshEvents(Protocol):
    """Where a mesh reports to."""

    def receive(self, sender: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Take in a message; may drop it."""

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """
        Answer as this node's voter.

        Raises:
            KvError: See kvnode.authority.voter_host.VoterHost.answer.
        """


class _Way(NamedTuple):
    """The way to a node that this one has dialed."""

    node: MetNode
    lane: Lane
    questions: VoterQuestions


class _Sent(NamedTuple):
    """What was sent last: its like often goes to several nodes, and is encoded once."""

    shard: str
    message: PeerMessage
    frame: bytes

    def is_of(self, shard: str, message: PeerMessage) -> bool:
        """Tell whether it says the same; tuples of two kinds may be equal."""
        return (
            self.shard == shard
            and type(self.message) is type(message)
            and self.message == message
        )


class ShardMesh:
    """
    The streams of one node; a ShardTransport and a VoterTransport.

    Attributes:
        own: Who this node is.
        conditions: Emulated distances by the name of a node.
    """

    def __init__(
        self,
        approach: Approach,
        *,
        known: Callable[[], Iterable[PeerAddress]],
        uniform: Uniform,
    ) -> None:
        """
        Dial nobody yet.

        Args:
            approach: How nodes are met, and who this one is.
            known: Returns whom to dial.
            uniform: Draws how long to wait before dialing again.
        """
        self.own = approach.own
        self.conditions = approach.conditions
        self._approach = approach
        self._known = known
        self._uniform = uniform
        self._events: MeshEvents | None = None
        self._ways: dict[ReplicaId, _Way] = {}
        self._dialing: dict[str, asyncio.Task[None]] = {}
        self._wakers: dict[str, asyncio.Event] = {}
        self._sent: _Sent | None = None
        self._unflushed: dict[Lane, None] = {}  # in order, unlike a set
        self._is_flush_due = False
        self._hearing: set[asyncio.Task[Farewell]] = set()
        self._is_closed = False

    def attach(self, events: MeshEvents) -> None:
        """Say where events go; comes before any dialing or meeting."""
        self._events = events

    @property
    def nodes(self) -> dict[str, MetNode]:
        """Return the nodes to which there is a way, by name."""
        return {way.node.name: way.node for way in self._ways.values()}

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of the node of *replica*; empty if there is no way to it."""
        if replica == self.own.replica:
            return self.own.name
        way = self._ways.get(replica)
        return way.node.name if way is not None else ""

    # -- saying ------------------------------------------------------------------

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Send *message*; lost if there is no way."""
        way = self._ways.get(peer)
        if way is None:
            return
        last = self._sent
        if last is None or not last.is_of(shard, message):
            frame = pb.ShardFrame(messages=[encode_shard_message(shard, message)])
            last = self._sent = _Sent(shard, message, frame.SerializeToString())
        way.lane.put(last.frame)
        self._unflushed[way.lane] = None
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_soon)

    def flush(self) -> None:
        """Let what was sent leave now, rather than soon."""
        while self._unflushed:
            self._unflushed.popitem()[0].flush()

    def _flush_soon(self) -> None:
        self._is_flush_due = False
        self.flush()

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """Ask the voter of the node named *voter*; see VoterTransport."""
        for way in self._ways.values():
            if way.node.name == voter:
                return await way.questions.ask(request, deadline_seconds)
        msg = f"there is no connection to {voter}"
        raise UnavailableError(msg)

    # -- meeting -----------------------------------------------------------------

    async def run(self) -> None:
        """Dial whoever is known, until cancelled."""
        try:
            while True:
                known = {each.address for each in self._known() if each.address}
                for task in self._dialing.values():
                    if task.done():
                        task.result()  # it never ends but by an error
                for address in self._dialing.keys() - known:
                    self._dialing.pop(address).cancel()
                    del self._wakers[address]
                for address in known - self._dialing.keys():
                    self._wakers[address] = asyncio.Event()
                    self._dialing[address] = asyncio.create_task(
                        self._keep_dialing(address), name=f"dial shards {address}"
                    )
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self._dialing.values():
                task.cancel()
            await asyncio.gather(*self._dialing.values(), return_exceptions=True)
            self._dialing.clear()

    async def accept(self, stream: Stream[pb.ShardFrame], origin: str) -> Farewell:
        """Run a stream that somebody has dialed; return why it is over."""
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                first = await stream.read()
            node = self.own.checked(first)
        except (TimeoutError, PeerProtocolError) as error:
            logger.warning("turned away %s: %s", origin, error)
            return Farewell(Ending.REFUSED, str(error))
        conditions = self.conditions(node.name)
        if conditions.blocked:
            return Farewell(Ending.CUT, CUT)
        if self._is_closed:
            return Farewell(Ending.OVER, STOPPING)
        if node.address in self._wakers:
            self._wakers[node.address].set()
        lane = Lane(conditions)
        lane.send(hello_frame(self.own.hello()))
        pump = asyncio.create_task(lane.pump(stream.write))
        hearing = asyncio.create_task(self._hear(node, stream, lane, pump))
        self._hearing.add(hearing)
        try:
            return await hearing
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            return Farewell(Ending.OVER, STOPPING)
        finally:
            self._hearing.discard(hearing)
            lane.close()
            await after_last_write(pump)

    async def close(self) -> None:
        """End the streams that others have dialed: they would hold the server up."""
        self._is_closed = True
        hearing = tuple(self._hearing)
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)

    async def _hear(
        self,
        node: MetNode,
        stream: Stream[pb.ShardFrame],
        lane: Lane,
        pump: "asyncio.Task[None]",
    ) -> Farewell:
        """Take in what *node* says, and answer on *lane*, until either ends."""
        assert self._events is not None, "attach comes first"
        conditions = self.conditions(node.name)
        answering: set[asyncio.Task[None]] = set()
        try:
            while not pump.done():
                frame = await stream.read()
                if frame is None:
                    break
                if conditions.blocked:
                    continue
                for message in frame.messages:
                    self._events.receive(
                        node.replica, message.shard, decode_shard_message(message)
                    )
                self._answer_all(frame, lane, answering)
        except PeerProtocolError as error:
            logger.warning("hung up on %s: %s", node.name, error)
            return Farewell(Ending.REFUSED, str(error))
        finally:
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
        return Farewell(Ending.OVER, STREAM_ENDED)

    def _answer_all(
        self, frame: pb.ShardFrame, lane: Lane, answering: "set[asyncio.Task[None]]"
    ) -> None:
        for question in frame.questions:
            if len(answering) >= QUESTIONS_MAX:
                # Who asks has given up on those that wait: a slow disk is no fault of
                # a peer, and its stream carries the messages of shards, too.
                reply = pb.VoterReply(number=question.number, unavailable=TOO_MANY)
                lane.send(pb.ShardFrame(replies=[reply]).SerializeToString())
                continue
            task = asyncio.create_task(self._answer(question, lane))
            answering.add(task)
            task.add_done_callback(answering.discard)

    async def _answer(self, question: pb.VoterQuestion, lane: Lane) -> None:
        assert self._events is not None, "attach comes first"
        reply = await reply_to(question, self._events.answer)
        lane.send(pb.ShardFrame(replies=[reply]).SerializeToString())

    # -- dialing -----------------------------------------------------------------

    async def _keep_dialing(self, address: str) -> None:
        """Keep a way to whoever listens at *address*, redialing as needed."""
        loop = asyncio.get_running_loop()
        failures = 0
        waker = self._wakers[address]
        while True:
            waker.clear()
            began = loop.time()
            failures = min(failures + 1, 8)
            try:
                node, reason = await self._dial(address)
                logger.info("the way to %s has ended: %s", node.name, reason)
                if loop.time() - began >= REDIAL_SECONDS_MAX:
                    failures = 0  # who is hung up on at once is no friend yet
            except (TimeoutError, RoadError, PeerProtocolError) as error:
                level = logging.INFO if failures == 1 else logging.DEBUG
                reason = str(error) or type(error).__name__
                logger.log(level, "no objects at %s: %s", address, reason)
            pause = min(REDIAL_SECONDS_MAX, REDIAL_SECONDS_MIN * 2**failures)
            try:
                async with asyncio.timeout(pause * self._uniform(0.5, 1.0)):
                    await waker.wait()
            except TimeoutError:
                pass

    async def _dial(self, address: str) -> tuple[MetNode, str]:
        """Meet a node, and use the way there until it ends; return whom, and why so."""
        async with self._approach.open(address) as (node, stream):
            return node, await self._use(node, stream)

    async def _use(self, node: MetNode, stream: Stream[pb.ShardFrame]) -> str:
        """Let *stream* be the way to *node* until it ends; return why it has."""
        lane = Lane(self.conditions(node.name))
        way = _Way(node, lane, VoterQuestions(node.name, lane.send))
        self._ways[node.replica] = way
        logger.info("objects: met %s (%016x)", node.name, node.replica)
        try:
            return await self._speak(way, stream)
        finally:
            if self._ways.get(node.replica) is way:
                del self._ways[node.replica]
            way.questions.end()

    async def _speak(self, way: _Way, stream: Stream[pb.ShardFrame]) -> str:
        """Write what is sent, and hear answers, until either ends; return why."""
        tasks = (
            asyncio.create_task(way.lane.pump(stream.write, _try_write_of(stream))),
            asyncio.create_task(self._hear_replies(way, stream)),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except RoadError as error:
            return str(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return STREAM_ENDED

    async def _hear_replies(self, way: _Way, stream: Stream[pb.ShardFrame]) -> None:
        conditions = self.conditions(way.node.name)
        while (frame := await stream.read()) is not None:
            if not conditions.blocked:
                for reply in frame.replies:
                    way.questions.heard(reply)


def _try_write_of(stream: Stream[pb.ShardFrame]) -> TryWrite | None:
    """Return what writes on *stream* without waiting, if anything can."""
    return stream.try_write if isinstance(stream, DirectStream) else None
