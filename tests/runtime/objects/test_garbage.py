"""Calls leave nothing behind that only the garbage collector would find."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api.call_stream import CallStream
from kvnode.api.objects_service import ObjectsServicer
from tests.runtime.objects.test_alone import running

CALLS = 100


def _frame(method: str, first: int) -> pb.CallFrame:
    request = pb.CallRequest(
        target=pb.ObjectTarget(class_name="Counter", name="c"), method=method
    )
    numbers = range(first, first + CALLS)
    return pb.CallFrame(calls=[pb.ObjectCall(id=i, call=request) for i in numbers])


@pytest.mark.parametrize("method", ["increment", "rung"])
async def test_calls_of_a_stream_leave_no_garbage(tmp_path: Path, method: str) -> None:
    """What each needs is free as soon as it is answered, and used again by the next."""
    answered: asyncio.Queue[int] = asyncio.Queue()

    async def write(frame: bytes) -> None:
        answered.put_nowait(len(pb.CallFrameReply.FromString(frame).results))

    async def one_round() -> None:
        left = CALLS
        while left:
            left -= await answered.get()

    found: list[int] = []

    async def frames() -> AsyncIterator[pb.CallFrame]:
        yield _frame(method, 0)
        await one_round()
        gc.collect()
        gc.disable()
        yield _frame(method, CALLS)
        await one_round()
        found.append(gc.collect())

    async with running(tmp_path) as objects:
        servicer = ObjectsServicer(objects)
        try:
            await CallStream(servicer._begin, servicer._new_frame, write).serve(
                frames()
            )
        finally:
            gc.enable()

    assert found[0] < CALLS, "less than one object a call"
