"""A watch tells of each change once, with its newest value, and can be resumed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api import watch
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.messages import DeltaPage, DeltaRequest, Push, wire_entry
from kvnode.core.versions.version import Entry
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    NamespaceNotFoundError,
    OverloadedError,
)
from kvnode.types import HlcTimestamp, Millis
from tests.api.services import Api
from tests.runtime.nodes import NOW, PEER, at, foreign


class Watching:
    """A watch under way."""

    def __init__(self, api: Api, request: pb.WatchRequest) -> None:
        self.replies = api.watches.watch(request)

    async def next(self) -> pb.WatchReply:
        """Return the next reply."""
        async with asyncio.timeout(2):
            return await anext(self.replies)

    async def silent(self) -> bool:
        """Tell whether nothing comes, whatever there is to do; ends the watch."""
        task = asyncio.create_task(self.next())
        for _ in range(30):
            await asyncio.sleep(0)
        silent = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return silent


def _told(reply: pb.WatchReply) -> list[tuple[bytes, bytes]]:
    return [(change.key, change.entry.value) for change in reply.changes]


@pytest.fixture
async def watching(api: Api) -> AsyncIterator[Watching]:
    """A watch of all keys from now on, which has had its first reply."""
    await api.write(b"before")
    watching = Watching(api, pb.WatchRequest())
    first = await watching.next()
    assert not first.changes
    assert first.resume_token
    yield watching
    await watching.replies.aclose()


async def test_change_is_told_with_its_newest_value(
    api: Api, watching: Watching
) -> None:
    """Once, however often the key was written meanwhile; a deletion as absent."""
    await api.write(b"k", b"1")
    await api.write(b"k", b"2")
    await api.write(b"l", b"3")
    await api.ask(pb.DeleteRequest(key=b"before"))

    reply = await watching.next()

    assert _told(reply) == [(b"k", b"2"), (b"l", b"3"), (b"before", b"")]
    assert reply.changes[0].entry.version == (await api.get(b"k")).version
    assert reply.changes[2].entry.type == pb.VALUE_TYPE_ABSENT
    assert await watching.silent()


async def test_watch_tells_only_of_its_prefix(api: Api) -> None:
    """And of its namespace."""
    watching = Watching(api, pb.WatchRequest(prefix=b"a"))
    await watching.next()
    await api.write(b"b")
    await api.write(b"ab", b"1")

    assert _told(await watching.next()) == [(b"ab", b"1")]
    await watching.replies.aclose()


async def test_watch_from_the_start_tells_all_that_is_there(api: Api) -> None:
    """Then goes on with what changes."""
    for n in range(3):
        await api.write(b"%d" % n)
    await api.ask(pb.DeleteRequest(key=b"1"))
    watching = Watching(api, pb.WatchRequest(from_start=True))

    reply = await watching.next()
    assert {change.key for change in reply.changes if change.entry.type} == {b"0", b"2"}
    await api.write(b"3")
    assert _told(await watching.next()) == [(b"3", b"value")]
    await watching.replies.aclose()


async def test_resumed_watch_tells_what_was_missed(
    api: Api, watching: Watching
) -> None:
    """Nothing twice, nothing left out."""
    await api.write(b"a", b"1")
    token = (await watching.next()).resume_token
    await api.write(b"b", b"2")

    resumed = Watching(api, pb.WatchRequest(resume_token=token))

    assert _told(await resumed.next()) == [(b"b", b"2")]
    await resumed.replies.aclose()


async def test_large_round_comes_in_parts_and_only_the_last_moves_the_token(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is lost comes again after resuming."""
    monkeypatch.setattr(watch, "CHANGES_PER_REPLY", 2)
    for n in range(5):
        await api.write(b"%d" % n)
    watching = Watching(api, pb.WatchRequest(from_start=True))

    replies = [await watching.next() for _ in range(3)]

    assert [len(reply.changes) for reply in replies] == [2, 2, 1]
    assert replies[0].resume_token == replies[1].resume_token
    resumed = Watching(api, pb.WatchRequest(resume_token=replies[1].resume_token))
    assert len((await resumed.next()).changes) == 2
    for ended in (watching, resumed):
        await ended.replies.aclose()
    assert api.node.store._image.holders == 0


async def test_token_moves_although_the_last_part_is_empty(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the changes fill their parts exactly, resuming must not repeat them."""
    monkeypatch.setattr(watch, "CHANGES_PER_REPLY", 2)
    await api.write(b"a")
    await api.write(b"b")
    watching = Watching(api, pb.WatchRequest(from_start=True))
    assert len((await watching.next()).changes) == 2

    last = await watching.next()

    assert not last.changes
    resumed = Watching(api, pb.WatchRequest(resume_token=last.resume_token))
    assert not (await resumed.next()).changes
    for ended in (watching, resumed):
        await ended.replies.aclose()


async def test_uncovered_entry_is_told_once(api: Api) -> None:
    """It is found again with every commit until the node covers it."""
    watching = Watching(api, pb.WatchRequest())
    await watching.next()
    snapshot = VersionVector.of({PEER: 7})
    await api.hear_uncovered(b"k", foreign(5), snapshot)
    first = await watching.next()
    assert _told(first) == [(b"k", b"theirs")]

    await api.write(b"other", b"1")
    assert _told(await watching.next()) == [(b"other", b"1")]
    session = api.node.transport.messages(DeltaRequest)[-1].session
    page = DeltaPage(
        session, 1, snapshot, (wire_entry(at(b"l"), foreign(7)),), last=True
    )
    await api.node.receive(page)
    last = await watching.next()

    assert _told(last) == [(b"l", b"theirs")]
    resumed = Watching(api, pb.WatchRequest(resume_token=first.resume_token))
    assert {key for key, _ in _told(await resumed.next())} == {b"k", b"l", b"other"}
    for ended in (watching, resumed):
        await ended.replies.aclose()


async def test_uncovered_entries_beyond_the_bound_are_told_when_covered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that catches up must not make its watchers remember everything."""
    monkeypatch.setattr(watch, "UNCOVERED_MAX", 1)
    watching = Watching(api, pb.WatchRequest())
    await watching.next()
    snapshot = VersionVector.of({PEER: 7})
    await api.node.peer_up(snapshot)
    entries = tuple(wire_entry(at(b"%d" % n), foreign(n)) for n in (5, 6))
    session = api.node.transport.messages(DeltaRequest)[-1].session
    await api.node.receive(DeltaPage(session, 0, snapshot, entries, last=False))
    assert _told(await watching.next()) == [(b"5", b"theirs")]

    await api.node.receive(DeltaPage(session, 1, snapshot, (), last=True))
    await api.write(b"other")

    assert {key for key, _ in _told(await watching.next())} == {b"6", b"other"}
    await watching.replies.aclose()


# -- conflicts (R4) ----------------------------------------------------------------


def _late(seq: int, value: bytes = b"theirs") -> Entry:
    """Return PEER's write that knows of nobody's and wins."""
    entry = foreign(seq, value)
    hlc = HlcTimestamp((NOW + 100 << 16) + seq)
    return entry._replace(version=entry.version._replace(hlc=hlc))


async def test_conflicts_are_told_if_asked_for(api: Api) -> None:
    """The loser, and who won."""
    with_them = Watching(api, pb.WatchRequest(conflicts=True))
    without = Watching(api, pb.WatchRequest())
    await with_them.next()
    await without.next()
    mine = await api.write(b"k", b"mine")
    await with_them.next()
    await without.next()

    await api.hear(b"k", _late(1))
    reply = await with_them.next()

    assert _told(reply) == [(b"k", b"theirs")]
    (conflict,) = reply.conflicts
    assert (conflict.key, conflict.value) == (b"k", b"mine")
    assert conflict.version == mine.version
    assert conflict.noticed_at_ms == NOW
    assert not (await without.next()).conflicts
    assert await without.silent()
    await with_them.replies.aclose()


async def test_conflicts_of_one_turn_are_all_told(api: Api) -> None:
    """Also two of one key."""
    watching = Watching(api, pb.WatchRequest(conflicts=True))
    await watching.next()
    await api.write(b"k", b"mine")
    await watching.next()
    await api.node.peer_up()
    entries = tuple(
        wire_entry(at(b"k"), _concurrent(seq, b"%d" % seq)) for seq in (1, 2)
    )

    await api.node.receive(Push(PEER, 1, 2, entries))
    reply = await watching.next()

    assert {conflict.value for conflict in reply.conflicts} == {b"1", b"2"}
    await watching.replies.aclose()


def _concurrent(seq: int, value: bytes) -> Entry:
    """Return PEER's write that knows of nobody's and loses."""
    entry = foreign(seq, value)
    return entry._replace(version=entry.version._replace(hlc=HlcTimestamp(seq)))


async def test_conflicts_nobody_takes_are_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In number and in bytes; the newest are kept, the log has the others."""
    monkeypatch.setattr(watch, "CONFLICT_BYTES_MAX", 250)
    watching = Watching(api, pb.WatchRequest(conflicts=True))
    await watching.next()
    for n in range(4):
        await api.write(b"%d" % n)
        await api.hear(b"%d" % n, _concurrent(n + 1, b"%d" % n * 100))

    reply = await watching.next()

    assert [conflict.key for conflict in reply.conflicts] == [b"2", b"3"]
    await watching.replies.aclose()


# -- refusals ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.WatchRequest(namespace="nowhere"), NamespaceNotFoundError),
        (pb.WatchRequest(prefix=b"p" * 513), InvalidArgumentError),
        (pb.WatchRequest(resume_token=b"\xff"), InvalidArgumentError),
        (pb.WatchRequest(resume_token=b"\x01\x00\x01"), InvalidArgumentError),
        (
            pb.WatchRequest(resume_token=b"\x01\x00\x00", from_start=True),
            InvalidArgumentError,
        ),
    ],
)
async def test_wrong_watch_is_refused(
    api: Api, request_: pb.WatchRequest, error: type[KvError]
) -> None:
    """Before anything is told."""
    with pytest.raises(error):
        await Watching(api, request_).next()


async def test_watchers_are_bounded_and_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them costs every write something; one that ends makes room."""
    monkeypatch.setattr(watch, "WATCHERS_MAX", 2)
    watchers = [Watching(api, pb.WatchRequest()) for _ in range(2)]
    for watching in watchers:
        await watching.next()

    with pytest.raises(OverloadedError, match="2 watchers"):
        await Watching(api, pb.WatchRequest()).next()
    await watchers[0].replies.aclose()
    third = Watching(api, pb.WatchRequest())
    await third.next()
    for watching in (third, watchers[1]):
        await watching.replies.aclose()


async def test_round_that_finds_nothing_new_delays_the_next(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a node catches up, its watchers look at the same rows over and over."""
    monkeypatch.setattr(watch, "ROW_PAUSE_SECONDS", 60)
    monkeypatch.setattr(watch, "PAUSE_SECONDS_MAX", 60)
    watching = Watching(api, pb.WatchRequest(prefix=b"a"))
    await watching.next()
    await api.write(b"b")
    await api.write(b"a")
    assert _told(await watching.next()) == [(b"a", b"value")]
    await api.write(b"a", b"newer")

    assert await watching.silent()


async def test_expiry_is_seen_with_the_next_change_of_the_key(api: Api) -> None:
    """Time alone changes nothing in the store and wakes nobody."""
    await api.put(pb.PutRequest(key=b"k", value=b"v", ttl_ms=1))
    api.node.clock.now = Millis(NOW + 1)
    watching = Watching(api, pb.WatchRequest(from_start=True))

    (change,) = (await watching.next()).changes

    assert change.entry.type == pb.VALUE_TYPE_ABSENT
    await watching.replies.aclose()
