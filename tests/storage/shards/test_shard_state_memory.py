"""What applied states in memory do besides: a simulated machine loses power."""

from kvnode.core.objects.quorum_log import ORIGIN, Position
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from tests.storage.shards.states import all_rows, numbered, numbered_rows


async def test_loss_of_power_takes_back_what_came_after_the_checkpoint() -> None:
    """All that may be lost is, since a disk that is kind shows no mistake."""
    states = MemoryShardStates()
    state, other = states.open("a"), states.open("b")
    await state.apply(numbered(2))
    await state.checkpoint()
    await state.apply(numbered(2, first=3))
    await other.apply(numbered(2))

    states.lose_power()

    assert state.applied == Position(1, 2)
    assert all_rows(state) == numbered_rows(2)
    assert other.applied == ORIGIN
    assert all_rows(other) == []
    await state.apply(numbered(1, first=3))
    states.lose_power()
    assert all_rows(state) == numbered_rows(2)


async def test_loss_of_power_leaves_what_was_installed() -> None:
    """It was durable when it was told of."""
    state = MemoryShardStates().open("a")
    install = await state.install()
    await install.add(numbered_rows(3))
    await install.finish(Position(1, 3))
    await state.apply(numbered(1, first=4))

    state.lose_power()

    assert state.applied == Position(1, 3)
    assert all_rows(state) == numbered_rows(3)
