"""The objects of a node and its way to others run together, and end together."""

import asyncio
from typing import cast

import pytest

from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.serving import ServedObjects
from kvnode.transport.shards.mesh import ShardMesh


class Part:
    """Runs until it is to fail, or is cancelled."""

    def __init__(self) -> None:
        self.fails = asyncio.Event()
        self.began = asyncio.Event()
        self.ended = False

    async def run(self) -> None:
        """Run."""
        self.began.set()
        try:
            await self.fails.wait()
            msg = "it has failed"
            raise OSError(msg)
        finally:
            await asyncio.sleep(0)
            self.ended = True


def served(objects: Part, mesh: Part | None) -> "asyncio.Task[None]":
    """Run both."""
    both = ServedObjects(cast("Objects", objects), cast("ShardMesh | None", mesh))
    return asyncio.create_task(both.run())


@pytest.mark.parametrize("which", ["objects", "mesh"])
async def test_failure_of_either_ends_both_with_its_error(which: str) -> None:
    """A node that leads and is deaf to others would look healthy."""
    parts = {"objects": Part(), "mesh": Part()}
    running = served(parts["objects"], parts["mesh"])
    await parts[which].began.wait()
    parts[which].fails.set()
    async with asyncio.timeout(1):
        with pytest.raises(OSError, match="it has failed"):
            await running
    assert parts["objects"].ended
    assert parts["mesh"].ended


async def test_both_end_when_they_are_cancelled() -> None:
    """And not before they have put things in order."""
    objects, mesh = Part(), Part()
    running = served(objects, mesh)
    await objects.began.wait()
    await mesh.began.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert objects.ended
    assert mesh.ended


async def test_node_that_meets_nobody_runs_by_itself() -> None:
    """Until it is cancelled."""
    objects = Part()
    running = served(objects, None)
    await objects.began.wait()
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    assert objects.ended
