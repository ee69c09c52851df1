"""A connection over plain TCP: frames come whole, in order, and bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import shards_pb2 as pb
from kvnode._pb.shards_pb2 import ShardFrame
from kvnode.direct import stream as direct_stream
from kvnode.direct.stream import DirectStream
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.transport.grpc_road import SHARDS

LENGTH_BYTES = 4


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and is never connected."""

    def __init__(self, stream: DirectStream[ShardFrame]) -> None:
        super().__init__()
        self.written = bytearray()
        self.takes_more = True
        self._stream = stream

    def write(self, data: object) -> None:
        """Keep it."""
        assert isinstance(data, bytes)
        self.written += data

    def pause_reading(self) -> None:
        """Note it."""
        self.takes_more = False

    def resume_reading(self) -> None:
        """Note it."""
        self.takes_more = True

    def close(self) -> None:
        """End the stream."""
        self._stream.connection_lost(None)


def connected(monkeypatch: pytest.MonkeyPatch) -> tuple[DirectStream[ShardFrame], Wire]:
    """Return a stream on a wire."""
    monkeypatch.setattr(direct_stream, "_notice_dead_peers", lambda *_: None)
    stream = DirectStream(SHARDS.frames)
    wire = Wire(stream)
    stream.connection_made(wire)
    return stream, wire


def question(number: int) -> bytes:
    """Return a message that can be told from others."""
    return pb.ShardFrame(
        questions=[pb.VoterQuestion(number=number)]
    ).SerializeToString()


def framed(message: bytes) -> bytes:
    """Return *message* behind its length."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def number_of(message: ShardFrame | None) -> int:
    """Return which message it is."""
    assert message is not None
    return message.questions[0].number


@given(
    numbers=st.lists(st.integers(1, 1 << 60), max_size=6),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_messages_come_whole_however_the_network_cuts_them(
    numbers: list[int], cuts: list[int]
) -> None:
    """In their order; what is left of one at the end is none."""

    async def main() -> list[int]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            stream, _ = connected(monkeypatch)
            data = b"".join(framed(question(number)) for number in numbers) + b"\0\0"
            places = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
            for start, end in pairwise(places):
                stream.data_received(data[start:end])
            stream.eof_received()
            come: list[int] = []
            while (message := await stream.read()) is not None:
                come.append(number_of(message))
            return come

    assert asyncio.run(main()) == numbers


async def test_reader_waits_for_a_whole_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is woken by it, not by a part."""
    stream, _ = connected(monkeypatch)
    reading = asyncio.create_task(stream.read())
    data = framed(question(7))
    stream.data_received(data[:-1])
    await asyncio.sleep(0)
    assert not reading.done()
    stream.data_received(data[-1:])
    assert number_of(await reading) == 7


async def test_message_that_is_too_large_is_refused_before_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came before it counts; what comes after it does not."""
    stream, _ = connected(monkeypatch)
    announced = (SHARDS.bytes_max + 1).to_bytes(LENGTH_BYTES, "big")
    stream.data_received(framed(question(1)) + announced)
    stream.data_received(framed(question(2)))
    assert number_of(await stream.read()) == 1
    for _ in range(2):
        with pytest.raises(PeerProtocolError, match="announced a message of"):
            await stream.read()


async def test_bytes_that_are_no_message_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In words."""
    stream, _ = connected(monkeypatch)
    stream.data_received(framed(b"\xff\xff"))
    with pytest.raises(PeerProtocolError, match="no message"):
        await stream.read()


async def test_peer_is_held_back_while_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded, and what was held back comes once there is room."""
    monkeypatch.setattr(direct_stream, "UNREAD_BYTES_MAX", 3 * len(framed(question(1))))
    stream, wire = connected(monkeypatch)
    for number in range(1, 4):
        stream.data_received(framed(question(number)))
    assert wire.takes_more
    stream.data_received(framed(question(4)) + framed(question(5)))
    assert not wire.takes_more

    assert number_of(await stream.read()) == 1
    assert not wire.takes_more
    assert number_of(await stream.read()) == 2
    assert wire.takes_more


async def test_writer_waits_while_the_stream_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What does not wait is not written then."""
    stream, wire = connected(monkeypatch)
    await stream.write(question(1))
    stream.pause_writing()
    writing = asyncio.create_task(stream.write(question(2)))
    await asyncio.sleep(0.01)
    assert not writing.done()
    assert not stream.try_write(question(3))

    stream.resume_writing()
    await writing
    assert stream.try_write(question(4))
    sent = [framed(question(number)) for number in (1, 2, 4)]
    assert bytes(wire.written) == b"".join(sent)


@pytest.mark.parametrize(
    ("error", "message"),
    [(ConnectionResetError(104, "reset by peer"), "reset"), (None, "has ended")],
)
async def test_connection_that_is_lost_is_told_to_whoever_writes(
    error: Exception | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they wait, or come later."""
    stream, _ = connected(monkeypatch)
    stream.pause_writing()
    writing = asyncio.create_task(stream.write(question(1)))
    await asyncio.sleep(0)
    stream.connection_lost(error)
    with pytest.raises(RoadError, match=message):
        await writing
    with pytest.raises(RoadError, match=message):
        await stream.write(question(2))
    assert not stream.try_write(question(3))


async def test_connection_that_breaks_is_told_to_the_reader_after_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An end in order is none of that."""
    stream, _ = connected(monkeypatch)
    stream.data_received(framed(question(1)))
    stream.connection_lost(ConnectionResetError(104, "reset by peer"))
    assert number_of(await stream.read()) == 1
    with pytest.raises(RoadError, match="reset"):
        await stream.read()


async def test_empty_messages_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a peer could send any number of them."""
    stream, wire = connected(monkeypatch)
    monkeypatch.setattr(direct_stream, "UNREAD_BYTES_MAX", 100 * LENGTH_BYTES)
    stream.data_received(framed(b"") * 100)
    assert wire.takes_more
    stream.data_received(framed(b""))
    assert not wire.takes_more
    await stream.read()
    assert wire.takes_more


async def test_nobody_to_dial_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, and in words."""
    with pytest.raises(RoadError, match="Connect call failed"):
        await direct_stream.dialed(SHARDS.frames, ("127.0.0.1", 1), seconds=5.0)

    async def never(*_: object) -> None:
        await asyncio.sleep(10)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "create_connection", never)
    with pytest.raises(RoadError, match=r"127\.0\.0\.1:1 did not answer within 0.01 s"):
        await direct_stream.dialed(SHARDS.frames, ("127.0.0.1", 1), seconds=0.01)


@asynccontextmanager
async def over_tcp() -> AsyncIterator[
    tuple[DirectStream[ShardFrame], DirectStream[ShardFrame]]
]:
    """Yield both ends of a connection."""
    accepted: asyncio.Future[DirectStream[ShardFrame]]
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()
    server = await loop.create_server(
        lambda: DirectStream(SHARDS.frames, accepted.set_result), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    _, dialed = await loop.create_connection(
        lambda: DirectStream(SHARDS.frames), "127.0.0.1", port
    )
    there = await accepted
    try:
        yield dialed, there
    finally:
        dialed.close()
        there.close()
        server.close()


async def test_messages_larger_than_any_buffer_go_through() -> None:
    """Both ways at once, and what was written before the end comes."""
    message = pb.ShardFrame(
        messages=[pb.ShardMessage(shard="s" * 3_000_000)]
    ).SerializeToString()
    async with over_tcp() as ends:

        async def read_all(stream: DirectStream[ShardFrame]) -> None:
            for _ in range(4):
                found = await stream.read()
                assert found is not None
                assert found.ByteSize() == len(message)

        readers = [read_all(end) for end in ends]
        writers = [end.write(message) for end in ends for _ in range(4)]
        await asyncio.gather(*readers, *writers)
        await ends[0].write(question(7))
        ends[0].close()
        assert number_of(await ends[1].read()) == 7
        assert await ends[1].read() is None


async def test_peer_that_reads_nothing_fills_the_stream_and_no_more() -> None:
    """Writers wait; nobody's memory grows."""
    message = pb.ShardFrame(
        messages=[pb.ShardMessage(shard="s" * 1_000_000)]
    ).SerializeToString()
    async with over_tcp() as (here, there):
        written = 0

        async def write() -> None:
            nonlocal written
            while True:
                await here.write(message)
                written += 1

        writing = asyncio.create_task(write())
        await _still(lambda: written)
        stuck_at = written
        assert stuck_at < 50
        assert there._frames_bytes < 4 * len(message)
        for _ in range(3):
            assert await there.read() is not None
        await _still(lambda: written)
        assert written > stuck_at
        writing.cancel()


async def _still(value: Callable[[], int]) -> None:
    """Return once *value* has not changed for a while."""
    before = -1
    while value() != before:
        before = value()
        await asyncio.sleep(0.1)
