"""The two roads to objects: unary calls, and frames on a stream."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from kvnode._pb import kv_pb2, objects_pb2_grpc
from kvnode._pb import objects_pb2 as pb
from kvnode.api import call_stream
from kvnode.api.objects_service import NO_OBJECTS, add_objects
from kvnode.errors import NotLeaderError
from kvnode.limits import FRAME_OPERATIONS_MAX
from kvnode.objects.alarming import ALARM, SET_ALARM
from tests.api.objects_server import (
    FakeObjects,
    ServedObjects,
    listening,
    served_objects,
)
from tests.api.server import trailer_of

Calls = grpc.aio.StreamStreamCall[pb.CallFrame, pb.CallFrameReply]


@pytest.fixture
async def served() -> AsyncIterator[ServedObjects]:
    """Fake objects behind a real server."""
    async with served_objects() as served:
        yield served


def _request(method: str = "increment", argument: str = "1") -> pb.CallRequest:
    return pb.CallRequest(
        target=pb.ObjectTarget(class_name="Counter", name="c"),
        method=method,
        arguments=[pb.ObjectValue(json=argument)],
    )


def _frame(*methods: str, first: int = 1) -> pb.CallFrame:
    return pb.CallFrame(
        calls=[
            pb.ObjectCall(id=number, call=_request(method))
            for number, method in enumerate(methods, start=first)
        ]
    )


async def _read(call: Calls, count: int) -> list[pb.ObjectCallResult]:
    """Return the next *count* results, as they come."""
    results: list[pb.ObjectCallResult] = []
    async with asyncio.timeout(5):
        while len(results) < count:
            frame = await call.read()
            assert isinstance(frame, pb.CallFrameReply), "the stream has ended"
            results += frame.results
    return results


async def _turns() -> None:
    """Let the server do what it can."""
    for _ in range(20):
        await asyncio.sleep(0)


# -- unary ----------------------------------------------------------------------------


async def test_unary_call_is_answered_in_json_by_itself(served: ServedObjects) -> None:
    """Other people's tools speak it."""
    assert (await served.stub.Call(_request(argument="3"))).result.json == "3"
    assert (await served.stub.Call(_request(argument="4"))).result.json == "7"


async def test_unary_call_is_answered_in_cbor_on_demand(served: ServedObjects) -> None:
    """In which all results can be said."""
    request = _request()
    request.result_form = pb.RESULT_FORM_CBOR

    assert (await served.stub.Call(request)).result.cbor == b"\x01"


async def test_unary_error_is_told_by_status_and_exactly(served: ServedObjects) -> None:
    """With the leader, or the type of what was raised."""
    served.objects.failures.append(NotLeaderError("not here", leader="paris"))

    with pytest.raises(grpc.aio.AioRpcError, match="not here") as caught:
        await served.stub.Call(_request())
    with pytest.raises(grpc.aio.AioRpcError, match="no more apples") as raised:
        await served.stub.Call(_request("refuse"))

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert trailer_of(caught.value) == kv_pb2.Error(
        code=kv_pb2.ERROR_CODE_NOT_LEADER,
        message="not here",
        leader="paris",
        retryable=True,
    )
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert trailer_of(raised.value) == kv_pb2.Error(
        code=kv_pb2.ERROR_CODE_OBJECT_RAISED,
        message="no more apples",
        type_name="ValueError",
        may_have_happened=True,
    )


async def test_call_that_breaks_a_rule_reaches_no_object(served: ServedObjects) -> None:
    """It is refused before anything is done."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.stub.Call(_request(argument="{"))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not trailer_of(caught.value).may_have_happened
    assert served.objects.calls == []


async def test_method_goes_on_when_its_deadline_has_passed(
    served: ServedObjects,
) -> None:
    """The caller is told that it may have happened, and when it was given up."""
    served.objects.hold["increment"] = asyncio.Event()
    request = _request()
    request.deadline_ms = 20

    with pytest.raises(grpc.aio.AioRpcError, match="within 20 ms") as caught:
        await served.stub.Call(request)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert trailer_of(caught.value).code == kv_pb2.ERROR_CODE_DEADLINE
    assert trailer_of(caught.value).may_have_happened
    served.objects.hold["increment"].set()
    await _turns()
    assert served.objects.finished == ["increment"]


async def test_deadline_has_a_limit(served: ServedObjects) -> None:
    """Nothing waits for ever."""
    request = _request()
    request.deadline_ms = 3_600_001

    with pytest.raises(grpc.aio.AioRpcError, match="3600000"):
        await served.stub.Call(request)


async def test_timeout_within_the_objects_is_not_taken_for_the_deadline(
    served: ServedObjects,
) -> None:
    """Only what this node has waited for is told as such."""
    served.objects.failures.append(TimeoutError("the disk"))

    with pytest.raises(grpc.aio.AioRpcError, match="the disk") as caught:
        await served.stub.Call(_request())

    assert caught.value.code() is grpc.StatusCode.UNKNOWN


# -- streams --------------------------------------------------------------------------


async def test_call_of_a_stream_has_a_deadline_of_its_own(
    served: ServedObjects,
) -> None:
    """The others go on, and so does the method."""
    served.objects.hold["slow"] = asyncio.Event()
    frame = _frame("slow", "increment")
    frame.calls[0].call.deadline_ms = 20
    call = served.stream()
    await call.write(frame)

    second, first = await _read(call, 2)

    assert (second.id, first.id) == (2, 1)
    assert second.reply.result.json == "1"
    assert first.error.code == kv_pb2.ERROR_CODE_DEADLINE
    await call.done_writing()


async def test_calls_of_a_stream_are_answered_as_they_end(
    served: ServedObjects,
) -> None:
    """A slow method holds up nobody else's."""
    served.objects.hold["slow"] = asyncio.Event()
    call = served.stream()
    await call.write(_frame("slow", "increment", "refuse"))

    first = await _read(call, 2)
    served.objects.hold["slow"].set()
    last = await _read(call, 1)

    assert {result.id: result.WhichOneof("kind") for result in first} == {
        2: "reply",
        3: "error",
    }
    assert [result.id for result in last] == [1]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_what_is_ready_at_once_leaves_in_one_frame(
    served: ServedObjects,
) -> None:
    """One gRPC message costs more than one call."""
    call = served.stream()
    await call.write(_frame(*["increment"] * 50))

    frame = await call.read()

    assert isinstance(frame, pb.CallFrameReply)
    assert sorted(result.id for result in frame.results) == [*range(1, 51)]


async def test_frames_of_results_are_bounded(
    served: ServedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But one result always fits."""
    monkeypatch.setattr(call_stream, "REPLY_BYTES", 300)
    served.objects.answer = lambda _: "x" * 200
    call = served.stream()
    await call.write(_frame(*["echo"] * 3))

    for _ in range(3):
        frame = await call.read()
        assert isinstance(frame, pb.CallFrameReply)
        assert len(frame.results) == 1


async def test_failure_of_one_call_ends_no_other(
    served: ServedObjects, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours is logged, and told as what may have happened."""
    served.objects.failures.append(ZeroDivisionError("ours"))
    call = served.stream()
    await call.write(_frame("increment", "increment"))

    failed, counted = sorted(await _read(call, 2), key=lambda result: result.id)

    assert failed.error.may_have_happened
    assert counted.reply.result.json == "1"
    assert "ZeroDivisionError" in caplog.text


async def test_stream_begins_no_more_calls_than_it_may_hold(
    served: ServedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond waits until one has been answered."""
    monkeypatch.setattr(call_stream, "CALLS_MAX", 2)
    served.objects.hold = {"a": asyncio.Event(), "b": asyncio.Event()}
    call = served.stream()
    await call.write(_frame("a", "b", "c"))
    await served.objects.began.wait()
    await _turns()
    assert [each.method for each in served.objects.calls] == ["a", "b"]

    served.objects.hold["b"].set()

    assert {result.id for result in await _read(call, 2)} == {2, 3}


async def test_stream_begins_no_call_beyond_the_bytes_that_it_may_hold(
    served: ServedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments count while their call runs."""
    monkeypatch.setattr(call_stream, "BYTES_MAX", 10)
    served.objects.hold = {"a": asyncio.Event()}
    call = served.stream()
    await call.write(_frame("a", "b"))
    await served.objects.began.wait()
    await _turns()
    assert [each.method for each in served.objects.calls] == ["a"]

    served.objects.hold["a"].set()

    assert len(await _read(call, 2)) == 2


async def test_stream_with_too_many_bytes_of_results_ends(
    served: ServedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever does not read must not fill the node's memory."""
    monkeypatch.setattr(call_stream, "BYTES_END", 100)
    served.objects.answer = lambda _: "x" * 200
    call = served.stream()
    await call.write(_frame("echo"))

    with pytest.raises(grpc.aio.AioRpcError, match="wait to be read") as caught:
        await call.read()

    assert trailer_of(caught.value).may_have_happened


async def test_frame_with_too_many_calls_is_refused_after_earlier_ones(
    served: ServedObjects,
) -> None:
    """None of its own is begun."""
    call = served.stream()
    await call.write(_frame("echo"))
    await call.write(_frame(*["increment"] * (FRAME_OPERATIONS_MAX + 1), first=2))

    assert [result.id for result in await _read(call, 1)] == [1]
    with pytest.raises(grpc.aio.AioRpcError, match="at most 10000") as caught:
        await call.read()

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [each.method for each in served.objects.calls] == ["echo"]


async def test_client_that_goes_away_stops_no_method(served: ServedObjects) -> None:
    """Only the wait for it ends."""
    served.objects.hold["increment"] = asyncio.Event()
    call = served.stream()
    await call.write(_frame("increment"))
    await served.objects.began.wait()

    call.cancel()
    async with asyncio.timeout(5):
        await served.objects.left.wait()

    assert served.objects.cancelled == ["increment"]
    served.objects.hold["increment"].set()
    await _turns()
    assert served.objects.finished == ["increment"]


# -- status, and nodes without objects ------------------------------------------------


async def test_status_tells_classes_and_shards(served: ServedObjects) -> None:
    """Each with what the node knows of it."""
    reply = await served.stub.Status(pb.ObjectsStatusRequest())

    assert [*reply.classes] == ["Counter", "Storage"]
    assert [*reply.shards] == [
        pb.ShardStatus(
            shard="s000",
            epoch=7,
            led_here=True,
            committed=40,
            applied=39,
            instances=2,
            leader="tokyo",
        ),
        pb.ShardStatus(shard="s001", fault="gone"),
    ]


async def test_alarm_is_set_deleted_and_told_by_what_is_there(
    served: ServedObjects,
) -> None:
    """No time is another thing than the time 0, both ways."""
    target = pb.ObjectTarget(class_name="Cart", name="c")
    served.objects.answer = lambda call: call.arguments[0] if call.arguments else 7

    looked = await served.stub.Alarm(pb.AlarmRequest(target=target))
    at_once = await served.stub.SetAlarm(pb.SetAlarmRequest(target=target, at_ms=0))
    deleted = await served.stub.SetAlarm(pb.SetAlarmRequest(target=target))

    assert (looked.HasField("at_ms"), looked.at_ms) == (True, 7)
    assert (at_once.HasField("at_ms"), at_once.at_ms) == (True, 0)
    assert not deleted.HasField("at_ms")
    asked = [(call.method, [*call.arguments]) for call in served.objects.calls]
    assert asked == [(ALARM, []), (SET_ALARM, [0]), (SET_ALARM, [None])]


async def test_node_without_objects_says_so_on_every_road() -> None:
    """In words rather than as an unknown method."""
    async with (
        listening(lambda server: add_objects(server, None)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub = objects_pb2_grpc.ObjectsStub(channel)
        for ask in (
            lambda: stub.Call(_request()),
            lambda: stub.Bookmark(pb.BookmarkRequest()),
            lambda: stub.Restore(pb.RestoreRequest()),
            lambda: stub.Locate(pb.LocateRequest()),
            lambda: stub.Alarm(pb.AlarmRequest()),
            lambda: stub.SetAlarm(pb.SetAlarmRequest()),
            lambda: stub.Status(pb.ObjectsStatusRequest()),
            lambda: stub.Calls().read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match=NO_OBJECTS) as caught:
                await ask()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_service_is_added_under_its_full_name() -> None:
    """As reflection wants to have it."""
    server = grpc.aio.server()

    assert add_objects(server, FakeObjects()) == "kvnode.v1.Objects"
