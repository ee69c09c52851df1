"""What may be claimed without some records, against a naive twin (I1)."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication import claims
from kvnode.core.replication.claims import claimable
from kvnode.types import Dot, EntryKey, ReplicaId
from tests.core.replication.entries import A, B, at
from tests.strategies import version_vectors

DAMAGED, SOUND = at(b"damaged"), at(b"sound")
END = 30

rows = st.dictionaries(
    st.builds(Dot, st.sampled_from([A, B]), st.integers(1, END)),
    st.sampled_from([DAMAGED, SOUND]),
)


class Rows:
    """An index."""

    def __init__(self, by_dot: dict[Dot, EntryKey]) -> None:
        self._by_dot = by_dot

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield rows as a store does."""
        for dot, key in sorted(self._by_dot.items()):
            if dot.replica == replica and first <= dot.seq <= (last or END):
                yield dot, key


def dots_of(clock: VersionVector) -> set[Dot]:
    """Return all that *clock* covers."""
    return {
        Dot(replica, seq)
        for replica, spans in clock.items()
        for first, last in spans
        for seq in range(first, last + 1)
    }


@given(by_dot=rows, clock=version_vectors(), theirs=version_vectors())
def test_claimed_is_what_the_other_covers_and_what_sound_records_hold(
    by_dot: dict[Dot, EntryKey], clock: VersionVector, theirs: VersionVector
) -> None:
    """A dot without a row may be one that the damaged record had superseded."""
    claimed = claimable(Rows(by_dot), clock, theirs, {DAMAGED})

    assert dots_of(claimed) == {
        dot for dot in dots_of(clock) if theirs.covers(dot) or by_dot.get(dot) == SOUND
    }


@given(by_dot=rows, clock=version_vectors(), theirs=version_vectors())
def test_of_one_who_lacks_much_only_rows_of_damaged_keys_are_taken_out(
    by_dot: dict[Dot, EntryKey], clock: VersionVector, theirs: VersionVector
) -> None:
    """A clock with a gap for every superseded write would be useless."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "LOOKED_AT_MAX", -1)
        claimed = claimable(Rows(by_dot), clock, theirs, {DAMAGED})

    assert dots_of(claimed) == {
        dot
        for dot in dots_of(clock)
        if theirs.covers(dot) or by_dot.get(dot) != DAMAGED
    }
