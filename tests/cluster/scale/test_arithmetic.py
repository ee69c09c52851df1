"""Arithmetic for N nodes: by hand for a few, and what must hold for all."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scale import Bounds, Costs, breaks, load_at
from cluster.scale.arithmetic import compared_with
from kvnode.core.node.comparing import COMPARED_WITH_ALL_MAX

EXAMPLE = Costs(
    write_micros=100,
    push_micros=10,
    receive_micros=40,
    idle_micros=5_000,
    link_micros=50,
    digest_micros=400,
    probe_micros=300,
    entry_micros=2,
    push_bytes=200,
    link_bytes=3,
    digest_bytes=100,
    probe_bytes=80,
    node_bytes=30e6,
    peer_bytes=250e3,
    clock_entry_bytes=200,
    clock_entry_wire_bytes=15,
)
NO_END = Bounds(
    memory_bytes=1e12,
    idle_bytes_per_second=1e12,
    idle_cores=1e12,
    compared_cores=1e12,
    connections=10**6,
)

costs = st.builds(Costs, **{field.name: st.floats(0.1, 1e6) for field in fields(Costs)})
sizes = st.integers(1, 10_000)


def test_one_node_pays_for_itself_alone() -> None:
    """It has no peers, and its own writes are all there are."""
    load = load_at(EXAMPLE, 1)

    assert (load.connections, load.idle_bytes_per_second) == (0, 0)
    assert load.idle_cores == pytest.approx(0.005)
    assert load.compared_cores == 0
    assert load.memory_bytes == 30e6 + 200
    assert load.writes_at_one == load.writes_at_all == pytest.approx(9950)


def test_eleven_nodes_are_what_a_hand_finds() -> None:
    """Ten peers, all compared with; the writer sends to all, others to eight."""
    load = load_at(EXAMPLE, 11)

    assert load.connections == 10
    assert load.idle_cores == pytest.approx((5_000 + 10 * 450 + 300) / 1e6)
    assert load.idle_bytes_per_second == 10 * 103 + 80
    assert load.memory_bytes == 30e6 + 10 * 250e3 + 11 * 11 * 200
    assert load.clock_wire_bytes == 165
    assert load.compared_cores == pytest.approx(10 * 11 * 2 / 1e6)
    budget = 1e6 - 9_800 - 220
    assert load.writes_at_one == pytest.approx(budget / (100 + 10 * 10))
    assert load.writes_at_all == pytest.approx(budget / (100 / 11 + 50 * 10 / 11))


def test_thousand_nodes_compare_with_one_and_send_in_trees() -> None:
    """A writer's pushes are those of its region's tree and one a region."""
    load = load_at(EXAMPLE, 1000)

    assert load.idle_cores == pytest.approx((5_000 + 999 * 50 + 400 + 300) / 1e6)
    assert load.idle_bytes_per_second == 999 * 3 + 100 + 80
    assert load.compared_cores == pytest.approx(1000 * 2 / 1e6)
    budget = 1e6 - 55_650 - 2_000
    assert load.writes_at_one == pytest.approx(budget / (100 + 10 * (8 + 18)))


def test_busiest_is_an_inner_node_of_a_tree_if_that_pays_more() -> None:
    """Who receives a write may send it to eight."""
    dear = replace(EXAMPLE, receive_micros=1000)

    at_one = load_at(dear, 100).writes_at_one

    free = load_at(EXAMPLE, 100)
    budget = 1 - free.idle_cores - free.compared_cores
    assert at_one == pytest.approx(1e6 * budget / (1000 + 8 * 10))


@pytest.mark.parametrize(
    ("peers", "compared"), [(0, 0), (1, 1), (32, 32), (33, 1), (10_000, 1)]
)
def test_as_many_are_compared_with_as_a_node_compares_with(
    peers: int, compared: int
) -> None:
    """D8: all up to a number, then one."""
    assert compared_with(peers) == compared


@given(costs=costs, nodes=sizes)
def test_no_cluster_takes_more_writes_than_one_node_can_apply(
    costs: Costs, nodes: int
) -> None:
    """Every node applies every write, so adding nodes never raises the ceiling."""
    load = load_at(costs, nodes)

    cheapest = min(costs.write_micros, costs.receive_micros)
    for writes in (load.writes_at_one, load.writes_at_all):
        assert writes is not None
        assert 0 <= writes <= 1e6 / cheapest * (1 + 1e-9)


@given(costs=costs, nodes=st.integers(1, 9_999))
def test_one_node_more_never_costs_less(costs: Costs, nodes: int) -> None:
    """But where a node stops comparing with all of its peers."""
    now, then = load_at(costs, nodes), load_at(costs, nodes + 1)

    assert now.connections < then.connections
    assert now.memory_bytes < then.memory_bytes
    assert now.clock_wire_bytes < then.clock_wire_bytes
    if nodes != COMPARED_WITH_ALL_MAX + 1:
        assert now.idle_cores <= then.idle_cores
        assert now.compared_cores <= then.compared_cores


def test_what_breaks_is_told_smallest_first() -> None:
    """And none smaller is past the bound."""
    most = replace(
        NO_END, memory_bytes=60e6, idle_bytes_per_second=5e3, connections=256
    )

    found = breaks(EXAMPLE, most)

    assert [one.what for one in found] == ["memory", "connections", "network"]
    assert found == sorted(found, key=lambda one: one.nodes)
    network = found[-1].nodes
    before, at = (load_at(EXAMPLE, n) for n in (network - 1, network))
    assert before.idle_bytes_per_second <= 5e3 < at.idle_bytes_per_second


def test_what_stays_within_its_bound_up_to_the_end_does_not_break() -> None:
    """Ten thousand are as many as are looked at."""
    assert breaks(EXAMPLE, NO_END) == []


def test_negative_cost_is_refused() -> None:
    """It is a difference of noisy figures that somebody forgot to look at."""
    with pytest.raises(ValueError, match="push_micros is -1"):
        replace(EXAMPLE, push_micros=-1)


def test_cluster_of_no_nodes_is_refused() -> None:
    """There is nothing to share the load."""
    with pytest.raises(ValueError, match="none"):
        load_at(EXAMPLE, 0)
