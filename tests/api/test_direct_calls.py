"""Calls over plain TCP, as the node takes them."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api import direct_calls
from kvnode.api.direct_calls import CALLS, DirectCalls
from kvnode.direct.stream import DirectStream, Frames, dialed
from kvnode.limits import FRAME_BYTES_MAX, FRAME_OPERATIONS_MAX
from kvnode.transport.direct_road import DirectDoor
from tests.api.objects_server import FakeObjects

Stream = DirectStream[pb.CallFrameReply]

REPLIES = Frames(pb.CallFrameReply, FRAME_BYTES_MAX)


class Node:
    """Fake objects that can be dialed."""

    def __init__(self, door: DirectDoor[pb.UnreadCallFrame]) -> None:
        self.objects = FakeObjects()
        self.calls = DirectCalls(self.objects, door, "paris:7400")
        self.streams: list[Stream] = []

    async def dial(self) -> Stream:
        """Return a stream of which nothing was said."""
        port = self.calls.invitation.port
        stream = await dialed(REPLIES, ("127.0.0.1", port), seconds=5.0)
        self.streams.append(stream)
        return stream

    async def invited(self) -> Stream:
        """Return a stream that is ready for calls."""
        stream = await self.dial()
        await send(stream, pb.CallFrame(question=self.calls.invitation.question))
        first = await read(stream)
        assert first is not None
        assert first.answer == self.calls.invitation.answer
        return stream


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node at a port of this machine."""
    node = Node(await DirectDoor.open(CALLS, "127.0.0.1", 0))
    yield node
    for stream in node.streams:
        stream.close()
    await node.calls.close()


async def send(stream: Stream, frame: pb.CallFrame) -> None:
    """Send a frame."""
    await stream.write(frame.SerializeToString())


async def read(stream: Stream) -> pb.CallFrameReply | None:
    """Return the next frame, or None at the end."""
    async with asyncio.timeout(5):
        return await stream.read()


def frame(*methods: str) -> pb.CallFrame:
    """Return a frame of calls with ids from 1."""
    return pb.CallFrame(
        calls=[
            pb.ObjectCall(
                id=number,
                call=pb.CallRequest(
                    target=pb.ObjectTarget(class_name="Counter", name="c"),
                    method=method,
                    arguments=[pb.ObjectValue(json="1")],
                ),
            )
            for number, method in enumerate(methods, start=1)
        ]
    )


async def test_calls_are_done_and_answered(node: Node) -> None:
    """Also what has failed, without the end of the stream."""
    stream = await node.invited()
    await send(stream, frame("increment", "refuse"))

    found: dict[int, pb.ObjectCallResult] = {}
    while len(found) < 2:
        reply = await read(stream)
        assert reply is not None
        found |= {each.id: each for each in reply.results}
    assert found[1].reply.result.json == "1"
    assert found[2].error.type_name == "ValueError"


@pytest.mark.parametrize("question", [b"", b"let me in", b"x" * 1000])
async def test_who_was_not_invited_is_not_served(node: Node, question: bytes) -> None:
    """Who has another port in mind is not mistaken for a client either."""
    stream = await node.dial()
    await send(stream, pb.CallFrame(question=question))
    assert await read(stream) is None


async def test_question_comes_by_itself(node: Node) -> None:
    """Calls beside it would be done before there is an answer."""
    stream = await node.dial()
    both = pb.CallFrame(
        calls=[pb.ObjectCall(id=1)], question=node.calls.invitation.question
    )
    await send(stream, both)

    assert await read(stream) is None
    assert not node.objects.calls


async def test_who_was_not_invited_takes_no_memory(node: Node) -> None:
    """A frame is refused by its length, before it comes."""
    stream = await node.dial()
    await send(stream, frame(*["increment"] * 100))
    assert await read(stream) is None


async def test_question_that_comes_after_the_end_is_late(node: Node) -> None:
    """What it called would run while objects are closed."""
    stream = await node.dial()
    await node.calls.end(1.0)
    await send(stream, pb.CallFrame(question=node.calls.invitation.question))
    assert await read(stream) is None


async def test_who_says_nothing_does_not_keep_the_place(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are only so many."""
    monkeypatch.setattr(direct_calls, "QUESTION_SECONDS_MAX", 0.01)
    assert await read(await node.dial()) is None


async def test_bytes_that_are_no_frame_end_the_stream(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why, and others go on."""
    stream, other = await node.invited(), await node.invited()
    with caplog.at_level(logging.WARNING):
        await stream.write(b"\xff")
        assert await read(stream) is None
    assert "it sent bytes that are no message" in caplog.text

    await send(other, frame("increment"))
    assert await read(other) is not None


async def test_frame_of_too_many_calls_ends_the_stream(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """What came before is answered first."""
    stream = await node.invited()
    with caplog.at_level(logging.WARNING):
        await send(stream, frame("increment"))
        await send(stream, frame(*["increment"] * (FRAME_OPERATIONS_MAX + 1)))
        answered = await read(stream)
        assert await read(stream) is None

    assert answered is not None
    assert len(node.objects.calls) == 1
    assert f"at most {FRAME_OPERATIONS_MAX}" in caplog.text


async def test_client_that_goes_leaves_its_calls(node: Node) -> None:
    """The method goes on."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    stream = await node.invited()
    await send(stream, frame("slow"))
    await node.objects.began.wait()
    stream.close()
    await asyncio.wait_for(node.objects.left.wait(), 5)

    hold.set()
    await asyncio.sleep(0)
    assert node.objects.cancelled == ["slow"]
    assert not node.calls._streams


async def test_end_waits_for_clients_to_go(node: Node) -> None:
    """They are told to, and answered what they have called; nobody else may come."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    stream = await node.invited()
    await send(stream, frame("slow"))
    await node.objects.began.wait()
    ending = asyncio.create_task(node.calls.end(5.0))
    told = await read(stream)
    assert told is not None
    assert told.ending
    late = await node.dial()
    await send(late, pb.CallFrame(question=node.calls.invitation.question))
    assert await read(late) is None
    await send(stream, frame("increment"))  # which has crossed that
    hold.set()
    answered = 0
    while answered < 2:
        reply = await read(stream)
        assert reply is not None
        answered += len(reply.results)
    assert not ending.done()
    stream.close()
    await asyncio.wait_for(ending, 5)


async def test_end_waits_for_so_long_only(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing ends the rest."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    stream = await node.invited()
    await send(stream, frame("slow"))
    await node.objects.began.wait()
    await node.calls.end(0.01)
    assert "1 clients have not gone yet" in caplog.text

    await node.calls.close()
    told = await read(stream)
    assert told is not None
    assert told.ending
    assert await read(stream) is None
    hold.set()
