"""Fingerprints: equal for what replicas consider equal, and for nothing else."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.replication.fingerprint import (
    VALUE_BYTES_MAX,
    DigestChange,
    fingerprint,
)
from kvnode.core.versions.rolling_digest import NOTHING, TOTAL_END
from kvnode.core.versions.version import Entry, Kind, Stamp, Version
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace
from tests import strategies
from tests.core.replication.entries import A, B, C, at, counter, register
from tests.strategies import History

KEY = at(b"k")


@given(history=strategies.histories())
def test_replicas_that_heard_of_the_same_writes_have_equal_fingerprints(
    history: History,
) -> None:
    """In whatever order: registers, tombstones and merged values alike."""
    forth = back = None
    for entry in history.seen:
        forth = strategies.merge_entries(forth, entry).entry
    for entry in reversed(history.seen):
        back = strategies.merge_entries(back, entry).entry

    assert forth is not None
    assert back is not None
    assert fingerprint(KEY, forth) == fingerprint(KEY, back)


@given(history=strategies.histories())
def test_entries_that_replicas_tell_apart_have_different_fingerprints(
    history: History,
) -> None:
    """Whatever merging or a reader could notice, documents by their dots."""
    by_fingerprint: dict[int, object] = {}
    for entry in history.seen:
        known = by_fingerprint.setdefault(fingerprint(KEY, entry), _compared(entry))

        assert known == _compared(entry)


def _compared(entry: Entry) -> object:
    version, value, metadata = entry
    others: tuple[Dot, ...] = ()
    if version.kind not in {Kind.REGISTER, Kind.TOMBSTONE}:
        others = version.others
    if version.kind is Kind.DOCUMENT:
        value = b""
    return version._replace(others=others), value, metadata


FULL = Entry(
    Version(
        Kind.SET,
        HlcTimestamp(7),
        Dot(A, 3),
        others=(Dot(B, 2), Dot(C, 9)),
        deadline=Millis(5),
        base=Stamp(HlcTimestamp(4), B),
    ),
    b"value",
    '{"a":1}',
)


def _version(**changes: object) -> Callable[[Entry], Entry]:
    return lambda entry: entry._replace(version=entry.version._replace(**changes))  # type: ignore[arg-type]  # as named


CHANGES: dict[str, Callable[[Entry], Entry]] = {
    "kind": _version(kind=Kind.COUNTER),
    "hlc": _version(hlc=HlcTimestamp(8)),
    "dot": _version(dot=Dot(A, 4)),
    "replica": _version(dot=Dot(C, 3)),
    "others": _version(others=(Dot(B, 2), Dot(C, 10))),
    "fewer others": _version(others=(Dot(B, 2),)),
    "deadline": _version(deadline=Millis(6)),
    "base": _version(base=Stamp(HlcTimestamp(4), C)),
    "value": lambda entry: entry._replace(value=b"valuf"),
    "metadata": lambda entry: entry._replace(metadata='{"a":2}'),
    "border": lambda entry: entry._replace(value=b"}value", metadata='{"a":1'),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_every_part_that_must_agree_is_in_the_fingerprint(change: str) -> None:
    """A difference in any of them is a difference of the digests."""
    assert fingerprint(KEY, CHANGES[change](FULL)) != fingerprint(KEY, FULL)


def test_names_of_key_and_namespace_do_not_run_together() -> None:
    """The same entry elsewhere is another item."""
    keys = [
        EntryKey(Namespace(namespace), name)
        for namespace, name in (("ab", b"c"), ("a", b"bc"), ("a", b"b"), ("b", b"b"))
    ]

    assert len({fingerprint(key, FULL) for key in keys}) == len(keys)


def test_what_a_node_may_forget_alone_is_not_in_the_fingerprint() -> None:
    """Pruned key clocks and stable dependencies decide nothing (R3)."""
    plain = register(Dot(A, 3))
    told = _version(others=(Dot(B, 1),), dependencies=(Dot(C, 5),))(plain)

    assert fingerprint(KEY, told) == fingerprint(KEY, plain)
    depending = _version(dependencies=(Dot(C, 5),))(FULL)
    assert fingerprint(KEY, depending) == fingerprint(KEY, FULL)


def test_order_of_contributors_does_not_show() -> None:
    """They are a set."""
    turned = _version(others=FULL.version.others[::-1])(FULL)

    assert fingerprint(KEY, turned) == fingerprint(KEY, FULL)


def test_large_value_counts_by_size_and_checksum() -> None:
    """On both sides of the border, changed and longer ones differ."""
    values = [
        bytes(VALUE_BYTES_MAX),
        bytes(VALUE_BYTES_MAX + 1),
        bytes(VALUE_BYTES_MAX + 2),
        bytes(VALUE_BYTES_MAX) + b"\1",
    ]

    found = {fingerprint(KEY, register(Dot(A, 1), value)) for value in values}

    assert len(found) == len(values)


def test_document_counts_by_its_dots_alone() -> None:
    """Equal documents have unequal bytes."""
    document = _version(kind=Kind.DOCUMENT)(FULL)

    assert fingerprint(KEY, document._replace(value=b"other")) == fingerprint(
        KEY, document
    )


@given(entry=strategies.entries(), name=st.binary(max_size=9))
def test_fingerprint_is_64_bits_of_any_entry(entry: Entry, name: bytes) -> None:
    """No record that decodes may stop a turn."""
    assert 0 <= fingerprint(at(name), entry) < TOTAL_END


def test_deadline_before_1970_has_a_fingerprint() -> None:
    """It can be no deadline, and must not stop the node that is told it."""
    early = _version(deadline=Millis(-1))(FULL)

    assert fingerprint(KEY, early) != fingerprint(KEY, FULL)


def test_change_goes_from_the_first_entry_of_a_key_to_the_last() -> None:
    """What was staged in between never was in the store."""
    change = DigestChange()
    entries = [register(Dot(A, seq)) for seq in (1, 2, 3)]
    change.replace(KEY, entries[0], entries[1])
    change.replace(KEY, entries[1], entries[2])

    stored = NOTHING.changed(fingerprint(KEY, entries[0]))
    assert change.applied_to(stored).total == fingerprint(KEY, entries[2])


def test_removed_entry_leaves_nothing() -> None:
    """Collection takes away what the entry had added (G2)."""
    change = DigestChange()
    change.replace(KEY, FULL, None)

    assert change.applied_to(NOTHING.changed(fingerprint(KEY, FULL))) == NOTHING


def test_key_that_came_and_went_in_one_turn_changes_nothing() -> None:
    """It is nowhere on disk."""
    change = DigestChange()
    change.replace(KEY, None, FULL)
    change.replace(KEY, FULL, None)

    assert change.applied_to(NOTHING) == NOTHING


def test_damaged_record_breaks_the_digest_once_for_the_turn() -> None:
    """What it was worth is not known; what follows in the turn is."""
    change = DigestChange()
    change.replace_damaged(KEY, FULL)
    change.replace(KEY, FULL, counter(Dot(A, 4)))

    digest = change.applied_to(NOTHING)

    assert not digest.known
    assert digest.total == fingerprint(KEY, counter(Dot(A, 4)))
