"""The conflict log: what lost, by key or page by page, for a day (R4)."""

import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api import reads
from kvnode.core.versions.store_view import Commit, Write
from kvnode.core.versions.version import Entry
from kvnode.limits import CONFLICT_AGE_MILLIS_MAX
from kvnode.types import HlcTimestamp, Millis
from tests.api.services import Api
from tests.runtime.nodes import NOW, PEER, at, foreign


async def _ask(api: Api, request: pb.ConflictsRequest) -> pb.ConflictsReply:
    result = await api.start(pb.Operation(id=7, conflicts=request))
    assert result.WhichOneof("kind") == "conflicts", result
    return result.conflicts


def _losing(seq: int, value: bytes) -> Entry:
    """Return PEER's write that knows of nobody's and loses."""
    entry = foreign(seq, value)
    return entry._replace(version=entry.version._replace(hlc=HlcTimestamp(seq)))


async def _conflict(api: Api, key: bytes, seq: int, value: bytes = b"theirs") -> None:
    await api.write(key, b"mine")
    await api.hear(key, _losing(seq, value))


async def test_loser_is_shown_with_who_wrote_it_and_who_won(api: Api) -> None:
    """Nothing of it is gone; a reader of the key sees the winner alone."""
    await _conflict(api, b"k", 1)
    reply = await _ask(api, pb.ConflictsRequest(key=b"k"))

    (conflict,) = reply.conflicts
    assert reply.complete
    assert reply.total_ever == 1
    assert (conflict.namespace, conflict.key) == ("default", b"k")
    assert (conflict.value, conflict.type) == (b"theirs", pb.VALUE_TYPE_REGISTER)
    assert (conflict.replica, conflict.noticed_at_ms) == (PEER, NOW)
    winner = await api.get(b"k")
    assert winner.value == b"mine"
    assert conflict.winner_version == winner.version


async def test_write_that_the_key_holds_again_has_not_lost(api: Api) -> None:
    """What it had lost to is gone with a store that started over (G2b)."""
    await _conflict(api, b"k", 1)
    with api.node.driver.snapshot() as view:
        stored = view.entry(at(b"k"))
    assert stored is not None
    await api.node.store.apply(
        Commit(
            api.node.driver.committed_state,
            (Write(at(b"k"), _losing(1, b"theirs"), stored.version),),
        )
    )

    for request in (pb.ConflictsRequest(key=b"k"), pb.ConflictsRequest()):
        reply = await _ask(api, request)
        assert not reply.conflicts
        assert reply.complete


async def test_key_without_conflicts_has_an_empty_log(api: Api) -> None:
    """And so has one that was written in turn."""
    await api.write(b"k")
    await api.write(b"k", b"newer")
    reply = await _ask(api, pb.ConflictsRequest(key=b"k"))
    assert (len(reply.conflicts), reply.complete) == (0, True)


async def test_conflict_is_shown_for_a_day(api: Api) -> None:
    """The counter goes on for ever."""
    await _conflict(api, b"k", 1)
    api.node.clock.now = Millis(NOW + CONFLICT_AGE_MILLIS_MAX + 1)

    for request in (pb.ConflictsRequest(key=b"k"), pb.ConflictsRequest()):
        reply = await _ask(api, request)
        assert not reply.conflicts
        assert reply.complete
        assert reply.total_ever == 1


async def _pages(api: Api, limit: int) -> list[list[bytes]]:
    pages, cursor = [], b""
    while True:
        request = pb.ConflictsRequest(limit=limit, cursor=cursor)
        reply = await _ask(api, request)
        pages.append([conflict.key for conflict in reply.conflicts])
        if reply.complete:
            return pages
        cursor = reply.cursor


async def test_pages_together_are_all_conflicts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded in keys and in bytes, with one key at least."""
    for n in range(5):
        await _conflict(api, b"%d" % n, n + 1, bytes(100))

    assert await _pages(api, 2) == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
    monkeypatch.setattr(reads, "LIST_BYTES_MAX", 250)
    assert await _pages(api, 0) == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
    monkeypatch.setattr(reads, "LIST_BYTES_MAX", 1)
    assert await _pages(api, 0) == [[b"%d" % n] for n in range(5)]


@pytest.mark.parametrize(
    "request_",
    [
        pb.ConflictsRequest(limit=1001),
        pb.ConflictsRequest(key=b"k" * 513),
        pb.ConflictsRequest(cursor=b"k" * 513),
        pb.ConflictsRequest(namespace="nowhere"),
    ],
)
async def test_wrong_request_is_refused(
    api: Api, request_: pb.ConflictsRequest
) -> None:
    """As every other."""
    result = await api.start(pb.Operation(id=7, conflicts=request_))
    assert result.WhichOneof("kind") == "error"
