"""The fingerprint of a view: equal exactly if a report would say the same."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.anti_entropy import view_digest
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.types import HlcTimestamp
from tests import strategies
from tests.strategies import REPLICAS

SOME = VersionVector.of({REPLICAS[0]: 3})


class View(NamedTuple):
    """What is fingerprinted."""

    clock: VersionVector
    held: VersionVector
    roster: int
    floor: Floor


vectors = strategies.version_vectors()
views = st.builds(
    View,
    vectors,
    vectors,
    st.sampled_from((0, 1, 2**64 - 1)),
    st.builds(Floor, vectors, st.sampled_from((HlcTimestamp(0), HlcTimestamp(9)))),
)


@given(a=views, b=views)
def test_digests_are_equal_exactly_if_views_are(a: View, b: View) -> None:
    """D8: 8 bytes tell that there is nothing to tell."""
    assert (view_digest(*a) == view_digest(*b)) == (a == b)


def test_same_dots_covered_or_held_or_forgotten_are_different_views() -> None:
    """The parts are told apart, not their concatenation."""
    digests = {
        view_digest(SOME, EMPTY, 0, GROUND),
        view_digest(EMPTY, SOME, 0, GROUND),
        view_digest(EMPTY, EMPTY, 0, Floor(SOME)),
    }

    assert len(digests) == 3


def test_digest_fits_into_its_field() -> None:
    """It travels as a fixed64."""
    assert 0 <= view_digest(SOME, EMPTY, 2**64 - 1, GROUND) < 2**64
