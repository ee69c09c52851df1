"""Recent pushes: bounded in bytes and number, names longer than payloads."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination import recent
from kvnode.core.dissemination.recent import RecentPushes
from tests.core.dissemination.members import name, push

BYTES_MAX, COUNT_MAX = 2000, 12


@given(sizes=st.lists(st.integers(0, 900), max_size=60))
def test_newest_payloads_that_fit_are_kept(sizes: list[int]) -> None:
    """As a naive list would: dropping the oldest until both bounds hold."""
    kept = RecentPushes(BYTES_MAX, COUNT_MAX)
    naive = []
    for seq, size in enumerate(sizes, start=1):
        kept.add(push(1, seq, size))
        naive.append(push(1, seq, size))
        while len(naive) > COUNT_MAX or sum(p.size_bytes for p in naive) > BYTES_MAX:
            naive.pop(0)

    assert len(kept) == len(naive)
    assert kept.size_bytes == sum(p.size_bytes for p in naive)
    assert all(kept.payload(name(1, p.first)) == p for p in naive)


def test_name_outlives_its_payload() -> None:
    """A duplicate is known for one though the payload is gone."""
    kept = RecentPushes(BYTES_MAX, 1)
    kept.add(push(1, 1))
    kept.add(push(1, 2))

    assert kept.payload(name(1, 1)) is None
    assert name(1, 1) in kept


def test_names_are_bounded() -> None:
    """The oldest is forgotten."""
    kept = RecentPushes(BYTES_MAX, COUNT_MAX)
    for seq in range(1, recent.SEEN_MAX + 2):
        kept.add(push(1, seq))

    assert name(1, 1) not in kept
    assert name(1, 2) in kept
