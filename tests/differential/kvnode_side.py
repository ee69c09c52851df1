"""Scripts on objects of a node by itself, on real files."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from kvnode.api.objects_port import Call
from kvnode.errors import KvError
from kvnode.objects import ObjectId
from kvnode.objects.telling import told_value
from kvnode.runtime.app import random_replica, wall_clock
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects.classes import load_classes
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.opening import Site, open_alone

logger = logging.getLogger(__name__)

CLASS: Final = "tests.differential.interpreter:Interpreter"
LED_SECONDS: Final = 20.0


class KvnodeSide:
    """Runs scripts here."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def epochs(self) -> list[int]:
        """Return in which epoch each shard is led, -1 if it is not."""
        return [
            shard.epoch if shard.is_led_here else -1 for shard in self._objects.status()
        ]

    async def at_once(self, name: str, scripts: Sequence[list[Any]]) -> list[Any]:
        """Begin the calls of an object in their order; return the trace of each."""
        target = ObjectId.from_name("Interpreter", name)
        calls = [asyncio.create_task(self._do(target, script)) for script in scripts]
        return [await call for call in calls]

    async def _do(self, target: ObjectId, script: list[Any]) -> Any:  # noqa: ANN401 -- a trace
        try:
            call = Call(target, "do", (script,))
            return await told_value(partial(self._objects.begin, call))
        except KvError as error:
            logger.info("%s has failed: %r", script, error)
            return "raised"


@asynccontextmanager
async def kvnode_side(directory: Path) -> AsyncIterator[KvnodeSide]:
    """Yield a node in *directory* that leads all of its shards."""
    site = Site(
        directory,
        "here",
        load_classes([CLASS]),
        NodeClock(wall_clock),
        Random(0),
        random_replica,
        is_moved=False,
    )
    objects = open_alone(site)
    task = asyncio.create_task(objects.run())
    try:
        async with asyncio.timeout(LED_SECONDS):
            while not all(shard.is_led_here for shard in objects.status()):  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.01)
        yield KvnodeSide(objects)
    finally:
        task.cancel()
        await asyncio.wait([task])
        await objects.close()
