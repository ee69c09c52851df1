"""Calls of one stream: bounds, what happens at them, and requests that are the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import cbor2
import pytest

from kvnode._pb import kv_pb2
from kvnode._pb import objects_pb2 as pb
from kvnode.api import call_stream, object_calls
from kvnode.api.call_stream import CallStream, StreamCall
from kvnode.api.objects_port import Call
from kvnode.errors import IndeterminateError, UnavailableError
from kvnode.objects.telling import Leave, Tell, nothing_to_leave
from tests.api.objects_server import FakeObjects

NOTHING = b"\xf6"
"""A result, as CBOR."""


class Waiting(FakeObjects):
    """Objects whose calls end when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.tell: list[Tell] = []

    def begin(self, call: Call, tell: Tell) -> Leave:
        """Take note of the call, and of whom to tell."""
        self.calls.append(call)
        self.tell.append(tell)
        return nothing_to_leave


class Streamed:
    """A stream of three calls, to a client that may not read."""

    def __init__(self, *requests: Sequence[bytes]) -> None:
        self.objects = Waiting()
        self.written: list[list[int]] = []
        self.errors: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._requests = requests or [[_request()]] * 3
        self._stream = CallStream(
            self.objects,
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
            self.errors.append(call.outcome.message)

    async def _write(self, frame: bytes) -> None:
        await self.reads.wait()
        results = pb.CallFrameReply.FromString(frame).results
        self.written.append([result.id for result in results])

    async def _frames(self) -> AsyncIterator[pb.UnreadCallFrame]:
        calls = [
            pb.UnreadCall(id=number, call=call)
            for number, call in enumerate(self._requests, start=1)
        ]
        yield pb.UnreadCallFrame(calls=calls)

    async def turns(self) -> None:
        """Let the stream do what it can."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Answer all calls, and wait for the end of the stream."""
        await self.turns()
        for tell in self.objects.tell:
            tell(NOTHING)
        await asyncio.wait_for(self.serving, 1)


def _request(*arguments: object, method: str = "add", key: str = "") -> bytes:
    request = pb.CallRequest(
        target=pb.ObjectTarget(class_name="Counter", name="c"),
        method=method,
        arguments=[pb.ObjectValue(cbor=cbor2.dumps(each)) for each in arguments],
        idempotency_key=key,
        deadline_ms=9000,
    )
    return request.SerializeToString()


async def test_answer_that_was_dropped_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if there is room again when that is noticed: nobody else would tell it."""
    monkeypatch.setattr(call_stream, "BYTES_END", 100)
    streamed = Streamed()
    streamed.reads.clear()
    await streamed.turns()
    first, second, third = streamed.objects.tell
    first(b"x" * 40)
    await streamed.turns()
    second(b"x" * 90)  # too much, while the first is being written
    streamed.reads.set()
    await streamed.turns()
    third(b"x")

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
    first, second, third = streamed.objects.tell
    second(b"x" * 200)
    first(UnavailableError("x" * 60))
    third(b"x" * 60)

    await asyncio.wait_for(streamed.serving, 1)
    assert streamed.written == [[2], [1], [3]]


# -- requests that are the same -----------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[pb.CallRequest]:
    """Return the requests that are read, in order."""
    read: list[pb.CallRequest] = []
    call_of = object_calls.call_of

    def noted(request: pb.CallRequest, *, patience_ms: int = 0) -> Call:
        read.append(request)
        return call_of(request, patience_ms=patience_ms)

    monkeypatch.setattr(object_calls, "call_of", noted)
    return read


async def test_request_that_came_before_is_not_read_again(
    read: list[pb.CallRequest],
) -> None:
    """It is done again, of course."""
    streamed = Streamed([_request(1)], [_request(2)], [_request(1)], [_request(1)])
    await streamed.end()

    assert [list(call.arguments) for call in streamed.objects.calls] == [
        [1],
        [2],
        [1],
        [1],
    ]
    assert len(read) == len({_request(1), _request(2)})
    assert streamed.written == [[1, 2, 3, 4]]


async def test_parts_of_a_request_are_one() -> None:
    """As with any message that protobuf finds in parts; see kvnode.framing."""
    rest = pb.CallRequest(idempotency_key="k").SerializeToString()
    streamed = Streamed([_request(1), rest], [_request(1, key="k")])
    await streamed.end()

    first, second = streamed.objects.calls
    assert first == second
    assert first.idempotency_key == "k"


@pytest.mark.parametrize("argument", [[1], {"a": 1}, {1, 2}])
async def test_what_a_method_could_change_is_its_own(argument: object) -> None:
    """Or the next one would be given what the first has made of it."""
    streamed = Streamed([_request(argument)], [_request(argument)])
    await streamed.end()

    first, second = streamed.objects.calls
    assert first.arguments[0] == second.arguments[0]
    assert first.arguments[0] is not second.arguments[0]


async def test_few_and_short_requests_are_remembered(
    monkeypatch: pytest.MonkeyPatch, read: list[pb.CallRequest]
) -> None:
    """Whatever a client sends, a stream does not grow."""
    monkeypatch.setattr(call_stream, "REMEMBERED_MAX", 2)
    long = _request("x" * call_stream.REMEMBERED_BYTES_MAX)
    several = [[_request(number)] for number in (1, 2, 3, 1)]
    streamed = Streamed([long], [long], *several)
    await streamed.end()

    assert len(read) == len(["long", "long", 1, 2, 3, 1])


async def test_bytes_that_are_no_request_fail_their_own_call() -> None:
    """Others of the same frame go on."""
    streamed = Streamed([_request(1)], [b"\xff"], [_request(method="")])
    await streamed.end()

    assert len(streamed.objects.calls) == 1
    assert sorted(each for frame in streamed.written for each in frame) == [1, 2, 3]
    bad, nameless = streamed.errors
    assert "1 bytes are no request of a call" in bad
    assert "the name of the method has 0 characters" in nameless
