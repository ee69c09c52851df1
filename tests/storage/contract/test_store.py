"""The contract of kvnode.storage.port.Store by example."""

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    LostVersion,
    PeerAddress,
    Write,
)
from kvnode.core.versions.version import Entry, Kind, Stamp, Version
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.storage.stores import (
    OTHER,
    OWN,
    AnyStore,
    OpenStore,
    at,
    covering,
    put,
    register,
)

ELSEWHERE = Namespace("elsewhere")


def test_new_store_has_an_identity_and_nothing_else(store: AnyStore) -> None:
    """Only the identity is drawn."""
    assert store.state() == DurableState(OWN)
    assert store.usage().entry_count == 0
    assert not store.unclean
    with store.snapshot() as view:
        assert view.state() == DurableState(OWN)
        assert list(view.namespaces()) == []
        assert list(view.indexed_replicas()) == []
        assert view.entry(at(b"k")) is None
        assert view.conflicts(at(b"k")) == ()
        assert list(view.scan(Namespace("default"))) == []


async def test_entry_comes_back_with_every_part_of_its_version(
    store: AnyStore,
) -> None:
    """What merging compares survives storing."""
    version = Version(
        Kind.SET,
        HlcTimestamp(7 << 20),
        Dot(OWN, 3),
        others=(Dot(OTHER, 9),),
        dependencies=(Dot(OTHER, 8), Dot(ReplicaId(2**64 - 1), 2**48 - 1)),
        deadline=Millis(1_700_000_000_000),
        base=Stamp(HlcTimestamp(5), OTHER),
    )
    entry = Entry(version, b"\x00state\xff", '{"é": 1}')

    await store.apply(Commit(covering(3), (Write(at(b"\x00"), entry, None),)))

    with store.snapshot() as view:
        assert view.entry(at(b"\x00")) == entry


async def test_state_comes_back_with_every_field(opener: OpenStore) -> None:
    """All that a node needs after a restart is in the state."""
    store = opener()
    state = DurableState(
        replica=store.state().replica,
        clock=VersionVector({OWN: ((1, 9), (12, 20)), OTHER: ((1, 2**48 - 1),)}),
        pending=VersionVector.of({ReplicaId(2**64 - 1): 4}),
        seq=2**40,
        hlc=HlcTimestamp(2**64 - 1),
        conflicts_ever=17,
        peers=(
            PeerAddress("lima", "lima.example:7400", OTHER, "süd"),
            PeerAddress("tokyo", ""),
        ),
        digest=RollingDigest(2**64 - 1, breaks=3, known=False),
    )

    await store.apply(Commit(state))
    assert store.state() == state
    store.close()

    store = opener()
    assert store.state() == state
    with store.snapshot() as view:
        assert view.state() == state
    store.close()


async def test_of_several_writes_to_a_key_the_last_counts(store: AnyStore) -> None:
    """The index has no row of a write that was overwritten in its own turn."""
    first = register(1)
    await store.apply(put(b"k", 1))
    writes = tuple(
        Write(at(b"k"), register(seq, b"%d" % seq), first.version) for seq in (2, 3)
    )

    await store.apply(Commit(covering(3), writes))

    with store.snapshot() as view:
        assert view.entry(at(b"k")) == register(3, b"3")
        assert list(view.index(OWN, 1, None)) == [(Dot(OWN, 3), at(b"k"))]


async def test_later_write_may_name_the_earlier_one_as_replaced(
    store: AnyStore,
) -> None:
    """Rows of what the store held go, whichever of the writes names it."""
    first, second = register(1), register(2)
    await store.apply(put(b"k", 1))

    await store.apply(
        Commit(
            covering(3),
            (
                Write(at(b"k"), second, first.version),
                Write(at(b"k"), register(3), second.version),
            ),
        )
    )

    with store.snapshot() as view:
        assert [dot.seq for dot, _ in view.index(OWN, 1, None)] == [3]


async def test_index_has_a_row_for_each_contributor_to_a_crdt(
    store: AnyStore,
) -> None:
    """A contribution replaces the same replica's row and leaves the others."""
    before = Version(
        Kind.COUNTER, HlcTimestamp(1), Dot(OWN, 1), others=(Dot(OTHER, 5),)
    )
    after = Version(Kind.COUNTER, HlcTimestamp(2), Dot(OWN, 2), others=(Dot(OTHER, 5),))
    await store.apply(
        Commit(covering(1), (Write(at(b"c"), Entry(before, b"1"), None),))
    )

    await store.apply(
        Commit(covering(2), (Write(at(b"c"), Entry(after, b"2"), before),))
    )

    with store.snapshot() as view:
        assert list(view.index(OWN, 1, None)) == [(Dot(OWN, 2), at(b"c"))]
        assert list(view.index(OTHER, 1, None)) == [(Dot(OTHER, 5), at(b"c"))]
        assert set(view.indexed_replicas()) >= {OWN, OTHER}


async def test_index_gives_exactly_the_seqs_asked_for(store: AnyStore) -> None:
    """Both ends count, and neighbours in the table of replicas stay out."""
    writes = tuple(
        Write(at(b"%d-%d" % (replica, seq)), register(seq, replica=replica), None)
        for replica in (OWN, OTHER)
        for seq in (1, 2, 3, 2**48 - 1)
    )
    await store.apply(Commit(covering(3), writes))

    with store.snapshot() as view:
        assert [dot.seq for dot, _ in view.index(OWN, 2, 3)] == [2, 3]
        assert [dot.seq for dot, _ in view.index(OWN, 3, None)] == [3, 2**48 - 1]
        assert [dot.seq for dot, _ in view.index(OTHER, 4, 2**48 - 1)] == [2**48 - 1]
        assert list(view.index(OTHER, 2**48, None)) == []
        assert list(view.index(ReplicaId(99), 1, None)) == []


async def test_snapshot_does_not_see_what_is_applied_later(store: AnyStore) -> None:
    """Entries, index, conflicts and state stay as they were together."""
    await store.apply(put(b"k", 1, b"old"))
    with store.snapshot() as before:
        await store.apply(put(b"k", 2, b"new", over=register(1)))
        await store.apply(put(b"l", 3))
        with store.snapshot() as after:
            assert before.entry(at(b"k")) == register(1, b"old")
            assert before.entry(at(b"l")) is None
            assert before.state() == covering(1)
            assert [dot.seq for dot, _ in before.index(OWN, 1, None)] == [1]
            assert after.entry(at(b"k")) == register(2, b"new")
            assert after.state() == covering(3)


async def test_scan_goes_on_while_the_store_changes(store: AnyStore) -> None:
    """A page in the making is not disturbed by a commit."""
    writes = tuple(Write(at(b"%d" % seq), register(seq), None) for seq in range(1, 5))
    await store.apply(Commit(covering(4), writes))
    with store.snapshot() as view:
        rows = view.scan(Namespace("default"))
        first = next(rows)
        await store.apply(put(b"11", 5))
        await store.apply(put(b"3", 6, over=register(3)))

        seqs = [entry.version.dot.seq for _, entry in (first, *rows)]

    assert seqs == [1, 2, 3, 4]


async def test_closed_snapshot_refuses_to_be_read(store: AnyStore) -> None:
    """A view that outlives its snapshot is a bug of its holder."""
    await store.apply(put(b"k", 1))
    with store.snapshot() as view:
        assert view.entry(at(b"k")) is not None

    with pytest.raises(AssertionError, match="closed"):
        view.entry(at(b"k"))
    with pytest.raises(AssertionError, match="closed"):
        view.state()
    with pytest.raises(AssertionError, match="closed"):
        list(view.scan(Namespace("default")))
    with pytest.raises(AssertionError, match="closed"):
        list(view.index(OWN, 1, None))


async def test_conflict_log_is_kept_until_an_empty_one_removes_it(
    store: AnyStore,
) -> None:
    """A log is replaced as a whole, and only that key's."""
    log = tuple(
        ConflictRecord(register(seq, b"lost"), Dot(OTHER, seq), Millis(seq))
        for seq in (1, 2)
    )
    state = covering(2)
    await store.apply(Commit(state, conflicts={at(b"a"): log, at(b"b"): log[:1]}))
    with store.snapshot() as view:
        assert view.conflicts(at(b"a")) == log
        assert list(view.scan_conflicts(Namespace("default"), start=b"a\x00")) == [
            (b"b", log[:1])
        ]

    await store.apply(Commit(state, conflicts={at(b"a"): (), at(b"never"): ()}))

    with store.snapshot() as view:
        assert view.conflicts(at(b"a")) == ()
        assert view.conflicts(at(b"b")) == log[:1]


async def test_namespaces_do_not_see_each_others_keys(store: AnyStore) -> None:
    """The same key lives once in each namespace."""
    other = EntryKey(ELSEWHERE, b"k")
    writes = (
        Write(at(b"k"), register(1, b"here"), None),
        Write(other, register(2, b"there"), None),
    )
    await store.apply(Commit(covering(2), writes))

    with store.snapshot() as view:
        assert list(view.scan(ELSEWHERE)) == [(b"k", register(2, b"there"))]
        assert view.entry(at(b"k")) == register(1, b"here")
        assert set(view.namespaces()) == {"default", "elsewhere"}


async def test_reserved_state_is_kept(opener: OpenStore) -> None:
    """`reserve` is a commit of the state alone."""
    store = opener()
    await store.apply(put(b"k", 1))

    await store.reserve(covering(1000))
    store.close()

    store = opener()
    assert store.state() == covering(1000)
    with store.snapshot() as view:
        assert view.entry(at(b"k")) == register(1)
    store.close()


async def test_usage_grows_with_what_is_stored(store: AnyStore) -> None:
    """Counts are of keys, not of writes."""
    before = store.usage()
    await store.apply(put(b"k", 1, bytes(100_000)))
    await store.apply(put(b"k", 2, bytes(100_000), over=register(1)))

    after = store.usage()

    assert after.entry_count == 1
    assert 100_000 <= after.used_bytes - before.used_bytes < 200_000
    assert after.accepts_client_writes


async def test_dots_of_a_key_are_those_of_its_rows(store: AnyStore) -> None:
    """Also of a long key; not those of a key that begins alike."""
    long = b"x" * 512
    shared = Version(
        Kind.COUNTER, HlcTimestamp(1), Dot(OWN, 2), others=(Dot(OTHER, 7),)
    )
    writes = (
        Write(at(b"k"), register(1), None),
        Write(at(b"k2"), Entry(shared, b""), None),
        Write(at(long), register(3), None),
    )
    await store.apply(Commit(covering(3), writes))

    with store.snapshot() as view:
        assert view.dots_of(at(b"k")) == (Dot(OWN, 1),)
        assert view.dots_of(at(b"k2")) == (Dot(OWN, 2), Dot(OTHER, 7))
        assert view.dots_of(at(long)) == (Dot(OWN, 3),)
        assert view.dots_of(at(b"nothing")) == ()
        assert view.dots_of(EntryKey(Namespace("nowhere"), b"k")) == ()


async def test_rows_of_a_lost_version_go_with_what_replaces_it(store: AnyStore) -> None:
    """In the same transaction, as those of a version that can be read."""
    await store.apply(put(b"k", 1))
    lost = LostVersion((Dot(OWN, 1),))
    older = register(9, replica=OTHER)
    await store.apply(Commit(covering(1), (Write(at(b"k"), older, lost),)))

    with store.snapshot() as view:
        assert view.entry(at(b"k")) == older
        assert list(view.index(OWN, 1, None)) == []
        assert view.dots_of(at(b"k")) == (Dot(OTHER, 9),)
