"""Ranks order entries as docs/decisions/0001 says; entries know if they are live."""

from kvnode.core.versions.version import (
    CRDT_KINDS,
    NEVER,
    ORIGIN,
    Entry,
    Kind,
    Stamp,
    Version,
)
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId

A, B = ReplicaId(1), ReplicaId(2)


def version(kind: Kind, hlc: int = 5, base: Stamp = ORIGIN) -> Version:
    """Return a version by A, its key clock with a dot of B."""
    others = (Dot(B, 9),)
    return Version(kind, HlcTimestamp(hlc), Dot(A, 3), others, base=base)


def test_crdts_started_on_nothing_rank_below_every_put() -> None:
    """A put resets what it saw and what it did not."""
    put = version(Kind.REGISTER, hlc=1)

    for kind in CRDT_KINDS:
        assert version(kind, hlc=99).rank < put.rank


def test_a_crdt_ranks_just_above_what_it_was_started_upon() -> None:
    """It supersedes its base, and nothing that came after the base."""
    base = version(Kind.TOMBSTONE)

    for kind in CRDT_KINDS:
        started = version(kind, hlc=6, base=base.stamp)
        assert base.rank < started.rank < version(Kind.REGISTER, hlc=6).rank


def test_index_rows_are_one_a_write_for_registers_and_one_a_contributor_for_crdts() -> (
    None
):
    """What makes "everything you lack" find an entry by any dot that is in it."""
    assert version(Kind.REGISTER).index_dots == (Dot(A, 3),)
    assert version(Kind.COUNTER).index_dots == (Dot(A, 3), Dot(B, 9))
    assert version(Kind.REGISTER).key_clock == (Dot(B, 9), Dot(A, 3))


def test_an_entry_expires_at_its_deadline_and_not_before() -> None:
    """R6: the deadline is absolute, and NEVER is no deadline."""
    bounded = Entry(version(Kind.REGISTER)._replace(deadline=Millis(100)))
    unbounded = Entry(version(Kind.REGISTER)._replace(deadline=NEVER))

    assert [bounded.live(Millis(now)) for now in (99, 100, 101)] == [True, False, False]
    assert unbounded.live(Millis(2**48))
    assert not Entry(version(Kind.TOMBSTONE)).live(Millis(0))
