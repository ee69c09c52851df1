"""
Attacks on a node from somebody who can reach its port and knows the protocol.

`flood` plays recordings of the node's peers again, all at once.  `garble` sends
what no correct peer sends: bytes that do not parse, hellos that must be turned
away, and, in the name of a peer, messages that break the protocol.  A node must
survive both, and nothing of what it holds may change by them.

What is forged is what a node can tell to be wrong: it has no authentication, so
a correct message in a peer's name is correct.
"""

import asyncio
from collections.abc import Callable

from cluster.simulated.chance import Stream
from cluster.simulated.network import Network
from cluster.simulated.owner import Owner
from cluster.simulated.stream import End
from cluster.simulated.tape import Tape
from kvnode._pb import peer_pb2 as pb
from kvnode.errors import RoadError

HOSTILE = "hostile"
"""The attacker's host."""

PATIENCE_SECONDS = 2.0
"""How long the attacker waits for a node that says nothing."""

FLOOD_SECONDS_MAX = 10.0
"""A node that answers nothing holds up the attacker no longer than this."""

MESSAGES_PER_CONNECTION = 8

Forgery = Callable[[Stream, pb.PeerMessage], bytes]
"""Makes a message that is wrong, from a hello of a peer."""


class Attacker:
    """Dials nodes and says what it should not."""

    def __init__(self, network: Network, owner: Owner, stream: Stream) -> None:
        self._network = network
        self._host = network.host(HOSTILE, owner)
        self._stream = stream

    async def flood(self, name: str, address: str, messages: int) -> int:
        """Play up to *messages* of what was said to node *name*; return how many."""
        sent = 0
        now = asyncio.get_running_loop().time
        until = now() + FLOOD_SECONDS_MAX
        while sent < messages and now() < until:
            tapes = self._network.tapes.toward(name)
            if not tapes:
                return sent
            tape = self._stream.pick(tapes)
            script = [tape.hello, *tape.messages][: messages - sent]
            await self._say(address, script)
            sent += len(script)
        return sent

    async def garble(self, name: str, address: str, messages: int) -> int:
        """Say *messages* wrong things to node *name*; return how many."""
        sent = 0
        now = asyncio.get_running_loop().time
        until = now() + FLOOD_SECONDS_MAX
        while sent < messages and now() < until:
            hello = self._hello(self._network.tapes.toward(name))
            count = 1 + self._stream.below(MESSAGES_PER_CONNECTION)
            script = [self._opening(hello)]
            parsed = pb.PeerMessage.FromString(hello)
            script.extend(
                self._stream.pick(FORGERIES)(self._stream, parsed)
                for _ in range(min(count, messages - sent))
            )
            await self._say(address, script)
            sent += len(script) - 1
        return sent

    def _hello(self, tapes: tuple[Tape, ...]) -> bytes:
        if tapes:
            return self._stream.pick(tapes).hello
        return pb.PeerMessage(hello=pb.Hello(protocol=1)).SerializeToString()

    def _opening(self, hello: bytes) -> bytes:
        """Return what to say first: often a peer's hello, else a wrong one."""
        if self._stream.happens(0.6):
            return hello
        message = pb.PeerMessage.FromString(hello)
        self._stream.pick(_WRONG_HELLOS)(message.hello)
        return message.SerializeToString()

    async def _say(self, address: str, script: list[bytes]) -> None:
        end = self._network.dial(self._host, address)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for message in script:
                    await end.send(message)
                await self._listen(end)
        except (RoadError, TimeoutError):
            pass
        finally:
            end.close("the attacker hung up")

    @staticmethod
    async def _listen(end: End) -> None:
        while True:
            await end.receive()


def _another_cluster(hello: pb.Hello) -> None:
    hello.cluster = "another"


def _no_common_version(hello: pb.Hello) -> None:
    hello.protocol = hello.protocol_min = 99


def _nobody(hello: pb.Hello) -> None:
    hello.self.replica = 0


def _clock_in_disorder(hello: pb.Hello) -> None:
    del hello.clock.entries[:]
    hello.clock.entries.add(replica=2, covered=1)
    hello.clock.entries.add(replica=1, covered=1)


_WRONG_HELLOS = (_another_cluster, _no_common_version, _nobody, _clock_in_disorder)


def _noise(stream: Stream, _hello: pb.PeerMessage) -> bytes:
    return bytes(stream.below(256) for _ in range(1 + stream.below(64)))


def _flipped(stream: Stream, hello: pb.PeerMessage) -> bytes:
    raw = bytearray(hello.SerializeToString())
    bit = stream.below(8 * len(raw))
    raw[bit // 8] ^= 1 << bit % 8
    return bytes(raw)


def _cut_short(stream: Stream, hello: pb.PeerMessage) -> bytes:
    raw = hello.SerializeToString()
    return raw[: stream.below(len(raw))]


def _hello_again(_stream: Stream, hello: pb.PeerMessage) -> bytes:
    return hello.SerializeToString()


def _nothing(_stream: Stream, _hello: pb.PeerMessage) -> bytes:
    return b""


def _disordered_report(stream: Stream, hello: pb.PeerMessage) -> bytes:
    message = pb.PeerMessage()
    message.report.sent_at_ms = stream.below(1 << 40)
    _clock_in_disorder(hello.hello)
    message.report.clock.CopyFrom(hello.hello.clock)
    return message.SerializeToString()


def _empty_push(stream: Stream, hello: pb.PeerMessage) -> bytes:
    origin = hello.hello.self.replica
    push = pb.Push(origin=origin, first=5, last=stream.below(5))
    return pb.PeerMessage(push=push).SerializeToString()


def _damaged_push(stream: Stream, hello: pb.PeerMessage) -> bytes:
    origin = hello.hello.self.replica
    push = pb.Push(origin=origin, first=1, last=1)
    record = bytes(stream.below(256) for _ in range(40))
    push.entries.add(namespace="default", key=b"forged", record=record)
    return pb.PeerMessage(push=push).SerializeToString()


def _empty_acknowledgement(stream: Stream, hello: pb.PeerMessage) -> bytes:
    origin = hello.hello.self.replica
    message = pb.PushAcknowledgement(origin=origin, first=9, last=stream.below(9))
    return pb.PeerMessage(push_acknowledgement=message).SerializeToString()


def _unasked_page(stream: Stream, _hello: pb.PeerMessage) -> bytes:
    page = pb.DeltaPage(session=stream.below(1 << 30), number=stream.below(9))
    return pb.PeerMessage(delta_page=page).SerializeToString()


def _unasked_chunk(stream: Stream, _hello: pb.PeerMessage) -> bytes:
    chunk = pb.FetchChunk(fetch=stream.below(9), total=1 << 40, data=b"forged")
    return pb.PeerMessage(fetch_chunk=chunk).SerializeToString()


def _absurd_fetch(stream: Stream, _hello: pb.PeerMessage) -> bytes:
    request = pb.FetchRequest(
        fetch=1, namespace="nowhere", key=b"", offset=stream.below(1 << 50)
    )
    return pb.PeerMessage(fetch_request=request).SerializeToString()


FORGERIES: tuple[Forgery, ...] = (
    _noise,
    _flipped,
    _cut_short,
    _hello_again,
    _nothing,
    _disordered_report,
    _empty_push,
    _damaged_push,
    _empty_acknowledgement,
    _unasked_page,
    _unasked_chunk,
    _absurd_fetch,
)
