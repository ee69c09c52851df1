"""Settings and ports of local nodes; processes themselves are system tests."""

import socket
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import StateError, UnknownSiteError
from cluster.local.installation import Installation
from cluster.processes import HOST, ProcessCluster, as_toml, free_ports
from cluster.topology import THREE_CITIES, Site, Topology

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"))
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.booleans()


@given(
    plain=st.dictionaries(
        st.text("abc_", min_size=1), scalars | st.lists(texts), max_size=5
    ),
    table=st.dictionaries(texts, scalars, max_size=3),
)
def test_toml_is_read_back_as_it_was(
    plain: dict[str, object], table: dict[str, object]
) -> None:
    """The reader that the node uses sees the same values."""
    values = {**plain, "table": table}

    assert tomllib.loads(as_toml(values)) == values


def test_free_ports_leave_out_those_in_use() -> None:
    """A port that something listens on is skipped, and none is given twice."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        first = taken.getsockname()[1]

        ports = free_ports(["a", "b"], first)

    assert ports["a"] > first
    assert ports["b"] > ports["a"]


def test_free_ports_end_with_the_last_port() -> None:
    """There is no port 65,536."""
    with pytest.raises(StateError, match="no free ports"):
        free_ports(["a", "b", "c"], 65_534)


def test_cluster_made_again_keeps_its_ports_and_takes_new_distances(
    tmp_path: Path,
) -> None:
    """`up` with another distance is the same cluster, stretched."""
    first = ProcessCluster.create(tmp_path, THREE_CITIES)

    second = ProcessCluster.create(tmp_path, THREE_CITIES.scaled(2))

    assert second.endpoint("tokyo") == first.endpoint("tokyo")
    assert second.name == first.name
    assert second.topology.delay("tokyo", "virginia") == 150


def test_cluster_serves_http_once_it_is_told_where(tmp_path: Path) -> None:
    """And from then on at the same ports."""
    cluster = ProcessCluster.create(tmp_path, THREE_CITIES)
    assert cluster.http_endpoint("tokyo") == ""

    cluster.serve_http(20_000)
    again = ProcessCluster.create(tmp_path, THREE_CITIES)
    again.serve_http(30_000)

    endpoints = {cluster.http_endpoint(name) for name in cluster.topology.names}
    assert len(endpoints) == 3
    assert again.http_endpoint("tokyo") == cluster.http_endpoint("tokyo")


def test_no_two_clusters_have_the_same_name(tmp_path: Path) -> None:
    """A node that is left over from one finds the other's ports, and is turned away."""
    one, other = (
        ProcessCluster.create(tmp_path / name, THREE_CITIES) for name in ("a", "b")
    )

    assert one.name != other.name


def test_cluster_of_other_sites_is_refused(tmp_path: Path) -> None:
    """Data of one cluster must not end up in another."""
    ProcessCluster.create(tmp_path, THREE_CITIES)

    with pytest.raises(StateError, match="tokyo, frankfurt, virginia"):
        ProcessCluster.create(tmp_path, Topology((Site("mars", "sky"),), ()))


def test_node_takes_settings_and_a_place_of_its_own(tmp_path: Path) -> None:
    """They are this object's alone: another one sees the node as it is described."""
    cluster = ProcessCluster.create(tmp_path / "cluster", THREE_CITIES)
    usual = cluster.data_directory("tokyo")
    port = cluster.endpoint("tokyo").rpartition(":")[2]

    cluster.override("tokyo", {"data_directory": str(tmp_path / "disk")})
    cluster.place("tokyo", host="10.0.0.1", launcher=("/bin/env",))

    assert cluster.data_directory("tokyo") == tmp_path / "disk"
    assert cluster.endpoint("tokyo") == f"10.0.0.1:{port}"
    other = ProcessCluster(tmp_path / "cluster")
    assert other.data_directory("tokyo") == usual
    assert other.endpoint("tokyo") == f"{HOST}:{port}"


def test_settings_of_an_unknown_node_are_refused(tmp_path: Path) -> None:
    """A misspelt name must not be silently without effect."""
    cluster = ProcessCluster.create(tmp_path, THREE_CITIES)
    with pytest.raises(UnknownSiteError, match="kyoto"):
        cluster.override("kyoto", {})


def test_node_is_of_this_version_until_another_is_installed(tmp_path: Path) -> None:
    """And again when that is taken back."""
    cluster = ProcessCluster.create(tmp_path, THREE_CITIES)
    other = Installation(tmp_path / "other")

    cluster.install("tokyo", other)

    assert cluster.installation("tokyo") == other
    assert cluster.installation("virginia") is None
    cluster.install("tokyo", None)
    assert cluster.installation("tokyo") is None
