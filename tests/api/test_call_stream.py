"""Calls of one stream: bounds, and what happens at them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvnode._pb import kv_pb2
from kvnode._pb import objects_pb2 as pb
from kvnode.api import call_stream
from kvnode.api.call_stream import CallStream, StreamCall
from kvnode.errors import IndeterminateError, UnavailableError


class Streamed:
    """A stream whose calls end when a test says so, to a client that may not read."""

    def __init__(self) -> None:
        self.begun: list[StreamCall] = []
        self.written: list[list[int]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._stream = CallStream(
            lambda call, _: self.begun.append(call),
            lambda _, error: kv_pb2.Error(message=str(error)),
            lambda: self._set,
            self._write,
        )
        self.serving = asyncio.create_task(self._stream.serve(self._frames()))

    def _set(self, result: pb.ObjectCallResult, call: StreamCall) -> None:
        result.id = call.identifier
        if isinstance(call.outcome, bytes):
            result.reply.result.cbor = call.outcome
        else:
            result.error.CopyFrom(call.outcome)

    async def _write(self, frame: bytes) -> None:
        await self.reads.wait()
        results = pb.CallFrameReply.FromString(frame).results
        self.written.append([result.id for result in results])

    async def _frames(self) -> AsyncIterator[pb.CallFrame]:
        yield pb.CallFrame(calls=[pb.ObjectCall(id=i) for i in (1, 2, 3)])

    async def turns(self) -> None:
        """Let the stream do what it can."""
        for _ in range(10):
            await asyncio.sleep(0)


async def test_answer_that_was_dropped_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if there is room again when that is noticed: nobody else would tell it."""
    monkeypatch.setattr(call_stream, "BYTES_END", 100)
    streamed = Streamed()
    streamed.reads.clear()
    await streamed.turns()
    first, second, third = streamed.begun
    first.answer(b"x" * 90)
    await streamed.turns()
    second.answer(b"x" * 20)  # too much, while the first is being written
    streamed.reads.set()
    await streamed.turns()
    third.answer(b"x")

    with pytest.raises(IndeterminateError, match="wait to be read"):
        await asyncio.wait_for(streamed.serving, 1)
    assert streamed.written == [[1]]


async def test_frame_is_closed_before_it_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One result may be larger; the order in which calls ended stays."""
    monkeypatch.setattr(call_stream, "REPLY_BYTES", 100)
    streamed = Streamed()
    await streamed.turns()
    first, second, third = streamed.begun
    second.answer(b"x" * 200)
    first.answer(UnavailableError("x" * 60))
    third.answer(b"x" * 60)

    await asyncio.wait_for(streamed.serving, 1)
    assert streamed.written == [[2], [1], [3]]
