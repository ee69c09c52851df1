"""One state and its log, and what must not be taken for granted of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kvnode.core.objects.quorum_log import ORIGIN, Position, QuorumLog
from kvnode.errors import RejectedError, UnavailableError
from kvnode.runtime.shards.state.applier import Applier
from kvnode.storage.shards.memory_shard_state import (
    MemoryShardState,
    MemoryShardStates,
)
from kvnode.storage.shards.state_port import ShardState
from tests.storage.shards.states import all_rows, numbered, numbered_rows

SHARD = "eu-1"


class Refusing(MemoryShardStates):
    """States that a later version wrote."""

    def open(self, shard: str) -> MemoryShardState:
        """Refuse."""
        msg = f"{shard} has format 9"
        raise RejectedError(msg)


@asynccontextmanager
async def running(
    log: QuorumLog, *, states: MemoryShardStates | None = None
) -> AsyncIterator[tuple[Applier, MemoryShardState]]:
    """An applier at work, and its state."""
    states = states or MemoryShardStates()
    lost: list[bool] = []
    applier = Applier(
        SHARD,
        states,
        lambda: log,
        on_applied=lambda _: None,
        on_lost=lambda: lost.append(True),
    )
    task = asyncio.create_task(applier.run())
    await asyncio.sleep(0)
    yield applier, MemoryShardStates.open(states, SHARD)
    assert lost or not applier.is_lost, "it is told"
    task.cancel()


async def applied(state: ShardState, count: int) -> None:
    """Let *state* have the first entries."""
    await state.apply(numbered(count))


async def test_state_that_lacks_what_has_left_the_log_is_lost() -> None:
    """As one that was deleted, or came out of a backup."""
    log = QuorumLog(Position(1, 5), numbered(3, first=6))
    async with running(log) as (applier, state):
        applier.committed(8)
        await asyncio.sleep(0)

        assert applier.is_lost
        assert "ends with entry 0, and the log begins behind 5" in applier.fault
        assert all_rows(state) == []


async def test_state_of_another_log_is_lost() -> None:
    """What it has is not what was committed."""
    states = MemoryShardStates()
    await applied(states.open(SHARD), 3)
    log = QuorumLog(ORIGIN, numbered(5, epoch=2))
    async with running(log, states=states) as (applier, _):
        applier.committed(5)
        await asyncio.sleep(0)

        assert "entry 3 that it has is not that of the log" in applier.fault


async def test_state_may_be_ahead_of_a_log() -> None:
    """A crash takes what the others had committed already; then it comes again."""
    states = MemoryShardStates()
    await applied(states.open(SHARD), 5)
    log = QuorumLog(ORIGIN, numbered(3))
    async with running(log, states=states) as (applier, state):
        applier.committed(3)
        await asyncio.sleep(0)
        assert state.applied.number == 5
        log.append(log.last, numbered(4, first=4))
        applier.committed(7)
        await asyncio.sleep(0)

        assert not applier.is_lost
        assert all_rows(state) == numbered_rows(7)


async def test_state_of_a_later_version_is_left_alone() -> None:
    """It can neither be read nor replaced."""
    async with running(QuorumLog(), states=Refusing()) as (applier, _):
        await asyncio.sleep(0)
        assert applier.is_lost
        assert "has format 9" in applier.fault
        with pytest.raises(UnavailableError, match="has format 9"):
            await applier.begin_install()


async def test_state_does_not_go_back_to_an_older_one() -> None:
    """What is behind it may have left the log."""
    log = QuorumLog(ORIGIN, numbered(8))
    async with running(log) as (applier, state):
        install = await applier.begin_install()
        await install.add(numbered_rows(4))
        applier.committed(8)
        await asyncio.sleep(0)
        await applier.finish_install(install, Position(1, 4))

        assert state.applied.number == 8
        state.lose_power()
        assert state.applied.number == 8, "it is as durable as the other would be"


async def test_state_that_arrives_takes_the_place_of_a_lost_one() -> None:
    """And goes on from there."""
    log = QuorumLog(Position(1, 5), numbered(3, first=6))
    async with running(log) as (applier, state):
        applier.committed(8)
        await asyncio.sleep(0)
        install = await applier.begin_install()
        await install.add(numbered_rows(6))
        await applier.finish_install(install, Position(1, 6))
        await asyncio.sleep(0)

        assert not applier.is_lost
        assert applier.fault == ""
        assert all_rows(state) == numbered_rows(8)
