"""What of a log may go, and what is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, QuorumLog
from kvnode.runtime.shards.state import compaction
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.compaction import Compaction
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from tests.storage.shards.states import numbered

SHARD = "eu-1"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that are cut soon."""
    monkeypatch.setattr(compaction, "KEPT_ENTRIES", 20)
    monkeypatch.setattr(compaction, "CHECKPOINT_ENTRIES", 40)
    monkeypatch.setattr(compaction, "STEP_ENTRIES", 15)


@asynccontextmanager
async def applied(
    entries: list[LogEntry],
) -> AsyncIterator[tuple[QuorumLog, Compaction]]:
    """A log of which all is committed and applied."""
    log = QuorumLog(ORIGIN, entries)
    done = asyncio.Event()

    def tell(number: int) -> None:
        if number == len(entries):
            done.set()

    lost: Callable[[], None] = lambda: None  # noqa: E731 -- nobody is to be told
    applier = Applier(
        SHARD, MemoryShardStates(), lambda: log, on_applied=tell, on_lost=lost
    )
    running = asyncio.create_task(applier.run())
    applier.committed(len(entries))
    await done.wait()
    yield log, Compaction(applier, lambda: log)
    running.cancel()


async def test_log_is_cut_in_steps_down_to_the_newest_entries() -> None:
    """A turn must not delete so many that others wait for it."""
    async with applied(numbered(60)) as (log, cutting):
        assert cutting.cut(60, None) == 0, "nothing is durable yet"
        assert cutting.is_due
        await cutting.checkpoint()
        cuts = []
        while number := cutting.cut(60, None):
            cuts.append(number)
            log.forget(number)

        assert cuts == [15, 30, 40]
        assert not cutting.is_due


async def test_checkpoint_is_not_due_before_there_is_something_to_gain() -> None:
    """It waits for the disk."""
    async with applied(numbered(39)) as (_, cutting):
        assert not cutting.is_due


async def test_large_entries_are_cut_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten that are large weigh as much as a thousand that are small."""
    entries = numbered(14, first=100)
    size = sum(entry.size_bytes for entry in entries[:10])
    monkeypatch.setattr(compaction, "KEPT_BYTES", size)
    monkeypatch.setattr(compaction, "CHECKPOINT_BYTES", size)
    async with applied(entries) as (_, cutting):
        assert cutting.is_due
        await cutting.checkpoint()
        assert not cutting.is_due
        assert cutting.cut(14, None) == 4


async def test_log_is_not_cut_beyond_what_is_known_to_be_committed() -> None:
    """After a start the state may know more than the replica does."""
    async with applied(numbered(60)) as (_, cutting):
        await cutting.checkpoint()
        assert cutting.cut(7, None) == 7
        assert cutting.cut(0, None) == 0


async def test_log_is_not_cut_beyond_what_the_state_has() -> None:
    """It may be far behind the log."""
    async with applied(numbered(60)) as (log, cutting):
        log.append(log.last, numbered(200, first=61))
        await cutting.checkpoint()
        log.forget(50)
        assert cutting.cut(260, None) == 60


async def test_log_behind_a_picture_is_kept_until_it_is_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A receiver that is slow for ever must not fill the disk."""
    async with applied(numbered(60)) as (_, cutting):
        await cutting.checkpoint()
        assert cutting.cut(60, 5) == 5
        monkeypatch.setattr(compaction, "HELD_ENTRIES_MAX", 60)
        assert cutting.cut(60, 5) == 15
