"""
Connections to all peers: dialing, meeting, and choosing one of two.

Either side may dial.  When both do, the connection dialed by the smaller
ReplicaId stays, by which both sides choose alike.  The first message each way is
a hello; whoever belongs to another cluster, speaks no common protocol version,
or carries this node's own identity is turned away with the reason.

Addresses from the node's own settings are dialed as long as it runs.  Who was met
there may be gone for good, and the place is another's by then: one that was wiped, or
goes on under a new identity, and perhaps knows nobody whom it could dial.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Any

from kvnode._pb import peer_pb2 as pb
from kvnode.core.membership.messages import Ack, Nack, Ping, PingRequest
from kvnode.core.node.events import Message, PeerDown, PeerUp, Received, SeedReached
from kvnode.core.replication.messages import Push, PushAcknowledgement
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.transport.hello import Spoken, check_hello, no_hello
from kvnode.transport.link import Conditions, Link
from kvnode.transport.port import PeerEvents
from kvnode.transport.road import Ending, Farewell, Road, Stream
from kvnode.transport.wire import (
    PROTOCOL,
    PROTOCOL_MIN,
    decode_address,
    decode_clock,
    decode_floor,
    decode_member,
    decode_message,
    encode_address,
    encode_clock,
    encode_floor,
    encode_member,
    encode_message,
)
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

HELLO_SECONDS_MAX = 10.0
REDIAL_SECONDS_MIN = 0.2
REDIAL_SECONDS_MAX = 3.0

CUT = "the road is cut"

URGENT = (Push, PushAcknowledgement, Ping, PingRequest, Ack, Nack)
"""What passes deltas on their way: see kvnode.transport.link."""

FAILURES = (TimeoutError, RoadError, PeerProtocolError)
"""What may come of dialing; another attempt may do better."""

Uniform = Callable[[float, float], float]
"""Draws a number between two others."""


class PeerPool:
    """The links of one node; an implementation of the transport port."""

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        own: PeerAddress,
        cluster: str,
        conditions: dict[str, Conditions],
        *,
        road: Road[pb.PeerMessage],
        uniform: Uniform,
        configured: Collection[str] = (),
    ) -> None:
        """
        Make a pool without links.

        Args:
            own: This node, its identity included.
            cluster: Peers of another cluster are turned away.
            conditions: Emulated distances by peer name.
            road: What streams are opened on.
            uniform: Draws how long to wait before dialing again.
            configured: Addresses on which nobody hangs up.
        """
        self._own = own
        self._configured = frozenset(configured)
        self._cluster = cluster
        self._conditions = conditions
        self._road = road
        self._uniform = uniform
        self._links: dict[ReplicaId, Link] = {}
        self._dialing: dict[str, asyncio.Task[None]] = {}
        self._events: PeerEvents | None = None
        self._closing = False
        self._last_sent: tuple[Message | None, bytes] = (None, b"")

    def attach(self, events: PeerEvents) -> None:
        """Say where events go; comes before any dialing or meeting."""
        self._events = events

    # -- the transport port --------------------------------------------------

    def send(self, peer: ReplicaId, message: Message) -> None:
        """Queue *message*; dropped if the peer is not connected."""
        link = self._links.get(peer)
        if link:
            urgent = isinstance(message, URGENT)
            link.send(self._encoded(message), urgent=urgent)

    def _encoded(self, message: Message) -> bytes:
        """Return *message* in bytes; the same one for several peers only once."""
        if message is not self._last_sent[0]:
            self._last_sent = (message, encode_message(message).SerializeToString())
        return self._last_sent[1]

    def dial(self, address: PeerAddress) -> None:
        """Keep a connection to *address* from now on, redialing as needed."""
        if address.address not in self._dialing and not self._closing:
            self._dialing[address.address] = asyncio.create_task(
                self._keep_dialing(address), name=f"dial {address.address}"
            )

    def hang_up(self, address: PeerAddress) -> None:
        """
        Dial *address* no more if it is not configured.

        A link that was dialed there ends, whoever it is to; one that the peer has
        dialed goes on.
        """
        if address.address in self._configured:
            return
        task = self._dialing.pop(address.address, None)
        if task is not None:
            task.cancel()

    def disconnect(self, peer: ReplicaId, reason: str) -> None:
        """End the connection to *peer*; it may be made again."""
        link = self._links.get(peer)
        if link:
            logger.error("closing the link to %s: %s", link.peer.name, reason)
            link.close(reason)

    # -- for operators -------------------------------------------------------

    def conditions(self, name: str) -> Conditions:
        """Return the emulated conditions toward the peer called *name*."""
        return self._conditions.setdefault(name, Conditions())

    def connected(self) -> frozenset[ReplicaId]:
        """Return the peers with a link."""
        return frozenset(self._links)

    async def close(self) -> None:
        """End all links, stop dialing, and meet nobody any more."""
        self._closing = True
        await asyncio.gather(*map(_end, self._dialing.values()))
        for link in list(self._links.values()):
            link.close("this node is stopping")

    # -- meeting -------------------------------------------------------------

    def hello(self) -> bytes:
        """Return what this node says first on every stream."""
        assert self._events is not None, "attach comes first"
        hello = pb.PeerMessage(
            hello=pb.Hello(
                protocol=PROTOCOL,
                protocol_min=PROTOCOL_MIN,
                cluster=self._cluster,
                self=encode_address(self._own),
                known=map(encode_address, self._events.known_peers()),
                clock=encode_clock(self._events.clock()),
                members=map(encode_member, self._events.roster()),
                floor=encode_floor(self._events.floor()),
                filling=self._events.is_being_filled(),
            )
        )
        return hello.SerializeToString()

    def is_own(self, message: pb.PeerMessage | None) -> bool:
        """Tell whether *message* is a hello of this node itself."""
        if message is None:
            return False
        said = message.hello.self
        return said.replica == self._own.replica and said.name == self._own.name

    def is_cut(self, name: str) -> bool:
        """Tell whether the road to the peer called *name* is cut for now."""
        conditions = self._conditions.get(name)
        return conditions is not None and conditions.blocked

    def check_hello(self, message: pb.PeerMessage | None) -> pb.Hello:
        """
        Return the hello in a stream's first message.

        Raises:
            PeerProtocolError: Whoever it is must be turned away; says why.
        """
        if message is None or message.WhichOneof("kind") != "hello":
            raise no_hello()
        hello = message.hello
        check_hello(hello, self._cluster, Spoken(PROTOCOL_MIN, PROTOCOL))
        if hello.self.replica in {0, self._own.replica}:
            msg = (
                f"{hello.self.name} has the identity {hello.self.replica:016x} of"
                f" {self._own.name}: a data directory was copied; restore a backup"
                " instead, which gets an identity of its own"
            )
            raise PeerProtocolError(msg)
        return hello

    async def accept(self, stream: Stream[pb.PeerMessage], origin: str) -> Farewell:
        """
        Run a stream that somebody has dialed; return why it is over.

        Args:
            stream: What was dialed.
            origin: Where it comes from, for the log.
        """
        first: pb.PeerMessage | None = None
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                first = await stream.read()
            if first is not None and self.is_cut(first.hello.self.name):
                return Farewell(Ending.CUT, CUT)
            await stream.write(self.hello())
            if self.is_own(first):
                return Farewell(Ending.REFUSED, "this is the node itself")
            hello = self.check_hello(first)
        except (TimeoutError, PeerProtocolError) as error:
            if first is not None:
                logger.warning("turned away %s: %s", origin, error)
            return Farewell(Ending.REFUSED, str(error))
        return Farewell(Ending.OVER, await self.meet(hello, stream, dialed=False))

    async def meet(
        self,
        hello: pb.Hello,
        stream: Stream[pb.PeerMessage],
        *,
        dialed: bool,
        seed: str = "",
    ) -> str:
        """
        Run one connection from its hello to its end; return why it ended.

        Args:
            hello: What the peer said.
            stream: What it said it on.
            dialed: Whether this node has opened the stream.
            seed: The address that was dialed, if it was not known who is there.
        """
        assert self._events is not None, "attach comes first"
        peer = decode_address(hello.self)
        if self._closing or self.is_cut(peer.name):
            return "this node is stopping" if self._closing else CUT
        try:
            up = _peer_up(peer, hello)
        except PeerProtocolError as error:
            return str(error)
        link = Link(peer, self.conditions(peer.name), dialed=dialed)
        if not self._prefer(link):
            await self._reached(seed, peer.replica)
            return "there is a connection already"
        self._links[peer.replica] = link
        logger.info("connected to %s (%016x)", peer.name, peer.replica)
        pump = asyncio.create_task(link.pump(stream.write))
        try:
            await self._events.deliver(up)
            await self._reached(seed, peer.replica)
            await self._receive(link, stream, pump)
        except PeerProtocolError as error:
            link.close(str(error))
        finally:
            link.close("the stream ended")
            if self._links.get(peer.replica) is link:
                del self._links[peer.replica]
                await self._events.deliver(PeerDown(peer.replica))
                logger.info("disconnected from %s: %s", peer.name, link.reason)
            await _end(pump)
        return link.reason

    async def _reached(self, seed: str, replica: ReplicaId) -> None:
        """Tell the node who is at *seed*, if that is one."""
        assert self._events is not None, "attach comes first"
        if seed:
            await self._events.deliver(SeedReached(seed, replica))

    def _prefer(self, link: Link) -> bool:
        """Tell whether *link* stays; close the one it replaces."""
        before = self._links.get(link.peer.replica)
        if before is None or before.closed.is_set():
            return True
        dial_is_preferred = self._own.replica < link.peer.replica
        if link.dialed not in (before.dialed, dial_is_preferred):
            return False
        before.close("replaced by a newer connection")
        return True

    async def _receive(
        self, link: Link, stream: Stream[pb.PeerMessage], pump: asyncio.Task[None]
    ) -> None:
        assert self._events is not None, "attach comes first"
        closed = asyncio.create_task(link.closed.wait())
        reading: asyncio.Future[pb.PeerMessage | None] | None = None
        try:
            while not link.closed.is_set():
                reading = asyncio.ensure_future(stream.read())
                await asyncio.wait(
                    (reading, closed, pump), return_when=asyncio.FIRST_COMPLETED
                )
                if not reading.done():
                    return
                message = reading.result()
                if message is None:
                    return
                if not link.carries():
                    continue
                event = Received(link.peer.replica, decode_message(message))
                await self._events.deliver(event)
        finally:
            closed.cancel()
            if reading is not None:
                await _end(reading)  # even if this was cancelled meanwhile

    # -- dialing -------------------------------------------------------------

    async def _keep_dialing(self, target: PeerAddress) -> None:
        """Dial *target* whenever there is no link to it."""
        replica = target.replica
        failures = 0
        while True:
            link = self._links.get(replica) if replica else self._link_to(target)
            if link:
                await link.closed.wait()
            # Jitter keeps restarted clusters from dialing in step.
            pause = min(REDIAL_SECONDS_MAX, REDIAL_SECONDS_MIN * 2**failures)
            await asyncio.sleep(pause * self._uniform(0.5, 1.0))
            link = self._links.get(replica) if replica else self._link_to(target)
            if link or self.is_cut(target.name):
                continue
            try:
                replica, stay = await self._dial_once(target)
                failures = 0
                if not stay:
                    return
            except FAILURES as error:
                failures = min(failures + 1, 8)
                level = logging.WARNING if failures == 1 else logging.DEBUG
                reason = str(error) or type(error).__name__
                logger.log(level, "cannot reach %s: %s", target.address, reason)

    def _link_to(self, target: PeerAddress) -> Link | None:
        for link in self._links.values():
            if target.address == link.peer.address or target.name == link.peer.name:
                return link
        return None

    async def _dial_once(self, target: PeerAddress) -> tuple[ReplicaId, bool]:
        """Return who answered, and whether to go on dialing the address."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                opening = self._road.open(target.address)
                stream = await stack.enter_async_context(opening)
                await stream.write(self.hello())
                first = await stream.read()
            if self.is_own(first):
                logger.debug("%s is this node itself", target.address)
                await self._reached(target.address, self._own.replica)
                return self._own.replica, False
            hello = self.check_hello(first)
            seed = "" if target.name else target.address
            await self.meet(hello, stream, dialed=True, seed=seed)
            return ReplicaId(hello.self.replica), True


def _peer_up(peer: PeerAddress, hello: pb.Hello) -> PeerUp:
    """Return what a hello says; PeerProtocolError if it is nothing."""
    return PeerUp(
        peer,
        decode_clock(hello.clock),
        tuple(map(decode_address, hello.known)),
        tuple(map(decode_member, hello.members)),
        decode_floor(hello.floor),
        min(PROTOCOL, hello.protocol),
        hello.filling,
    )


async def _end(task: asyncio.Future[Any]) -> None:
    """
    Cancel *task* and wait for its end, however it ends.

    Awaiting the task itself would mix up its cancellation with the caller's.
    """
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # seen: asyncio need not report it
