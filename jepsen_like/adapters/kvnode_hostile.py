"""
Somebody who claims to be a peer of a kvnode, and sends it what it should not get.

Two kinds of it.  A flood is of true messages that come again: writes that the
node has had from its peers before, which it must take without harm, at whatever
pace.  Garbage is what no correct peer sends; the node must end the stream, and
nothing else.  Neither tells lies that only look right: peers trust each other.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from kvnode._pb import peer_pb2 as pb
from kvnode.core.versions.record import WIRE, decode
from kvnode.errors import RoadError
from kvnode.transport.grpc_road import PEERS, GrpcRoad
from kvnode.transport.road import Stream
from kvnode.transport.wire import PROTOCOL, PROTOCOL_MIN

ANSWER_SECONDS = 5.0
"""A node that is up answers in milliseconds; one that hung up, never."""

SESSION = 1
"""Of the only delta that is asked for on a stream."""

FAR = 2**62
"""A number that no node has counted to."""


def _hello(cluster: str, own: pb.Address) -> pb.PeerMessage:
    hello = pb.Hello(protocol=PROTOCOL, protocol_min=PROTOCOL_MIN, cluster=cluster)
    hello.self.CopyFrom(own)
    return pb.PeerMessage(hello=hello)


async def flood(address: str, cluster: str, own: pb.Address, messages: int) -> int:
    """
    Send the node at *address* old writes again, *messages* times one of them.

    The node is asked for what it has, as a peer that lacks everything would ask,
    and gets it back.

    Args:
        address: host:port of the node.
        cluster: Its cluster.
        own: Whom to claim to be: a peer it knows, that is not connected to it.
        messages: How many; fewer if it holds nothing, or hangs up.

    Returns:
        How many it has acknowledged.
    """
    with suppress(RoadError, TimeoutError):
        async with GrpcRoad(PEERS).open(address) as stream:
            async with asyncio.timeout(ANSWER_SECONDS):
                await stream.write(_hello(cluster, own).SerializeToString())
                await stream.read()
                old = await _old_writes(stream, messages)
            if not old:
                return 0
            counting = asyncio.create_task(_count_acknowledged(stream, messages))
            with suppress(RoadError):
                for number in range(messages):
                    await stream.write(old[number % len(old)])
            return await counting
    return 0


async def _old_writes(stream: Stream[pb.PeerMessage], count_max: int) -> list[bytes]:
    """Return at most *count_max* writes that the node holds, each as a push."""
    request = pb.DeltaRequest(session=SESSION)
    await stream.write(pb.PeerMessage(delta_request=request).SerializeToString())
    old: list[bytes] = []
    while len(old) < count_max:
        message = await stream.read()
        if message is None:
            break
        if message.WhichOneof("kind") != "delta_page":
            continue
        page = message.delta_page
        old += [_push(entry) for entry in page.entries if not entry.value_bytes]
        told = pb.DeltaAcknowledgement(session=SESSION, number=page.number)
        told.abandoned = len(old) >= count_max
        reply = pb.PeerMessage(delta_acknowledgement=told)
        await stream.write(reply.SerializeToString())
        if page.last or page.refused:
            break
    return old[:count_max]


def _push(entry: pb.EntryRecord) -> bytes:
    """Return an entry as it was pushed when it was written, alone."""
    dot = decode(entry.record, WIRE).version.dot
    push = pb.Push(origin=dot.replica, first=dot.seq, last=dot.seq, entries=[entry])
    return pb.PeerMessage(push=push).SerializeToString()


async def _count_acknowledged(stream: Stream[pb.PeerMessage], count_max: int) -> int:
    """Read until so many pushes were acknowledged, or the node falls silent."""
    count = 0
    with suppress(RoadError, TimeoutError):
        while count < count_max:
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await stream.read()
            if message is None:
                break
            count += message.WhichOneof("kind") == "push_acknowledgement"
    return count


async def garble(address: str, cluster: str, own: pb.Address, messages: int) -> int:
    """
    Send the node at *address* garbage, each piece on a stream of its own.

    Args:
        address: host:port of the node.
        cluster: Its cluster.
        own: Whom to claim to be: a peer it knows, that is not connected to it.
        messages: How many pieces; each kind of `garbage` in turn.

    Returns:
        How many streams the node ended, as it should.
    """
    ended = 0
    for number in range(messages):
        made = garbage(number, cluster, own)
        try:
            async with GrpcRoad(PEERS).open(address) as stream:
                async with asyncio.timeout(ANSWER_SECONDS):
                    for message in made:
                        await stream.write(message)
                    while await stream.read() is not None:
                        pass
                ended += 1
        except RoadError:
            ended += 1
        except TimeoutError:
            pass  # it has not noticed, which the caller sees in the count
    return ended


def garbage(number: int, cluster: str, own: pb.Address) -> Sequence[bytes]:
    """Return the messages of one stream, the last of which no peer would send."""
    make = _KINDS[number % len(_KINDS)]
    return make(cluster, own)


def _no_message(cluster: str, own: pb.Address) -> Sequence[bytes]:
    del cluster, own
    return (b"\xff" * 64,)


def _no_hello(cluster: str, own: pb.Address) -> Sequence[bytes]:
    del cluster, own
    return (pb.PeerMessage(report=pb.Report(sent_at_ms=1)).SerializeToString(),)


def _other_cluster(cluster: str, own: pb.Address) -> Sequence[bytes]:
    return (_hello(cluster + "-of-others", own).SerializeToString(),)


def _other_protocol(cluster: str, own: pb.Address) -> Sequence[bytes]:
    hello = _hello(cluster, own)
    hello.hello.protocol = hello.hello.protocol_min = PROTOCOL + 1_000
    return (hello.SerializeToString(),)


def _after_hello(
    message: pb.PeerMessage,
) -> Callable[[str, pb.Address], Sequence[bytes]]:
    """Return how to say hello as a peer does, and then *message*."""

    def make(cluster: str, own: pb.Address) -> Sequence[bytes]:
        hello = _hello(cluster, own)
        return hello.SerializeToString(), message.SerializeToString()

    return make


def _wrong_clock() -> pb.Clock:
    """Return a clock whose replicas are in no order."""
    entries = [pb.Clock.Entry(replica=replica, covered=1) for replica in (2, 1)]
    return pb.Clock(entries=entries)


_GARBAGE_RECORD = pb.EntryRecord(namespace="default", key=b"k", record=b"\0" * 40)

_KINDS: tuple[Callable[[str, pb.Address], Sequence[bytes]], ...] = (
    _no_message,
    _no_hello,
    _other_cluster,
    _other_protocol,
    _after_hello(pb.PeerMessage()),
    _after_hello(pb.PeerMessage(hello=pb.Hello())),
    _after_hello(pb.PeerMessage(push=pb.Push(origin=1, first=2, last=1))),
    _after_hello(
        pb.PeerMessage(
            push=pb.Push(origin=1, first=FAR, last=FAR, entries=[_GARBAGE_RECORD])
        )
    ),
    _after_hello(
        pb.PeerMessage(push_acknowledgement=pb.PushAcknowledgement(origin=1, first=1))
    ),
    _after_hello(pb.PeerMessage(report=pb.Report(clock=_wrong_clock()))),
    _after_hello(pb.PeerMessage(delta_request=pb.DeltaRequest(clock=_wrong_clock()))),
)
