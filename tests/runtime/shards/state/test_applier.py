"""One state and its log, and what must not be taken for granted of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position, QuorumLog
from kvnode.errors import RejectedError, UnavailableError
from kvnode.runtime.shards.state import applier as applier_module
from kvnode.runtime.shards.state.applier import Applier
from kvnode.storage.shards.memory_shard_state import (
    MemoryShardState,
    MemoryShardStates,
)
from kvnode.storage.shards.state_port import ShardState
from tests.jepsen_like.virtual_time import run_virtually
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
    await gone_on()
    yield applier, MemoryShardStates.open(states, SHARD)
    assert lost or not applier.is_lost, "it is told"
    task.cancel()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is there be applied in the next few turns of the loop."""
    monkeypatch.setattr(applier_module, "APPLY_PAUSE_SECONDS", 0.0)


async def gone_on() -> None:
    """Let the applier go on for as long as it does not wait."""
    for _ in range(4):
        await asyncio.sleep(0)


async def applied(state: ShardState, count: int) -> None:
    """Let *state* have the first entries."""
    await state.apply(numbered(count))


async def test_state_that_lacks_what_has_left_the_log_is_lost() -> None:
    """As one that was deleted, or came out of a backup."""
    log = QuorumLog(Position(1, 5), numbered(3, first=6))
    async with running(log) as (applier, state):
        applier.committed(8)
        await gone_on()

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
        await gone_on()

        assert "entry 3 that it has is not that of the log" in applier.fault


async def test_state_may_be_ahead_of_a_log() -> None:
    """A crash takes what the others had committed already; then it comes again."""
    states = MemoryShardStates()
    await applied(states.open(SHARD), 5)
    log = QuorumLog(ORIGIN, numbered(3))
    async with running(log, states=states) as (applier, state):
        applier.committed(3)
        await gone_on()
        assert state.applied.number == 5
        log.append(log.last, numbered(4, first=4))
        applier.committed(7)
        await gone_on()

        assert not applier.is_lost
        assert all_rows(state) == numbered_rows(7)


async def test_state_of_a_later_version_is_left_alone() -> None:
    """It can neither be read nor replaced."""
    async with running(QuorumLog(), states=Refusing()) as (applier, _):
        await gone_on()
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
        await gone_on()
        await applier.finish_install(install, Position(1, 4))

        assert state.applied.number == 8
        state.lose_power()
        assert state.applied.number == 8, "it is as durable as the other would be"


async def test_state_that_arrives_takes_the_place_of_a_lost_one() -> None:
    """And goes on from there."""
    log = QuorumLog(Position(1, 5), numbered(3, first=6))
    async with running(log) as (applier, state):
        applier.committed(8)
        await gone_on()
        install = await applier.begin_install()
        await install.add(numbered_rows(6))
        await applier.finish_install(install, Position(1, 6))
        await gone_on()

        assert not applier.is_lost
        assert applier.fault == ""
        assert all_rows(state) == numbered_rows(8)


class Counting(MemoryShardStates):
    """A state that counts how often entries are applied to it."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def open(self, shard: str) -> MemoryShardState:
        """Open it; what it does is counted."""
        state = super().open(shard)
        apply = state.apply

        async def counted(entries: Sequence[LogEntry]) -> None:
            self.times += 1
            await apply(entries)

        state.apply = counted  # type: ignore[method-assign]
        return state


def test_entries_that_come_during_a_pause_are_applied_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first at once: who takes over waits for what there is."""
    monkeypatch.setattr(applier_module, "APPLY_PAUSE_SECONDS", 0.02)

    async def scenario() -> None:
        states = Counting()
        async with running(QuorumLog(ORIGIN, numbered(8)), states=states) as (
            applier,
            _,
        ):
            await asyncio.sleep(1)
            for number in range(1, 9):
                applier.committed(number)
                await asyncio.sleep(0.001)
            assert (states.times, applier.applied.number) == (1, 1)
            await asyncio.sleep(0.02)
            assert (states.times, applier.applied.number) == (2, 8)

    run_virtually(scenario())


def test_entries_for_which_somebody_waits_do_not_gather(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shard that has just got a leader serves once it has all there ever was."""
    monkeypatch.setattr(applier_module, "APPLY_PAUSE_SECONDS", 60.0)

    async def scenario() -> None:
        async with running(QuorumLog(ORIGIN, numbered(8))) as (applier, _):
            await asyncio.sleep(61)
            applier.committed(4)
            await asyncio.sleep(1)
            applier.committed(8)
            await asyncio.sleep(1)
            assert applier.applied.number == 4
            applier.hurry()
            await asyncio.sleep(1)
            assert applier.applied.number == 8

    run_virtually(scenario())
