"""Calls leave nothing behind that only the garbage collector would find."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api.results import call_stream
from tests.runtime.objects.test_alone import running

CALLS = 100


def _frame(method: str, count: int) -> pb.UnreadCallFrame:
    request = pb.CallRequest(
        target=pb.ObjectTarget(class_name="Counter", name="c"), method=method
    )
    call = [request.SerializeToString()]
    calls = [pb.UnreadCall(id=i, call=call) for i in range(count)]
    return pb.UnreadCallFrame(calls=calls)


@pytest.mark.parametrize("together", [1, CALLS])
@pytest.mark.parametrize("method", ["increment", "rung", "fail"])
async def test_calls_of_a_stream_leave_no_garbage(
    tmp_path: Path, method: str, together: int
) -> None:
    """What each needs is free as soon as it is answered, and used again by the next."""
    answered: asyncio.Queue[int] = asyncio.Queue()

    async def write(frame: bytes) -> None:
        answered.put_nowait(len(pb.CallFrameReply.FromString(frame).results))

    async def one_round() -> None:
        left = together
        while left:
            left -= await answered.get()

    found: list[int] = []

    async def frames() -> AsyncIterator[pb.UnreadCallFrame]:
        for _ in range(2):  # the first calls wait for somebody to lead
            yield _frame(method, together)
            await one_round()
        gc.collect()
        gc.disable()
        for _ in range(CALLS // together):
            yield _frame(method, together)
            await one_round()
        found.append(gc.collect())

    async with running(tmp_path) as objects:
        try:
            await call_stream(objects, write).serve(frames())
        finally:
            gc.enable()

    assert found[0] < CALLS, "less than one object a call"
