"""Pushes: ranges that are exact, and claim no key that comes later (D4)."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.node import pushes as module
from kvnode.core.node.pushes import Originated, pushes
from kvnode.core.versions.record import WIRE, decode
from kvnode.types import Dot, EntryKey
from tests.core.replication.entries import A, at, register

ENTRIES_MAX = 3
BYTES_MAX = 400


@pytest.fixture(autouse=True, scope="module")
def _small_pushes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PUSH_ENTRIES_MAX", ENTRIES_MAX)
        patch.setattr(module, "PUSH_BYTES_MAX", BYTES_MAX)
        yield


def originated(
    keys: list[int], sizes: list[int], first: int
) -> dict[EntryKey, Originated]:
    """Return what a turn leaves that wrote *keys* in this order, from seq *first*."""
    written: dict[EntryKey, Originated] = {}
    for seq, (key, size) in enumerate(zip(keys, sizes, strict=True), start=first):
        place = at(b"%d" % key)
        first_seq = written[place].first_seq if place in written else seq
        written[place] = Originated(first_seq, register(Dot(A, seq), bytes(size)))
    return written


@given(
    writes=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 300)), min_size=1, max_size=25
    ),
    first=st.integers(1, 100),
)
def test_ranges_are_exact_bounded_and_claim_nothing_that_comes_later(
    writes: list[tuple[int, int]], first: int
) -> None:
    """
    I1 after every prefix of the pushes, for a receiver that gets no more.

    Whoever covers a seq holds the newest entry of its key, or one in between.
    """
    keys, sizes = [key for key, _ in writes], [size for _, size in writes]
    last = first + len(writes) - 1

    made = list(pushes(A, first, last, originated(keys, sizes, first)))

    expected = first
    held: set[EntryKey] = set()
    for push in made:
        assert (push.origin, push.first) == (A, expected)
        assert push.first <= push.last
        assert len(push.entries) <= ENTRIES_MAX
        assert sum(entry.size_bytes for entry in push.entries[:-1]) < BYTES_MAX
        for entry in push.entries:
            assert entry.key not in held, "an entry travels once"
            held.add(entry.key)
        for seq in range(push.first, push.last + 1):
            assert at(b"%d" % keys[seq - first]) in held
        expected = push.last + 1
    assert expected == last + 1


def test_newest_entry_of_a_key_travels() -> None:
    """Of two writes of a turn the second supersedes the first."""
    [push] = pushes(A, 5, 6, originated([1, 1], [10, 20], 5))

    [entry] = push.entries
    assert decode(entry.record, WIRE).version.dot == Dot(A, 6)
    assert (push.first, push.last) == (5, 6)
