"""Sending a state, as seen by who receives it; on virtual time."""

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
from kvnode.core.objects.quorum_log import ORIGIN, QuorumLog
from kvnode.runtime.background import Background
from kvnode.runtime.shards.state import snapshot_sender
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.snapshot_sender import SnapshotSender
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.types import ReplicaId
from tests.storage.shards.states import numbered, numbered_rows

SHARD = "eu-1"
PEER = ReplicaId(2)
COUNT = 100


class Sending:
    """A sender of one state, and what it has sent."""

    def __init__(self) -> None:
        self.promised = 3
        self.ended = 0
        self.pages: list[SnapshotPage] = []
        self.background = Background(lambda: None)
        log = QuorumLog(ORIGIN, numbered(COUNT))
        self.applier = Applier(
            SHARD,
            MemoryShardStates(),
            lambda: log,
            on_applied=lambda _: None,
            on_lost=lambda: None,
        )
        self.applier.committed(COUNT)
        self.background.start(self.applier.run())
        drawn = iter(range(1, 100))
        self.sender = SnapshotSender(
            self._send,
            self.background,
            uniform=lambda _low, _high: next(drawn),
            promised=lambda _: self.promised,
            ended=self._ended,
        )

    def begin(self, epoch: int = 3) -> None:
        """Send the state to a peer."""
        self.sender.begin(SHARD, PEER, epoch, self.applier)

    def take(self, number: int, *, picture: int = 1) -> None:
        """Let the peer say that it has pages."""
        self.sender.heard(SHARD, PEER, PagesTaken(3, picture, number))

    def _send(self, peer: ReplicaId, shard: str, message: SnapshotMessage) -> None:
        assert (peer, shard) == (PEER, SHARD)
        assert isinstance(message, SnapshotPage)
        self.pages.append(message)

    def _ended(self, shard: str, receiver: ReplicaId) -> None:
        assert (shard, receiver) == (SHARD, PEER)
        self.ended += 1


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few rows."""
    monkeypatch.setattr(snapshot_sender, "SNAPSHOT_PAGE_BYTES_MAX", 300)


def simulated(main: Callable[[Sending], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on virtual time."""

    async def whole(_cluster: object) -> None:
        sending = Sending()
        await asyncio.sleep(0.01)
        await main(sending)
        await sending.background.end()

    run_simulated(whole)


def test_pages_hold_the_state_and_end_with_an_empty_one() -> None:
    """Each goes once to who takes them in time."""

    async def main(sending: Sending) -> None:
        sending.begin()
        while not sending.ended:
            await asyncio.sleep(0.01)
            sending.take(len(sending.pages))
        rows = [row for page in sending.pages for row in page.rows]
        assert rows == numbered_rows(COUNT)
        assert [page.number for page in sending.pages if not page.rows] == [
            len(sending.pages)
        ]
        assert {page.base.number for page in sending.pages} == {COUNT}

    simulated(main)


def test_pages_that_nobody_takes_come_again_from_the_first_missing() -> None:
    """And not for ever."""

    async def main(sending: Sending) -> None:
        sending.begin()
        await asyncio.sleep(0.1)
        sending.take(1)
        await asyncio.sleep(0.1)
        assert [page.number for page in sending.pages] == [1, 2, 3, 4, 5]
        await asyncio.sleep(1)
        assert [page.number for page in sending.pages[5:]] == [2, 3, 4, 5]
        await asyncio.sleep(30)
        assert sending.ended == 1

    simulated(main)


def test_state_of_an_epoch_that_has_passed_is_not_sent_on() -> None:
    """Nobody would take it."""

    async def main(sending: Sending) -> None:
        sending.begin()
        await asyncio.sleep(0.1)
        sent = len(sending.pages)
        sending.promised = 4
        sending.take(2)
        await asyncio.sleep(0.1)
        assert sending.ended == 1
        assert len(sending.pages) == sent

    simulated(main)


def test_state_that_is_asked_for_again_in_its_epoch_is_sent_once() -> None:
    """One way is enough."""

    async def main(sending: Sending) -> None:
        sending.begin()
        sending.begin()
        await asyncio.sleep(0.1)
        assert {page.picture for page in sending.pages} == {1}

    simulated(main)


def test_state_in_a_later_epoch_begins_anew_and_ends_once() -> None:
    """What was asked for first is over with it."""

    async def main(sending: Sending) -> None:
        sending.begin()
        await asyncio.sleep(0.1)
        sending.promised = 4
        sending.begin(epoch=4)
        sending.take(4, picture=1)
        await asyncio.sleep(0.1)
        assert [page.picture for page in sending.pages] == [1] * 4 + [2] * 4
        assert sending.ended == 0
        sending.take(NO_MORE_PAGES, picture=2)
        await asyncio.sleep(0.1)
        assert sending.ended == 1

    simulated(main)


def test_receiver_that_has_forgotten_pages_is_sent_no_more() -> None:
    """The picture has moved on; it must ask for another."""

    async def main(sending: Sending) -> None:
        sending.begin()
        await asyncio.sleep(0.1)
        sending.take(0)
        await asyncio.sleep(0.1)
        assert sending.ended == 0, "it has not had any yet"
        sending.take(2)
        sending.take(0)
        await asyncio.sleep(0.1)
        assert sending.ended == 1

    simulated(main)
