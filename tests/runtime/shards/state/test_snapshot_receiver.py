"""Taking in a state, as seen by who sends it; on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode.core.objects.messages import (
    NO_MORE_PAGES,
    PagesTaken,
    SnapshotMessage,
    SnapshotPage,
)
from kvnode.core.objects.quorum_log import Position, QuorumLog
from kvnode.core.objects.state_reader import Row
from kvnode.runtime.background import Background
from kvnode.runtime.shards.state import snapshot_receiver
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.snapshot_receiver import SnapshotReceiver
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.types import ReplicaId
from tests.storage.shards.states import all_rows, numbered, numbered_rows

SHARD = "eu-1"
PEER, OTHER = map(ReplicaId, (2, 3))
BASE = Position(3, 6)


class Receiving:
    """A receiver, and what it has said."""

    def __init__(self) -> None:
        self.promised = 3
        self.said: list[tuple[ReplicaId, int, int]] = []
        self.arrived: list[tuple[ReplicaId, int, Position]] = []
        self.background = Background(lambda: None)
        self.states = MemoryShardStates()
        self.receiver = SnapshotReceiver(
            self._send,
            self.background,
            promised=lambda _: self.promised,
            arrived=self._arrived,
        )
        self.appliers: dict[str, Applier] = {}

    async def hear(
        self,
        number: int,
        rows: list[Row],
        *,
        sender: ReplicaId = PEER,
        picture: int = 1,
        epoch: int = 3,
        shard: str = SHARD,
    ) -> None:
        """Let a page arrive, and be taken in."""
        page = SnapshotPage(epoch, picture, number, BASE, tuple(rows))
        self.receiver.heard(shard, sender, page, await self.applier(shard))
        await asyncio.sleep(0.01)

    async def applier(self, shard: str) -> Applier:
        """Return what applies entries of a shard; there are none."""
        if shard not in self.appliers:
            applier = self.appliers[shard] = Applier(
                shard,
                self.states,
                QuorumLog,
                on_applied=lambda _: None,
                on_lost=lambda: None,
            )
            self.background.start(applier.run())
            await asyncio.sleep(0.01)
        return self.appliers[shard]

    def rows(self) -> list[Row]:
        """Return what the state has."""
        return all_rows(self.states.open(SHARD))

    def _send(self, peer: ReplicaId, _shard: str, message: SnapshotMessage) -> None:
        assert isinstance(message, PagesTaken)
        self.said.append((peer, message.picture, message.number))

    def _arrived(
        self, _shard: str, sender: ReplicaId, epoch: int, base: Position
    ) -> None:
        self.arrived.append((sender, epoch, base))


def simulated(main: Callable[[Receiving], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on virtual time."""

    async def whole(_cluster: object) -> None:
        receiving = Receiving()
        await main(receiving)
        await receiving.background.end()

    run_simulated(whole)


def test_pages_are_taken_in_their_order_and_put_in_place_as_a_whole() -> None:
    """What comes twice is harmless, what comes too early has to come again."""

    async def main(receiving: Receiving) -> None:
        rows = numbered_rows(6)
        await receiving.hear(1, rows[:2])
        await receiving.hear(3, rows[4:])
        await receiving.hear(2, rows[2:4])
        await receiving.hear(2, rows[2:4])
        await receiving.hear(3, rows[4:])
        assert receiving.rows() == []
        await receiving.hear(4, [])

        numbers = [number for _, _, number in receiving.said]
        assert numbers == [1, 1, 2, 2, 3, NO_MORE_PAGES]
        assert receiving.rows() == rows
        assert receiving.arrived == [(PEER, 3, BASE)]

    simulated(main)


def test_pages_of_a_picture_that_is_not_known_are_told_of() -> None:
    """Who sends them goes on for nothing."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(2, numbered_rows(1))
        await receiving.hear(1, numbered_rows(1), epoch=2)
        assert receiving.said == [(PEER, 1, 0), (PEER, 1, 0)]

    simulated(main)


def test_state_that_is_here_is_not_taken_in_again() -> None:
    """As after a crash between the state and its log."""

    async def main(receiving: Receiving) -> None:
        state = receiving.states.open(SHARD)
        await state.apply(numbered(8, epoch=3))
        await receiving.hear(1, [(b"other", b"")])
        assert receiving.said == [(PEER, 1, NO_MORE_PAGES)]
        assert receiving.arrived == [(PEER, 3, BASE)]
        state.lose_power()
        assert receiving.rows() == numbered_rows(8)

    simulated(main)


def test_log_may_bring_everything_while_a_state_is_on_its_way() -> None:
    """Then the rest of it is not needed."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, [(b"other", b"")])
        await receiving.states.open(SHARD).apply(numbered(8, epoch=3))
        await receiving.hear(2, [(b"other2", b"")])
        assert receiving.said[-1] == (PEER, 1, NO_MORE_PAGES)
        assert receiving.rows() == numbered_rows(8)

    simulated(main)


def test_state_of_an_epoch_that_has_passed_is_given_up() -> None:
    """Another leads, who may send its own."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, numbered_rows(2))
        receiving.promised = 4
        await receiving.hear(2, numbered_rows(2))
        await receiving.hear(3, [])
        assert receiving.arrived == []
        assert receiving.said == [(PEER, 1, 1), (PEER, 1, 0)]

    simulated(main)


def test_sender_that_begins_anew_takes_its_own_place() -> None:
    """Pages of two pictures are not mixed."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, [(b"old", b"")])
        await receiving.hear(1, numbered_rows(2), picture=2)
        await receiving.hear(2, [(b"old2", b"")])
        await receiving.hear(2, [], picture=2)
        assert receiving.rows() == numbered_rows(2)

    simulated(main)


def test_another_sender_waits_unless_its_epoch_is_later() -> None:
    """Two would chase each other away."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, [(b"old", b"")])
        await receiving.hear(1, numbered_rows(2), sender=OTHER)
        assert receiving.said == [(PEER, 1, 1)]
        await receiving.hear(1, numbered_rows(2), sender=OTHER, epoch=4, picture=2)
        await receiving.hear(2, [], sender=OTHER, epoch=4, picture=2)
        assert receiving.rows() == numbered_rows(2)
        assert receiving.arrived == [(OTHER, 4, BASE)]

    simulated(main)


def test_sender_that_is_silent_is_given_up() -> None:
    """Another gets its place."""

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, [(b"old", b"")])
        await asyncio.sleep(snapshot_receiver.SILENCE_SECONDS_MAX + 1)
        await receiving.hear(1, numbered_rows(2), sender=OTHER)
        assert receiving.said[-1] == (OTHER, 1, 1)

    simulated(main)


def test_few_states_are_taken_in_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a file that grows beside the state."""
    monkeypatch.setattr(snapshot_receiver, "RECEIVING_MAX", 1)

    async def main(receiving: Receiving) -> None:
        await receiving.hear(1, numbered_rows(2))
        await receiving.hear(1, numbered_rows(2), shard="eu-2")
        assert len(receiving.said) == 1
        await receiving.hear(2, [])
        await receiving.hear(1, numbered_rows(2), shard="eu-2")
        assert len(receiving.said) == 3

    simulated(main)
