"""Turns: what is staged is seen, and becomes one commit or nothing."""

from collections.abc import Iterator

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.turn import Turn
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    StoreView,
    Write,
)
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.limits import CONFLICT_AGE_MILLIS_MAX
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot, HlcTimestamp, Millis
from tests.core.replication.entries import A, B, C, at, counter, register
from tests.simulation.site import run

KEY = at(b"k")
NOW = Millis(5000)
STORED = register(Dot(B, 1), b"stored", hlc=100)


@pytest.fixture(name="view")
def _view() -> Iterator[StoreView]:
    store = MemoryStore(A)
    run(store.apply(Commit(DurableState(A), (Write(KEY, STORED, None),))))
    with store.snapshot() as view:
        yield view


def turn_on(view: StoreView) -> Turn:
    """Return a turn on what the store holds."""
    return Turn(view.state(), view, NOW)


def test_turn_without_change_commits_nothing(view: StoreView) -> None:
    """A turn of reads and old news must not cost a sync."""
    turn = turn_on(view)
    turn.merge(KEY, STORED)

    assert turn.commit(turn.state()) is None


def test_staged_entry_is_what_the_turn_sees(view: StoreView) -> None:
    """Events of one turn see each other's writes."""
    turn, newer = turn_on(view), register(Dot(B, 2), hlc=101)
    assert turn.entry(KEY) == STORED

    turn.put(KEY, newer, STORED)

    assert turn.entry(KEY) == newer


def test_several_writes_of_a_key_replace_what_the_store_held(view: StoreView) -> None:
    """The index rows to delete are the stored version's, not a staged one's."""
    turn = turn_on(view)
    for seq in (2, 3):
        turn.put(KEY, register(Dot(B, seq), hlc=100 + seq), turn.entry(KEY))

    commit = turn.commit(turn.state())

    assert commit is not None
    [write] = commit.writes
    assert write.entry is not None
    assert write.entry.version.dot == Dot(B, 3)
    assert write.replaced == STORED.version


@pytest.mark.parametrize("hlc", [99, 101])
def test_concurrent_loser_is_logged_whichever_side_it_comes_from(
    view: StoreView, hlc: int
) -> None:
    """R4: nobody's write goes silently; the same loser is counted once."""
    turn = turn_on(view)
    incoming = register(Dot(C, 1), hlc=hlc)

    turn.merge(KEY, incoming)
    turn.merge(KEY, incoming)

    commit = turn.commit(turn.state())
    assert commit is not None
    [record] = commit.conflicts[KEY]
    winner, loser = (incoming, STORED) if hlc > 100 else (STORED, incoming)
    assert (record.loser, record.winner) == (loser, winner.version.dot)
    assert record.noticed_at == NOW
    assert commit.state.conflicts_ever == 1


def test_originated_entries_keep_the_place_of_their_first_write(
    view: StoreView,
) -> None:
    """Pushes are cut by first seqs."""
    turn = turn_on(view)
    for seq, key in enumerate((b"x", b"y", b"x"), start=1):
        turn.seq = seq
        turn.originate(at(key), register(Dot(A, seq)), None)

    places = [
        (key.key, o.first_seq, o.entry.version.dot.seq)
        for key, o in turn.originated.items()
    ]
    assert places == [(b"x", 1, 3), (b"y", 2, 2)]


def test_digest_goes_from_what_is_stored_to_what_is_staged(view: StoreView) -> None:
    """D9: in the same commit, whatever was staged in between."""
    turn = turn_on(view)
    for seq in (2, 3):
        turn.put(KEY, register(Dot(B, seq), hlc=100 + seq), turn.entry(KEY))

    before = view.state().digest.changed(fingerprint(KEY, STORED))
    turn.digest = before

    assert turn.state().digest == before.changed(
        fingerprint(KEY, register(Dot(B, 3), hlc=103)) - fingerprint(KEY, STORED)
    )


# -- forgetting (G2) ---------------------------------------------------------------


def test_dropped_entry_leaves_neither_a_row_nor_a_trace_in_the_digest(
    view: StoreView,
) -> None:
    """Nodes of equal clock and floor hold the same, and digests tell (D9)."""
    turn = turn_on(view)
    turn.digest = view.state().digest.changed(fingerprint(KEY, STORED))

    turn.drop(KEY, STORED)

    assert turn.entry(KEY) is None
    assert turn.state().digest == view.state().digest
    commit = turn.commit(turn.state())
    assert commit is not None
    assert commit.writes == (Write(KEY, None, STORED.version),)


def test_entry_that_is_dropped_as_it_comes_leaves_nothing_of_the_one_before(
    view: StoreView,
) -> None:
    """The rows to delete are the stored version's: the newer one never had any."""
    turn, newer = turn_on(view), register(Dot(B, 2), hlc=101)
    turn.merge(KEY, newer)

    turn.drop(KEY, newer)

    commit = turn.commit(turn.state())
    assert commit is not None
    assert commit.writes == (Write(KEY, None, STORED.version),)


def test_key_that_is_written_where_it_was_dropped_replaces_what_was_stored(
    view: StoreView,
) -> None:
    """In one turn: the store has not heard of the drop."""
    turn, newer = turn_on(view), register(Dot(C, 1), hlc=300)
    turn.drop(KEY, STORED)

    turn.merge(KEY, newer)

    commit = turn.commit(turn.state())
    assert commit is not None
    assert commit.writes == (Write(KEY, newer, STORED.version),)


DELETION = Entry(Version(Kind.TOMBSTONE, HlcTimestamp(200), Dot(B, 2)))
COVERED = VersionVector.of({B: 2})


@pytest.mark.parametrize(
    ("floor", "held"),
    [
        (Floor(COVERED, HlcTimestamp(201)), False),
        (Floor(COVERED, HlcTimestamp(200)), True),
        (Floor(VersionVector.of({B: 1}), HlcTimestamp(201)), True),
    ],
)
def test_what_comes_is_held_against_a_deletion_that_its_sender_has_not_forgotten(
    view: StoreView, floor: Floor, *, held: bool
) -> None:
    """What the sender has forgotten, it has merged with whatever it sends."""
    turn, started = turn_on(view), counter(Dot(C, 1))
    turn.merge(KEY, DELETION)

    turn.merge(KEY, started, above=floor)

    assert turn.entry(KEY) == (DELETION if held else started)


def test_deletion_is_no_conflict_with_what_its_sender_has_judged(
    view: StoreView,
) -> None:
    """R4 tells of what was lost: a deletion that everybody has forgotten is not."""
    turn, floor = turn_on(view), Floor(COVERED, HlcTimestamp(201))
    turn.merge(
        KEY, DELETION._replace(version=DELETION.version._replace(others=(Dot(B, 1),)))
    )

    turn.merge(KEY, register(Dot(C, 1), hlc=300), above=floor)

    commit = turn.commit(turn.state())
    assert commit is not None
    assert not commit.conflicts


def test_same_deletion_from_a_sender_that_forgets_it_changes_nothing(
    view: StoreView,
) -> None:
    """It adopts its floor before it drops what is below."""
    turn, floor = turn_on(view), Floor(COVERED, HlcTimestamp(201))
    turn.merge(KEY, DELETION)

    turn.merge(KEY, DELETION, above=floor)

    assert turn.entry(KEY) == DELETION


def test_repair_settles_two_values_of_one_stamp_and_logs_the_loser(
    view: StoreView,
) -> None:
    """R2 takes them for one write, so that merging would leave them apart."""
    turn, twin = turn_on(view), STORED._replace(value=b"wrong or right")
    turn.merge(KEY, twin)
    assert turn.entry(KEY) == STORED

    turn.repair(KEY, twin)

    commit = turn.commit(turn.state())
    assert commit is not None
    assert turn.entry(KEY) == twin
    assert [record.loser for record in commit.conflicts[KEY]] == [STORED]


def test_repair_of_what_is_sound_changes_nothing(view: StoreView) -> None:
    """Most of what a repair brings has been superseded here."""
    turn = turn_on(view)

    turn.repair(KEY, STORED)
    turn.repair(KEY, register(Dot(A, 1), hlc=1))

    commit = turn.commit(turn.state())
    assert commit is not None
    assert not commit.writes  # an older concurrent write is a conflict, no more


def test_repair_brings_back_what_was_lost(view: StoreView) -> None:
    """A key that is covered here and gone."""
    turn = turn_on(view)

    turn.repair(at(b"lost"), STORED)

    assert turn.entry(at(b"lost")) == STORED


def _noticed(at_ms: int) -> ConflictRecord:
    return ConflictRecord(register(Dot(B, 7)), Dot(A, 1), Millis(at_ms))


def test_conflict_logs_lose_what_is_too_old_to_show() -> None:
    """R4: what is a day old goes, what is younger stays, and so do other logs."""
    day = CONFLICT_AGE_MILLIS_MAX
    old, young = _noticed(5), _noticed(day)
    logs = {at(b"old"): (old,), at(b"both"): (old, young), at(b"young"): (young,)}
    store = MemoryStore(A)
    run(store.apply(Commit(DurableState(A), (), logs)))
    with store.snapshot() as view:
        turn = Turn(view.state(), view, Millis(day + 6))
        turn.forget_conflicts([*logs, at(b"none")])
        commit = turn.commit(turn.state())

    assert commit is not None
    assert commit.conflicts == {at(b"old"): (), at(b"both"): (young,)}


def test_sweep_of_young_conflict_logs_commits_nothing() -> None:
    """Housekeeping that finds nothing must not cost a sync."""
    store = MemoryStore(A)
    run(store.apply(Commit(DurableState(A), (), {KEY: (_noticed(5),)})))
    with store.snapshot() as view:
        turn = Turn(view.state(), view, Millis(5))
        turn.forget_conflicts([KEY])

        assert turn.commit(turn.state()) is None
