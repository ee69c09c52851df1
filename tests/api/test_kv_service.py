"""The two roads to the operations: unary calls, and frames on a stream."""

import asyncio
import gc

import grpc
import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api import kv_service
from kvnode.limits import FRAME_OPERATIONS_MAX
from tests.api.server import Served, trailer_of
from tests.runtime.nodes import PEER, foreign, until

Execute = grpc.aio.StreamStreamCall[pb.Frame, pb.FrameReply]


def _frame(*requests: pb.Operation) -> pb.Frame:
    return pb.Frame(operations=requests)


def _get(
    number: int, key: bytes = b"k", *, session: bytes = b"", deadline_ms: int = 0
) -> pb.Operation:
    options = pb.Options(session=session, deadline_ms=deadline_ms)
    request = pb.GetRequest(key=key, options=options)
    return pb.Operation(id=number, get=request)


def _put(number: int, value: bytes = b"v", key: bytes = b"k") -> pb.Operation:
    return pb.Operation(id=number, put=pb.PutRequest(key=key, value=value))


def _session(seq: int) -> bytes:
    token = pb.SessionToken()
    token.entries.add(replica=PEER, seq=seq)
    return token.SerializeToString()


async def _read(call: Execute, count: int) -> dict[int, pb.OperationResult]:
    results: dict[int, pb.OperationResult] = {}
    async with asyncio.timeout(5):
        while len(results) < count:
            frame = await call.read()
            assert isinstance(frame, pb.FrameReply), "the stream has ended"
            results.update((result.id, result) for result in frame.results)
    return results


async def _read_to_the_end(call: grpc.aio.Call) -> None:
    while True:
        await call.read()  # type: ignore[attr-defined]  # every streaming call has it


async def _until_idle() -> None:
    """Let cancelled calls end on the server."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def _server_tasks() -> list[str]:
    """Return what runs on behalf of streams."""
    running = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    ours = ("_ReplyQueue", "KvServicer", "Operations._later")
    return [name for name in running if any(part in name for part in ours)]


# -- unary -------------------------------------------------------------------------


async def test_each_unary_call_is_its_operation(node: Served) -> None:
    """Other people's tools need no frames."""
    kv = node.kv
    written = await kv.Put(pb.PutRequest(key=b"k", value=b"v"))
    assert (await kv.Get(pb.GetRequest(key=b"k"))).version == written.version
    assert [i.key for i in (await kv.List(pb.ListRequest())).items] == [b"k"]
    assert (await kv.Delete(pb.DeleteRequest(key=b"k"))).applied
    assert (await kv.Counter(pb.CounterRequest(key=b"n", delta=2))).value == 2
    assert (await kv.Set(pb.SetRequest(key=b"s", add=[b"a"]))).size == 1
    assert (await kv.Document(pb.DocumentRequest(key=b"d"))).version == ""
    batch = pb.BatchRequest(steps=[pb.BatchRequest.Step(put=pb.PutRequest(key=b"b"))])
    assert (await kv.Batch(batch)).results[0].write.applied
    assert (await kv.Conflicts(pb.ConflictsRequest())).complete
    assert written.session


async def test_unary_error_has_its_status_and_says_exactly(node: Served) -> None:
    """The status for any tool, the trailer for ours."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.kv.Get(pb.GetRequest(namespace="nowhere", key=b"k"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "nowhere" in (caught.value.details() or "")
    assert trailer_of(caught.value).code == pb.ERROR_CODE_NOT_FOUND


async def test_error_about_a_huge_name_reaches_the_caller(node: Served) -> None:
    """It must fit into the metadata, or the caller sees a broken connection."""
    for request in (
        pb.GetRequest(namespace="n" * 100_000, key=b"k"),
        pb.GetRequest(key=b"k" * 100_000),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await node.kv.Get(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.kv.Put(pb.PutRequest(key=b"k", if_version="v" * 100_000))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_cancelled_unary_call_leaves_nothing_behind(node: Served) -> None:
    """Though it would have waited for an hour."""
    options = pb.Options(session=_session(1), deadline_ms=3_600_000)
    call = node.kv.Get(pb.GetRequest(key=b"k", options=options))
    await until(lambda: bool(node.api.node.driver._covering))

    call.cancel()
    await _until_idle()

    assert node.api.node.driver._covering == {}


# -- frames ------------------------------------------------------------------------


async def test_frame_is_answered_by_id(node: Served) -> None:
    """Errors beside results, in whatever order."""
    call = node.kv.Execute()
    await call.write(_frame(_put(1), _get(2), pb.Operation(id=3), _get(4, b"")))
    results = await _read(call, 4)

    assert {n: r.WhichOneof("kind") for n, r in results.items()} == {
        1: "write",
        2: "get",
        3: "error",
        4: "error",
    }
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_writes_of_a_frame_are_applied_in_order(node: Served) -> None:
    """The last one stands."""
    call = node.kv.Execute()
    await call.write(_frame(*(_put(n, b"%d" % n) for n in range(50))))
    await _read(call, 50)
    await call.write(_frame(_get(99)))
    assert (await _read(call, 1))[99].get.value == b"49"
    call.cancel()


async def test_client_that_stops_asking_gets_all_answers(node: Served) -> None:
    """Half-closing the stream is no farewell."""
    node.api.node.store.hold()
    call = node.kv.Execute()
    await call.write(_frame(_put(1)))
    await call.done_writing()
    await node.api.node.store.applying.wait()
    node.api.node.store.gate.set()

    assert (await _read(call, 1))[1].write.applied
    assert await call.code() is grpc.StatusCode.OK


async def test_waiting_operation_holds_up_no_other(node: Served) -> None:
    """It is answered when its session is covered."""
    call = node.kv.Execute()
    await call.write(_frame(_get(1, session=_session(1)), _get(2)))
    assert set(await _read(call, 1)) == {2}

    await node.api.hear(b"k", foreign(1))

    assert (await _read(call, 1))[1].get.value == b"theirs"
    call.cancel()


async def test_frame_with_too_many_operations_ends_the_stream_after_all_others(
    node: Served,
) -> None:
    """What was begun is answered, and of the frame nothing was begun."""
    node.api.node.store.hold()
    call = node.kv.Execute()
    await call.write(_frame(_put(1)))
    await node.api.node.store.applying.wait()
    await call.write(_frame(*(_put(n, b"w") for n in range(FRAME_OPERATIONS_MAX + 1))))
    node.api.node.store.gate.set()

    assert (await _read(call, 1))[1].write.applied
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"at most {FRAME_OPERATIONS_MAX}" in (caught.value.details() or "")
    assert trailer_of(caught.value).code == pb.ERROR_CODE_INVALID_ARGUMENT
    assert (await node.api.get(b"k")).value == b"v"


async def test_large_results_come_in_several_frames(node: Served) -> None:
    """A frame is closed at REPLY_BYTES; one result may be larger."""
    value = bytes(kv_service.REPLY_BYTES // 2 + 1)
    await node.api.write(b"k", value)
    await node.api.write(b"large", bytes(kv_service.REPLY_BYTES + 1))
    call = node.kv.Execute()
    await call.write(_frame(_get(1), _get(2), _get(3, b"large"), _get(4)))

    frames: list[pb.FrameReply] = []
    while sum(len(frame.results) for frame in frames) < 4:
        frame = await call.read()
        assert isinstance(frame, pb.FrameReply)
        frames.append(frame)

    assert [[r.id for r in frame.results] for frame in frames] == [[1], [2], [3], [4]]
    call.cancel()


async def test_client_that_does_not_read_is_not_served_on(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of request ask for gigabytes: memory stays bounded."""
    begun: list[int] = []
    queue = kv_service._ReplyQueue
    monkeypatch.setattr(kv_service, "STREAM_BYTES_MAX", 8 * 1024 * 1024)
    add = queue.add

    def counted(self: kv_service._ReplyQueue, result: pb.OperationResult) -> None:
        begun.append(result.id)
        add(self, result)

    monkeypatch.setattr(queue, "add", counted)
    await node.api.write(b"k", bytes(1024 * 1024))
    call = node.kv.Execute()
    await call.write(_frame(*map(_get, range(100))))
    await _until_idle()
    assert len(begun) < 30

    results = await _read(call, 100)

    assert len(results) == len(begun) == 100
    call.cancel()


async def test_stream_with_too_many_waiting_results_ends(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations that waited may all come back at once, whatever they bring."""
    monkeypatch.setattr(kv_service, "STREAM_BYTES_END", 1000)
    await node.api.write(b"large", bytes(400))
    call = node.kv.Execute()
    await call.write(
        _frame(*(_get(n, b"large", session=_session(1)) for n in range(3)))
    )
    await until(lambda: len(node.api.node.driver._covering) == 3)

    await node.api.hear(b"k", foreign(1))

    with pytest.raises(grpc.aio.AioRpcError, match="1000 bytes of results wait"):
        await _read_to_the_end(call)


async def test_result_that_cannot_be_sent_is_an_error(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of that operation alone; the stream goes on."""
    monkeypatch.setattr(kv_service, "RESULT_BYTES_MAX", 100)
    await node.api.write(b"k", bytes(200))
    call = node.kv.Execute()
    await call.write(_frame(_get(1), _get(2, b"other")))
    results = await _read(call, 2)

    assert "at most 100 can be sent" in results[1].error.message
    assert results[2].get.type == pb.VALUE_TYPE_ABSENT
    call.cancel()


async def test_unanswered_operations_of_a_stream_are_bounded(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound frames are not begun until something was answered."""
    monkeypatch.setattr(kv_service, "STREAM_OPERATIONS_MAX", 4)
    call = node.kv.Execute()
    for frame in range(3):
        operations = (_get(3 * frame + n, session=_session(1)) for n in range(3))
        await call.write(_frame(*operations))
    await _until_idle()
    assert len(node.api.node.driver._covering) == 4

    await node.api.hear(b"k", foreign(1))

    assert len(await _read(call, 9)) == 9
    call.cancel()


async def test_client_that_leaves_takes_everything_with_it(node: Served) -> None:
    """No task and no waiting operation stays; writes under way are finished."""
    call = node.kv.Execute()
    await call.write(
        _frame(*(_get(n, session=_session(1), deadline_ms=3_600_000) for n in range(5)))
    )
    await until(lambda: len(node.api.node.driver._covering) == 5)
    node.api.node.store.hold()
    await call.write(_frame(_put(9)))
    await node.api.node.store.applying.wait()

    call.cancel()
    await _until_idle()
    node.api.node.store.gate.set()
    await _until_idle()
    gc.collect()

    assert node.api.node.driver._covering == {}
    assert _server_tasks() == []
    assert (await node.api.get(b"k")).value == b"v"
    assert node.api.node.store._image.holders == 0


# -- watch -------------------------------------------------------------------------


async def test_watch_streams_changes_until_the_client_leaves(node: Served) -> None:
    """And is then forgotten."""
    call = node.kv.Watch(pb.WatchRequest())
    first = await call.read()
    assert isinstance(first, pb.WatchReply)
    await node.api.write(b"k")
    reply = await call.read()
    assert isinstance(reply, pb.WatchReply)
    assert [change.key for change in reply.changes] == [b"k"]

    call.cancel()
    await _until_idle()

    assert node.api.watches._count == 0


async def test_wrong_watch_has_its_status(node: Served) -> None:
    """As unary calls have."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.kv.Watch(pb.WatchRequest(resume_token=b"x")).read()
    assert trailer_of(caught.value).code == pb.ERROR_CODE_INVALID_ARGUMENT


async def test_watcher_that_reads_nothing_loses_its_snapshot(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open snapshot lets the store's file grow without end."""
    monkeypatch.setattr(kv_service, "WATCH_WRITE_SECONDS_MAX", 0.05)
    for n in range(30):
        await node.api.write(b"%d" % n, bytes(1024 * 1024))
    call = node.kv.Watch(pb.WatchRequest(from_start=True))
    await until(lambda: node.api.watches._count == 1)

    await until(lambda: node.api.watches._count == 0)

    assert node.api.node.store._image.holders == 0
    with pytest.raises(grpc.aio.AioRpcError, match="took nothing"):
        await _read_to_the_end(call)
