"""A node is filled from nearby, and from wherever there is something (D10)."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.node.bootstrap import NEAR_PATIENCE, DonorChoice
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import Millis, ReplicaId
from tests.core.replication.entries import A, B, C

NOW = Millis(1_700_000_000_000)
FAR, NEAR, ALSO_FAR = A, B, C
REGIONS = {FAR: "asia", NEAR: "europe", ALSO_FAR: "america"}


def _donors(*replicas: ReplicaId) -> dict[ReplicaId, PeerAddress]:
    return {r: PeerAddress(f"{r:x}", "", r, REGIONS[r]) for r in replicas}


def test_peer_of_the_own_region_is_asked_first_and_then_all_in_turn() -> None:
    """One that refuses is asked again only after the others."""
    choice = DonorChoice("europe")
    donors = _donors(FAR, NEAR, ALSO_FAR)

    asked = [choice.next(donors, NOW, absent=False) for _ in range(4)]

    assert asked == [NEAR, FAR, ALSO_FAR, NEAR]


def test_far_peer_is_not_asked_while_a_near_one_may_connect() -> None:
    """It is known that somebody is still to come; a second is not long."""
    choice = DonorChoice("europe")

    assert choice.next(_donors(FAR), NOW, absent=True) is None
    assert choice.next(_donors(FAR), Millis(NOW + NEAR_PATIENCE), absent=True) == FAR


def test_near_peer_that_connects_in_time_is_asked() -> None:
    """That is what was waited for."""
    choice = DonorChoice("europe")
    choice.next(_donors(FAR), NOW, absent=True)

    assert choice.next(_donors(FAR, NEAR), Millis(NOW + 1), absent=True) == NEAR


def test_far_peer_is_asked_at_once_if_nobody_else_is_known() -> None:
    """There is nothing to wait for."""
    assert DonorChoice("europe").next(_donors(FAR), NOW, absent=False) == FAR


def test_node_without_a_region_waits_for_nobody() -> None:
    """All peers are equally far then."""
    assert DonorChoice("").next(_donors(FAR), NOW, absent=True) == FAR


@given(
    present=st.sets(st.sampled_from([FAR, NEAR, ALSO_FAR]), min_size=1),
    region=st.sampled_from(["", "europe", "mars"]),
)
def test_every_donor_is_asked_before_any_is_asked_again(
    present: set[ReplicaId], region: str
) -> None:
    """No peer that refuses can keep a node empty."""
    choice = DonorChoice(region)
    donors = _donors(*present)

    asked = [choice.next(donors, NOW, absent=False) for _ in present]

    assert set(asked) == present
