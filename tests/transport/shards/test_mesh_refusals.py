"""Whom a mesh turns away or hangs up on, and that it says why."""

import asyncio
import logging

import grpc
import grpc.aio
import pytest

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.messages import Seal
from kvnode.runtime.objects.serving import NONE_TO_MEET, turn_away
from kvnode.transport.grpc_road import SHARDS, add_meetings
from kvnode.transport.shards import mesh as mesh_module
from kvnode.transport.shards.lane import hello_frame
from tests.runtime.nodes import until
from tests.transport.shards.mesh_nodes import (
    MeshNode,
    MeshSite,
)


async def test_pauses_grow_for_who_is_hung_up_on_at_once(
    site: MeshSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two versions that do not understand each other must not meet all the time."""
    monkeypatch.setattr(mesh_module, "REDIAL_SECONDS_MAX", 10.0)
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.run(b)
    bad = pb.ShardFrame(messages=[pb.ShardMessage()]).SerializeToString()
    for count in range(1, 5):
        await a.met(b)
        (way,) = a.mesh._ways.values()
        way.lane.send(bad)
        await until(lambda count=count: a.drawn == count)  # type: ignore[misc]  # mypy infers no type for a lambda with defaults
    assert a.pauses == [0.02, 0.04, 0.08, 0.16]


@pytest.mark.parametrize(
    ("name", "replica", "cluster", "reason"),
    [
        ("a", 2, "test", "has the name or the identity"),
        ("b", 1, "test", "has the name or the identity"),
        ("b", 2, "other", "this is cluster"),
    ],
)
async def test_stranger_is_turned_away_with_the_reason_at_both(
    site: MeshSite,
    caplog: pytest.LogCaptureFixture,
    *,
    name: str,
    replica: int,
    cluster: str,
    reason: str,
) -> None:
    """Who dials reads it, and so does who is dialed; nothing gets through."""
    caplog.set_level(logging.INFO)
    a, b = await site.start("a", 1), await site.start(name, replica, cluster=cluster)
    a.run(b)

    def complaints() -> set[str]:
        return {
            record.message.partition(" ")[0]
            for record in caplog.records
            if reason in record.message
        }

    await until(lambda: complaints() == {"no", "turned"})
    assert a.mesh.nodes == b.mesh.nodes == {}


async def test_node_that_keeps_no_objects_says_so_and_is_dialed_again(
    site: MeshSite, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be told to keep some; its answer is logged once."""
    caplog.set_level(logging.INFO)
    a = await site.start("a", 1)
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    add_meetings(server, SHARDS, turn_away)
    await server.start()
    a.known.add(f"127.0.0.1:{port}")
    a.run()

    await until(lambda: a.drawn >= 4)
    assert a.mesh.nodes == {}
    assert caplog.text.count(NONE_TO_MEET) == 1
    await server.stop(0)


async def _said(node: MeshNode, *frames: pb.ShardFrame) -> grpc.aio.AioRpcError:
    """Say *frames* to *node*, and return how it ends the stream."""
    async with grpc.aio.insecure_channel(node.address) as channel:
        connect: grpc.aio.StreamStreamMultiCallable[bytes, pb.ShardFrame]
        connect = channel.stream_stream(
            "/kvnode.v1.Shards/Connect", response_deserializer=pb.ShardFrame.FromString
        )
        call = connect()
        for frame in frames:
            await call.write(frame.SerializeToString())
        try:
            async with asyncio.timeout(5):
                while isinstance(await call.read(), pb.ShardFrame):
                    pass
        except grpc.aio.AioRpcError as error:
            return error
    msg = "the stream has ended as if nothing were wrong"
    raise AssertionError(msg)


async def test_stream_that_does_not_begin_with_a_hello_is_refused(
    site: MeshSite,
) -> None:
    """Before anything of it is taken in."""
    a = await site.start("a", 1)
    error = await _said(a, pb.ShardFrame(questions=[pb.VoterQuestion(number=1)]))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "must be a hello" in (error.details() or "")
    assert a.asked == []


async def test_stream_without_a_hello_is_given_up(
    site: MeshSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever connects and says nothing would hold it for ever."""
    monkeypatch.setattr(mesh_module, "HELLO_SECONDS_MAX", 0.05)
    a = await site.start("a", 1)
    error = await _said(a)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_message_that_breaks_the_protocol_ends_the_stream(
    site: MeshSite, caplog: pytest.LogCaptureFixture
) -> None:
    """What came before it is handed on, and the reason is logged and told."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    hello = pb.ShardFrame.FromString(hello_frame(b.own.hello()))
    good = pb.ShardMessage(shard="s000", seal=pb.ShardSeal(epoch=1))
    bad = pb.ShardMessage(shard="s000", seal=pb.ShardSeal(epoch=0))
    error = await _said(a, hello, pb.ShardFrame(messages=[good, bad, good]))

    assert "epoch 0 is nobody's" in (error.details() or "")
    assert "hung up on b: epoch 0" in caplog.text
    assert a.received == [(b.own.replica, "s000", Seal(1))]


async def test_node_that_was_hung_up_on_dials_again(site: MeshSite) -> None:
    """What the others say must not be lost for good by one bad message."""
    a, b = await site.both()
    (way,) = a.mesh._ways.values()
    way.lane.send(pb.ShardFrame(messages=[pb.ShardMessage()]).SerializeToString())
    await until(lambda: bool(a.mesh._ways) and way not in a.mesh._ways.values())
    a.say(b, 1)
    await until(lambda: b.numbers == [1])


async def test_bytes_that_are_no_frame_end_the_stream(site: MeshSite) -> None:
    """Like any other message that breaks the protocol."""
    a, b = await site.both()
    (way,) = a.mesh._ways.values()
    way.lane.send(b"\xff\xff\xff")
    await until(lambda: bool(a.mesh._ways) and way not in a.mesh._ways.values())
    a.say(b, 1)
    await until(lambda: b.numbers == [1])
