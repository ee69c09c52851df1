"""The objects of a node by itself, on real files."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from errno import EIO
from functools import partial
from pathlib import Path
from random import Random
from shutil import copytree, rmtree

import pytest

from kvnode.api.objects_port import Call
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Persist
from kvnode.core.objects.homes import region_of
from kvnode.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    NotLeaderError,
    RejectedError,
)
from kvnode.object_values import Value
from kvnode.objects import DurableObject, ObjectId
from kvnode.objects.locating import LOCATE
from kvnode.objects.telling import told_value
from kvnode.runtime.app import random_replica, wall_clock
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.opening import DIRECTORY, Site, open_alone
from kvnode.runtime.objects.ports import Alone, ObjectParts
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.types import ReplicaId


class Counter(DurableObject):
    """Counts."""

    async def increment(self) -> int:
        """Add one."""
        value: int = await self.storage.get("value", 0) + 1
        await self.storage.put("value", value)
        return value

    async def fail(self) -> None:
        """Raise, after having written."""
        msg = f"at {await self.increment()}"
        raise LookupError(msg)

    async def ring(self) -> None:
        """Set the alarm to now."""
        await self.storage.set_alarm(0)

    async def rung(self) -> bool:
        """Tell whether it has rung."""
        found: bool = await self.storage.get("rung", default=False)
        return found

    async def alarm(self) -> None:
        """Ring."""
        await self.storage.put("rung", value=True)


@asynccontextmanager
async def running(
    directory: Path, *, is_moved: bool = False, region: str = ""
) -> AsyncIterator[Objects]:
    """Yield objects that run in *directory*."""
    objects = open_alone(
        Site(
            directory,
            "here",
            {"Counter": Counter},
            NodeClock(wall_clock),
            Random(0),
            random_replica,
            is_moved,
            region=region,
        )
    )
    task = asyncio.create_task(objects.run())
    try:
        yield objects
    finally:
        task.cancel()
        await asyncio.wait([task])
        await objects.close()


async def call(objects: Objects, name: str, method: str, hint: str = "") -> Value:
    """Call a counter once its shard is led."""
    async with asyncio.timeout(20):
        while True:
            try:
                target = ObjectId.from_name("Counter", name)
                asked = Call(target, method, location_hint=hint)
                return await told_value(partial(objects.begin, asked))
            except NotLeaderError:
                await asyncio.sleep(0.05)


async def home(objects: Objects, name: str) -> str:
    """Return where a counter lives."""
    match await call(objects, name, LOCATE):
        case [str(shard), True]:
            return region_of(shard)
        case other:
            raise AssertionError(other)


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    """In each of many shards."""
    names = [f"n{n}" for n in range(20)]
    async with running(tmp_path) as objects:
        for name in names:
            for expected in (1, 2):
                assert await call(objects, name, "increment") == expected
        led = [each for each in objects.status() if each.is_led_here]
        assert len(led) == len(objects.status()) == 16
        assert sum(each.instances for each in led) == 20
        assert sum(each.committed for each in led) >= 40

    async with running(tmp_path) as objects:
        assert [await call(objects, name, "increment") for name in names] == [3] * 20


async def test_object_is_placed_in_the_region_of_the_node(tmp_path: Path) -> None:
    """It is found there whatever that is called later; other regions there are none."""
    async with running(tmp_path, region="west_1") as objects:
        assert await call(objects, "x", "increment", "west_1") == 1
        with pytest.raises(InvalidArgumentError, match="'east'; there are west_1"):
            await call(objects, "y", "increment", "east")
    async with running(tmp_path, region="south") as objects:
        assert await call(objects, "x", "increment", "south") == 2
        assert await home(objects, "x") == "west_1"
        with pytest.raises(InvalidArgumentError, match="'west_1'; there are south"):
            await call(objects, "y", "increment", "west_1")


async def test_node_without_a_region_places_nothing(tmp_path: Path) -> None:
    """Whoever asks is told that there are none."""
    async with running(tmp_path) as objects:
        with pytest.raises(InvalidArgumentError, match="'west'; there are none"):
            await call(objects, "x", "increment", "west")
        assert await call(objects, "x", "increment") == 1


async def test_alarm_rings_after_a_restart(tmp_path: Path) -> None:
    """It is in the log, and whoever leads next finds it."""
    async with running(tmp_path) as objects:
        await call(objects, "x", "ring")
    async with running(tmp_path) as objects, asyncio.timeout(20):
        while not await call(objects, "x", "rung"):  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.02)


async def test_copy_is_refused_unless_it_is_said_to_have_moved(tmp_path: Path) -> None:
    """Two nodes with one past would both go on from it."""
    original, elsewhere = tmp_path / "original", tmp_path / "elsewhere"
    async with running(original) as objects:
        await call(objects, "x", "increment")
    copytree(original / DIRECTORY, elsewhere / DIRECTORY)

    with pytest.raises(RejectedError, match="were copied"):
        async with running(elsewhere):
            pass

    rmtree(original)
    async with running(elsewhere, is_moved=True) as objects:
        assert await call(objects, "x", "increment") == 2
    async with running(elsewhere) as objects:
        assert await call(objects, "x", "increment") == 3


class FailingStore(MemoryLogStore):
    """Logs on a disk that has failed."""

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Fail."""
        raise OSError(EIO, f"the disk is gone, {len(turns)} turns are not on it")


class StuckAuthority:
    """An authority that answers for the first shard alone."""

    def __init__(self) -> None:
        self.held: Configuration | None = None

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held, or wait for ever."""
        if shard != "s000":
            await asyncio.Event().wait()
        return self.held

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired*."""
        assert (shard, expected) == ("s000", self.held)
        self.held = desired
        return desired

    async def close(self) -> None:
        """Do nothing."""


async def test_disk_that_fails_while_shards_are_founded_ends_them_with_its_error() -> (
    None
):
    """Whoever runs the node reads what has failed."""
    parts = ObjectParts(
        FailingStore(ReplicaId(1)),
        MemoryShardStates(),
        StuckAuthority(),
        Alone("here", ReplicaId(1)),
        founders=("here",),
    )
    objects = Objects(
        parts, {"Counter": Counter}, clock=NodeClock(wall_clock), rng=Random(0)
    )
    async with asyncio.timeout(20):
        with pytest.raises(OSError, match="the disk is gone"):
            await objects.run()
    await objects.close()


async def test_node_whose_authority_is_damaged_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    """It can be started again once the file is mended."""
    file = tmp_path / DIRECTORY / "authority.json"
    file.parent.mkdir()
    file.write_text("{")
    for _ in range(2):
        with pytest.raises(CorruptRecordError, match=r"authority\.json"):
            async with running(tmp_path):
                pass
    file.unlink()
    async with running(tmp_path) as objects:
        assert await call(objects, "x", "increment") == 1


async def test_nothing_is_left_running_once_objects_have_ended(tmp_path: Path) -> None:
    """A node may begin anew in the same process, over the same files."""
    before = asyncio.all_tasks()
    async with running(tmp_path) as objects:
        await call(objects, "x", "increment")
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    assert {task.get_name() for task in left if not task.done()} == set()
