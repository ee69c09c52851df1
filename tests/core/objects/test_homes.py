"""The names of shards, and who keeps those of a region."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.homes import (
    KEEPERS,
    SHARDS,
    Keeper,
    number_of,
    placed,
    region_of,
    shard_name,
)
from kvnode.core.objects.voters.messages import REGISTER_NAME_BYTES_MAX
from kvnode.storage.shards.state_port import check_shard_name

regions = st.text(
    "abcxyzABCXYZ0123456789._-", min_size=1, max_size=64
)  # as a node's region may be
numbers = st.integers(0, 999)


@given(regions, numbers)
def test_name_of_a_shard_tells_its_region_and_number(region: str, number: int) -> None:
    """And is one that a file can have, and a register of the voters."""
    name = shard_name(number, region)
    check_shard_name(name)
    assert len(name.encode()) <= REGISTER_NAME_BYTES_MAX
    assert (region_of(name), number_of(name)) == (region, number)


def test_names_read_like_their_regions() -> None:
    """But for what a shard's name cannot hold."""
    assert shard_name(3) == "s003"
    assert shard_name(3, "eu-west") == "r.eu-west.003"
    assert shard_name(15, "EU_1.a") == "r..45.55.5f1.2ea.015"
    assert (region_of("s003"), number_of("s003")) == ("", 3)


@given(regions, regions, numbers, numbers)
def test_different_shards_have_different_names(
    one: str, other: str, number: int, another: int
) -> None:
    """Else two regions would share a log."""
    is_same = (one, number) == (other, another)
    assert (shard_name(number, one) == shard_name(another, other)) == is_same


@pytest.mark.parametrize(
    "name",
    [
        "",
        "s3",
        "s0003",
        "t003",
        "r.003",
        "r..003",
        "r.eu.3",
        "r.EU.003",
        "r.eu.zz.003",  # no byte
        "r..61.003",  # which is a, and written so
        "r..ff.003",  # no UTF-8
        "s\u0660\u0660\u0663",  # digits, but not ours
    ],
)
def test_other_names_are_of_no_shard(name: str) -> None:
    """Whoever asks for one has mistyped it."""
    assert number_of(name) is None
    assert region_of(name) == ""


def test_three_nodes_of_a_region_keep_its_shards() -> None:
    """By turns, so that all of its nodes have work and lead their share."""
    nodes = [Keeper(name, "west") for name in "dabc"] + [Keeper("e", "east", 1)]
    assert placed("west", 0, nodes) == ("a", "b", "c")
    assert placed("west", 1, nodes) == ("b", "c", "d")
    assert placed("west", 7, nodes) == ("d", "a", "b")
    leaders = [placed("west", number, nodes)[0] for number in range(SHARDS)]
    assert {leaders.count(name) for name in "abcd"} == {SHARDS // 4}


def test_nearest_nodes_of_other_regions_help_a_small_one() -> None:
    """The region's own leads."""
    nodes = [
        Keeper("far", "south", 90),
        Keeper("near", "north", 9),
        Keeper("own", "west", None),
        Keeper("unmeasured", "east", None),
        Keeper("middle", "east", 40),
    ]
    assert placed("west", 5, nodes) == ("own", "near", "middle")


def test_helpers_are_of_different_regions_where_there_are() -> None:
    """One place that is lost must not take two of three copies."""
    nodes = [
        Keeper("own", "west"),
        Keeper("north1", "north", 5),
        Keeper("north2", "north", 6),
        Keeper("south", "south", 90),
    ]
    assert placed("west", 0, nodes) == ("own", "north1", "south")
    assert placed("west", 0, nodes[:3]) == ("own", "north1", "north2")


def test_helpers_without_a_region_are_places_of_their_own() -> None:
    """Nobody has said that they are together."""
    nodes = [Keeper("own", "west"), Keeper("a", "", 1), Keeper("b", "", 2)]
    assert placed("west", 0, nodes) == ("own", "a", "b")


@given(
    st.lists(
        st.builds(
            Keeper,
            st.text("abcdef", min_size=1, max_size=3),
            st.sampled_from(["", "west", "east", "north"]),
            st.none() | st.integers(0, 300),
        ),
        unique_by=lambda node: node.name,
        max_size=9,
    ),
    numbers,
)
def test_as_many_keep_a_shard_as_can(nodes: list[Keeper], number: int) -> None:
    """Up to three, each once, and one of the region's leads."""
    nodes = [Keeper("own", "west"), *(node for node in nodes if node.name != "own")]
    where = {node.name: node.region for node in nodes}
    found = placed("west", number, nodes)
    assert len(found) == len(set(found)) == min(KEEPERS, len(nodes))
    assert where[found[0]] == "west"
    at_home = sum(where[name] == "west" for name in found)
    assert at_home == min(KEEPERS, sum(each == "west" for each in where.values()))
