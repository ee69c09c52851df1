"""Arithmetic for N nodes: by hand for a few, and what must hold for all."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scale import Bounds, Costs, Manner, Way, breaks, load_at

MESH = Way(Manner.MESH)
FEW = Way(Manner.FEW_LINKS, links_max=5)

EXAMPLE = Costs(
    write_micros=100,
    push_micros=10,
    receive_micros=40,
    idle_micros=5_000,
    peer_micros=500,
    report_member_micros=5,
    push_bytes=200,
    report_bytes=100,
    report_member_bytes=60,
    node_bytes=30e6,
    peer_bytes=250e3,
    clock_entry_bytes=200,
    clock_entry_wire_bytes=15,
)
MEASURED = replace(
    EXAMPLE, round_micros=300, round_bytes=64, probe_micros=200, link_micros=10
)

costs = st.builds(Costs, **{field.name: st.floats(0.1, 1e6) for field in fields(Costs)})
ways = st.builds(Way, st.sampled_from(Manner), st.integers(1, 10))
sizes = st.integers(1, 10_000)


def test_one_node_pays_for_itself_alone() -> None:
    """It has no peers, and its own writes are all there are."""
    load = load_at(EXAMPLE, 1, MESH)

    assert (load.connections, load.idle_bytes_per_second) == (0, 0)
    assert load.idle_cores == pytest.approx(0.005)
    assert load.memory_bytes == 30e6 + 200
    assert load.writes_at_one == load.writes_at_all == pytest.approx(9950)


def test_mesh_of_eleven_is_what_a_hand_finds() -> None:
    """Ten peers, each reported to with ten members; a tenth core at rest... less."""
    load = load_at(EXAMPLE, 11, MESH)

    assert load.connections == 10
    assert load.idle_cores == pytest.approx((5_000 + 10 * 500 + 10 * 10 * 5) / 1e6)
    assert load.idle_bytes_per_second == 10 * 100 + 10 * 10 * 60
    assert load.memory_bytes == 30e6 + 10 * 250e3 + 11 * 11 * 200
    assert load.clock_wire_bytes == 165
    budget = 1e6 - 10_500
    assert load.writes_at_one == pytest.approx(budget / (100 + 10 * 10))
    assert load.writes_at_all == pytest.approx(budget / (100 / 11 + 50 * 10 / 11))


def test_what_is_not_measured_is_not_said() -> None:
    """Few links need the costs of rounds and probes, which a mesh does not."""
    load = load_at(EXAMPLE, 1000, FEW)

    assert load.idle_cores is load.writes_at_one is load.writes_at_all is None
    assert load.idle_bytes_per_second is None
    assert load.memory_bytes == 30e6 + 5 * 250e3 + 6 * 1000 * 200


@given(small=st.integers(7, 10_000), large=st.integers(7, 10_000))
def test_rest_of_a_node_with_few_links_does_not_grow(small: int, large: int) -> None:
    """Once there are more members than links (SWIM: the same load for any N)."""
    one, other = load_at(MEASURED, small, FEW), load_at(MEASURED, large, FEW)

    assert one.idle_cores == other.idle_cores
    assert one.idle_bytes_per_second == other.idle_bytes_per_second == 64


@given(costs=costs, way=ways, nodes=sizes)
def test_no_cluster_takes_more_writes_than_one_node_can_apply(
    costs: Costs, way: Way, nodes: int
) -> None:
    """Every node applies every write, so adding nodes never raises the ceiling."""
    load = load_at(costs, nodes, way)

    cheapest = min(costs.write_micros, costs.receive_micros)
    for writes in (load.writes_at_one, load.writes_at_all):
        assert writes is not None
        assert 0 <= writes <= 1e6 / cheapest * (1 + 1e-9)


@given(costs=costs, way=ways, nodes=st.integers(1, 9_999))
def test_one_node_more_never_costs_less(costs: Costs, way: Way, nodes: int) -> None:
    """Whatever the costs and however it is connected."""
    now, then = load_at(costs, nodes, way), load_at(costs, nodes + 1, way)

    assert now.connections <= then.connections
    assert now.memory_bytes <= then.memory_bytes
    assert now.clock_wire_bytes < then.clock_wire_bytes
    assert now.idle_cores is not None
    assert then.idle_cores is not None
    assert now.idle_cores <= then.idle_cores


def test_mesh_breaks_where_its_square_passes_the_bound() -> None:
    """The smallest cluster first, and none smaller is past the bound."""
    most = Bounds(
        memory_bytes=60e6, idle_bytes_per_second=1e6, idle_cores=0.5, connections=256
    )

    found = breaks(EXAMPLE, MESH, most)

    assert [one.what for one in found] == [
        "memory",
        "network",
        "connections",
        "CPU at rest",
    ]
    assert found == sorted(found, key=lambda one: one.nodes)
    network = found[1].nodes
    before, at = (load_at(EXAMPLE, n, MESH) for n in (network - 1, network))
    assert (before.idle_bytes_per_second or 0) <= 1e6 < (at.idle_bytes_per_second or 0)


def test_what_stays_within_its_bound_up_to_the_end_does_not_break() -> None:
    """Few links hold ten thousand nodes' clocks, and little else."""
    most = Bounds(
        memory_bytes=1e9, idle_bytes_per_second=1e6, idle_cores=0.5, connections=256
    )

    assert breaks(MEASURED, FEW, most) == []


def test_negative_cost_is_refused() -> None:
    """It is a difference of noisy figures that somebody forgot to look at."""
    with pytest.raises(ValueError, match="push_micros is -1"):
        replace(EXAMPLE, push_micros=-1)


def test_cluster_of_no_nodes_is_refused() -> None:
    """There is nothing to share the load."""
    with pytest.raises(ValueError, match="none"):
        load_at(EXAMPLE, 0, MESH)
