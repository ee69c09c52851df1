"""A delta is one snapshot, a few pages ahead of the peer, and ends with it (D1)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import repeat

import pytest

from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.replication import delta
from kvnode.core.replication.catch_up import SILENCE_MAX
from kvnode.core.replication.messages import DeltaPage, DeltaRequest
from kvnode.core.versions.store_view import Commit, Write
from kvnode.core.versions.version import Entry
from kvnode.errors import CorruptRecordError, DamagedRecordError
from kvnode.runtime import delta_server
from kvnode.runtime.delta_server import (
    PAUSE_SECONDS_MAX,
    WINDOW_PAGES,
    DeltaServer,
    _Deference,
)
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import EntryKey, ReplicaId
from tests.runtime.nodes import (
    PEER,
    THIRD,
    GatedStore,
    RecordingTransport,
    at,
)
from tests.storage.stores import OWN, covering, register

ENTRIES = 3 * WINDOW_PAGES


class Serving:
    """A delta server over a store with ENTRIES entries, one a page."""

    def __init__(self) -> None:
        log: list[str] = []
        self.store = GatedStore(log)
        self.transport = RecordingTransport(log)
        self.server = DeltaServer(
            self.store, self.transport, page_bytes=1, sessions_max=2
        )

    async def fill(self) -> None:
        """Put the entries."""
        writes = (
            Write(at(b"%d" % n), register(n), None) for n in range(1, ENTRIES + 1)
        )
        await self.store.apply(Commit(covering(ENTRIES), tuple(writes)))

    def pages(self, peer: ReplicaId = PEER) -> list[DeltaPage]:
        """Return what was sent to *peer*."""
        return [
            m for p, m in self.transport.sent if p == peer and isinstance(m, DeltaPage)
        ]

    @property
    def snapshots(self) -> int:
        """Return how many snapshots are open."""
        return self.store._image.holders

    async def settled(self) -> None:
        """Let everything happen that can."""
        for _ in range(2 * ENTRIES):
            await asyncio.sleep(0)


async def _one_turn(_self: _Deference, _took: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """A filled store and its server, closed in the end; it pauses for nobody."""
    monkeypatch.setattr(_Deference, "others_first", _one_turn)  # this machine is busy
    serving = Serving()
    await serving.fill()
    yield serving
    serving.server.close()
    await serving.settled()


async def test_server_sends_a_window_and_waits(serving: Serving) -> None:
    """What is in flight is bounded whatever is lacking (D5)."""
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()
    assert len(serving.pages()) == WINDOW_PAGES

    serving.server.pace(PEER, 1, 2, abandoned=False)
    await serving.settled()

    assert len(serving.pages()) == WINDOW_PAGES + 3


async def test_server_sends_all_of_one_snapshot(serving: Serving) -> None:
    """Also what was superseded meanwhile; with the clock of that snapshot."""
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()
    newer = register(ENTRIES + 1, hlc=1 << 41)
    last = at(b"%d" % ENTRIES)
    write = Write(last, newer, register(ENTRIES).version)
    await serving.store.apply(Commit(covering(ENTRIES + 1), (write,)))

    for number in range(ENTRIES):
        serving.server.pace(PEER, 1, number, abandoned=False)
        await serving.settled()

    pages = serving.pages()
    assert [page.number for page in pages] == list(range(ENTRIES))
    assert [page.last for page in pages] == [False] * (ENTRIES - 1) + [True]
    assert {e.key for page in pages for e in page.entries} == {
        at(b"%d" % n) for n in range(1, ENTRIES + 1)
    }
    assert {page.snapshot_clock for page in pages} == {covering(ENTRIES).clock}
    assert serving.snapshots == 0


class BusyLoop:
    """A loop whose turns take as long as the test says, and the time it shows."""

    def __init__(self, turns: Iterator[float]) -> None:
        self.time = 0.0
        self._turns = turns

    def now(self) -> float:
        """Return the time in seconds."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Come back after a turn, and not before so many seconds."""
        self.time += max(seconds, next(self._turns))


@pytest.mark.parametrize(
    ("turns", "waited"),
    [
        ([0.0, 0.00001], 0.00101),  # nobody else wants the time
        ([0.0, 0.0002, 0.0, 0.00001], 0.00221),  # until nobody does
        ([0.0, 0.0009, 0.0, 0.0009], 0.0038),  # a quarter is its own
        ([9.0, 9.0], 18.0),  # a turn is a turn
    ],
)
async def test_delta_gives_way_to_others(turns: list[float], waited: float) -> None:
    """A peer that was away for long can wait; clients cannot (D7)."""
    loop = BusyLoop(iter(turns))
    await _Deference(loop.now, loop.sleep).others_first(0.001)
    assert loop.time == pytest.approx(waited)


@pytest.mark.parametrize("turn", [0.0005, 0.002, 0.01, 0.1])
async def test_delta_has_its_quarter_of_a_busy_node(turn: float) -> None:
    """Also where a turn takes much longer than a slice, up to a page in a turn."""
    loop = BusyLoop(repeat(turn))
    deference = _Deference(loop.now, loop.sleep)
    slices = 1000
    for _ in range(slices):
        loop.time += 0.001
        await deference.others_first(0.001)

    share = slices * 0.001 / loop.time
    bound = 0.006 / (0.006 + 2 * turn)  # five slices more than one, after two turns
    assert min(0.2, 0.9 * bound) <= share <= 0.26


@pytest.mark.parametrize("sessions", [1, 2, 3])
async def test_deltas_share_their_quarter_of_a_busy_node(sessions: int) -> None:
    """D10: a mass restart is no storm for the clients of who serves them all."""
    loop = BusyLoop(repeat(0.0005))
    deference = _Deference(loop.now, loop.sleep, lambda: sessions)
    for _ in range(100):
        loop.time += 0.001
        await deference.others_first(0.001)
        deference.page_sent()

    assert sessions * 100 * 0.001 / loop.time == pytest.approx(0.25, rel=0.1)


async def test_server_lets_deltas_share(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how many there are just now."""
    counts: list[int] = []

    async def count(self: _Deference, _took: float) -> None:
        counts.append(self._sessions())
        await asyncio.sleep(0)

    monkeypatch.setattr(_Deference, "others_first", count)
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    serving.server.serve(THIRD, DeltaRequest(1, EMPTY))
    await asyncio.sleep(0)
    serving.server.end(THIRD)
    await asyncio.sleep(0)

    assert counts == [2, 2, 1]


async def test_peer_gets_a_page_before_it_gives_up() -> None:
    """However long slices take: a delta that is begun again and again never ends."""
    loop = BusyLoop(repeat(0.2))
    deference = _Deference(loop.now, loop.sleep)
    for _ in range(2):
        began = loop.time
        for _ in range(delta.PAGE_ENTRIES_MAX // delta.SLICE_ROWS_MAX):
            await deference.others_first(0.7)  # a disk that has to be waited for
        await deference.pause(60)  # narrow links
        waited = loop.time - began
        assert PAUSE_SECONDS_MAX <= waited < PAUSE_SECONDS_MAX + 2
        deference.page_sent()
    assert PAUSE_SECONDS_MAX * 2 * 1000 <= SILENCE_MAX


async def test_busy_node_leaves_time_between_pages(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as others keep the loop for longer than a page does."""

    async def pause(_self: _Deference, _took: float) -> None:
        await asyncio.sleep(0.02)

    monkeypatch.setattr(_Deference, "others_first", pause)

    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()
    assert len(serving.pages()) == 1
    await asyncio.sleep(0.05)

    assert len(serving.pages()) in {2, 3}


async def test_slices_that_fill_no_page_are_given_way_to(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is made in several turns of the loop."""
    monkeypatch.setattr(delta, "SLICE_ROWS_MAX", 1)
    server = DeltaServer(
        serving.store, serving.transport, page_bytes=10**6, sessions_max=2
    )
    server.serve(PEER, DeltaRequest(1, EMPTY))
    for _ in range(ENTRIES - 1):
        await asyncio.sleep(0)
    assert not serving.pages()

    await serving.settled()
    assert [len(page.entries) for page in serving.pages()] == [ENTRIES]
    server.close()


async def test_server_refuses_more_sessions_than_it_may_have(serving: Serving) -> None:
    """D10: a mass restart is no storm; who is refused asks again."""
    others = [ReplicaId(0x10), ReplicaId(0x11)]
    for peer in others:
        serving.server.serve(peer, DeltaRequest(1, EMPTY))

    serving.server.serve(PEER, DeltaRequest(7, EMPTY))

    (page,) = serving.pages()
    assert page.session == 7
    assert page.last
    assert page.refused == "2 deltas are being served; ask again later"
    assert serving.snapshots == 2
    serving.server.end(others[0])
    serving.server.serve(PEER, DeltaRequest(8, EMPTY))
    await serving.settled()
    assert serving.pages()[-1].refused == ""


async def test_newer_session_of_a_peer_replaces_its_older_one(serving: Serving) -> None:
    """A peer asks again when it has given up: it must not use up two places."""
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()
    serving.server.serve(PEER, DeltaRequest(2, EMPTY))
    await serving.settled()

    assert serving.snapshots == 1
    serving.server.pace(PEER, 1, 99, abandoned=False)
    serving.server.pace(PEER, 1, 0, abandoned=True)
    await serving.settled()
    assert [page.session for page in serving.pages()] == (
        [1] * WINDOW_PAGES + [2] * WINDOW_PAGES
    )


async def test_abandoned_session_releases_its_snapshot(serving: Serving) -> None:
    """An open snapshot keeps old pages of the store from reuse."""
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    serving.server.serve(THIRD, DeltaRequest(1, EMPTY))
    await serving.settled()

    serving.server.pace(PEER, 1, 0, abandoned=True)

    assert serving.snapshots == 1
    sent = len(serving.pages())
    await serving.settled()
    assert len(serving.pages()) == sent


async def test_peer_that_goes_quiet_loses_its_session(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may ask again; the snapshot is not kept for it."""
    monkeypatch.setattr(delta_server, "QUIET_SECONDS_MAX", 0)
    caplog.set_level(logging.INFO)
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))

    await serving.settled()

    assert serving.snapshots == 0
    assert "quiet" in caplog.text


async def test_damaged_store_ends_the_session_and_is_reported(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The snapshot is released, other peers are served on, an operator learns of it."""
    entry = MemorySnapshot.entry

    def damaged(snapshot: MemorySnapshot, key: EntryKey) -> Entry | None:
        if key == at(b"3"):
            message = "the store's pages are damaged"
            raise CorruptRecordError(message)
        return entry(snapshot, key)

    monkeypatch.setattr(MemorySnapshot, "entry", damaged)
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()

    assert not any(page.last for page in serving.pages())
    assert serving.snapshots == 0
    assert "pages are damaged" in caplog.text


async def test_close_releases_everything(serving: Serving) -> None:
    """The store can be closed after it."""
    serving.server.serve(PEER, DeltaRequest(1, EMPTY))
    await serving.settled()
    serving.server.serve(THIRD, DeltaRequest(1, EMPTY))

    serving.server.close()

    assert serving.snapshots == 0


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> set[EntryKey]:
    """Keys whose records are damaged while they are in it."""
    keys: set[EntryKey] = set()
    entry = MemorySnapshot.entry

    def read(snapshot: MemorySnapshot, key: EntryKey) -> Entry | None:
        if key in keys:
            message = "the record fails its checksum"
            raise DamagedRecordError(message, key)
        return entry(snapshot, key)

    monkeypatch.setattr(MemorySnapshot, "entry", read)
    return keys


async def deliver(serving: Serving, session: int) -> list[DeltaPage]:
    """Serve a whole delta; return its pages."""
    before = len(serving.pages())
    serving.server.serve(PEER, DeltaRequest(session, EMPTY))
    for number in range(ENTRIES):
        await serving.settled()
        serving.server.pace(PEER, session, number, abandoned=False)
    await serving.settled()
    return serving.pages()[before:]


async def test_damaged_record_ends_a_delta_with_a_refusal(
    serving: Serving, damaged: set[EntryKey]
) -> None:
    """The node is told, to heal it; the peer asks again later."""
    told: list[EntryKey] = []
    serving.server.attach(told.append)
    damaged.add(at(b"3"))

    pages = await deliver(serving, 1)

    assert pages[-1].refused
    assert told == [at(b"3")]
    assert serving.snapshots == 0


async def test_healed_record_is_served_as_ever(
    serving: Serving, damaged: set[EntryKey]
) -> None:
    """And nothing is remembered of it."""
    damaged.add(at(b"3"))
    await deliver(serving, 1)
    damaged.clear()

    pages = await deliver(serving, 2)

    assert len(pages) == ENTRIES
    assert pages[-1].snapshot_clock == covering(ENTRIES).clock
    assert not any(page.refused for page in pages)


async def test_delta_does_not_wait_for_a_damaged_record_for_ever(
    serving: Serving, damaged: set[EntryKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is sent without it, and claims nothing of it (I1)."""
    monkeypatch.setattr(delta_server, "PATIENCE_SECONDS", 0)
    damaged.add(at(b"3"))
    await deliver(serving, 1)

    pages = await deliver(serving, 2)

    assert len(pages) == ENTRIES - 1
    assert pages[-1].last
    assert not pages[-1].refused
    assert pages[-1].snapshot_clock == covering(ENTRIES).clock.without(OWN, 3, 3)


async def test_bootstraps_are_paced_and_deltas_are_not(serving: Serving) -> None:
    """D10: filling a new node must not take the link from those that serve."""
    paced = DeltaServer(
        serving.store,
        serving.transport,
        page_bytes=1,
        sessions_max=2,
        bootstrap_bytes_per_second=1,
    )
    paced.serve(PEER, DeltaRequest(1, EMPTY, whole=True))
    paced.serve(THIRD, DeltaRequest(1, EMPTY))
    await serving.settled()

    assert len(serving.pages(PEER)) == 1
    assert len(serving.pages(THIRD)) == WINDOW_PAGES
    paced.close()
