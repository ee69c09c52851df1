"""Rolling digests: changes add up, and a scan settles what was broken."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.versions.rolling_digest import (
    NOTHING,
    TOTAL_END,
    UNKNOWN,
    RollingDigest,
)

totals = st.integers(0, TOTAL_END - 1)
differences = st.lists(st.integers(-TOTAL_END, TOTAL_END))


def changed_by(digest: RollingDigest, changes: list[int]) -> RollingDigest:
    """Return *digest* after all *changes*."""
    for change in changes:
        digest = digest.changed(change)
    return digest


@given(before=differences, after=differences, shift=totals)
def test_scan_of_an_old_snapshot_settles_what_has_changed_since(
    before: list[int], after: list[int], shift: int
) -> None:
    """A broken total is off by a constant, and goes on to be."""
    true = changed_by(NOTHING, before)
    then = changed_by(UNKNOWN.changed(-shift), before)

    now = changed_by(then, after)

    assert not now.known
    settled = now.settled(true.total, then)
    assert settled.known
    assert settled.total == changed_by(true, after).total


def test_scan_of_before_the_last_break_settles_nothing() -> None:
    """What was taken away unseen is still in its sum."""
    then = UNKNOWN.changed(5)

    assert then.broken().settled(7, then) == then.broken()


def test_breaking_makes_a_known_digest_unknown() -> None:
    """Nothing but a scan may make it known again."""
    digest = NOTHING.changed(3).broken().changed(4)

    assert not digest.known
    assert digest.breaks == 1


@given(scanned=totals, shown=totals)
def test_scan_shows_when_a_known_total_is_wrong(scanned: int, shown: int) -> None:
    """A node can find a fault of its own, and mend the digest of it."""
    digest = RollingDigest(shown)

    settled = digest.settled(scanned, digest)

    assert (settled == digest) == (scanned == shown)
    assert settled.total == scanned
