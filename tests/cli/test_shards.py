"""`kvnode shards`: who keeps the objects, and letting others keep them."""

import json

from kvnode.errors import DeadlineError, RejectedError
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode


def test_overview_asks_the_other_nodes_too(run: Run) -> None:
    """One endpoint is enough to see all shards."""
    lines = run("-e", "a:1", "shards").stdout.splitlines()

    shards = [line.split() for line in lines[1:3]]
    silent = f"({7:016x})"
    assert shards[0] == [
        "s000",
        "a",
        "1,400",
        silent,
        "silent",
        "a",
        "-1,200",
        "b",
        "b",
    ]
    assert shards[1][:4] == ["s001", "b,", "next", "c"]
    voters = [line.split() for line in lines[5:7]]
    assert voters[0] == ["a", f"{9:016x}", "votes"]
    assert lines[6].rstrip().endswith("does not answer: no connection to c")


def test_overview_as_json_has_what_each_node_said(run: Run) -> None:
    """For programs."""
    found = json.loads(run("-e", "b:1", "shards", "--json").stdout)

    assert [each["name"] for each in found["nodes"]] == ["b", "a"]
    assert found["nodes"][0]["led"][0]["replicas"][0]["node"] == "b"


def test_shard_is_moved(run: Run, node: FakeNode) -> None:
    """With more patience than other commands have."""
    result = run("shards", "move", "s003", "a", "b", "c")

    assert node.objects.changes == [("move", "s003", ("a", "b", "c"), 60.0)]
    assert "s003 is kept by a, b, c" in result.stderr


def test_all_shards_are_moved_one_by_one(run: Run, node: FakeNode) -> None:
    """As when a disk was lost."""
    run("--deadline", "2m", "shards", "move", "all", "a", "b")

    assert node.objects.changes == [
        ("move", shard, ("a", "b"), 120.0) for shard in ("s000", "s001")
    ]


def test_all_shards_are_those_of_no_region_or_of_one(run: Run, node: FakeNode) -> None:
    """What was placed in a region would leave it else."""
    node.objects.regional = {"r.west.003": "b", "r.west.001": "a", "r.east.001": "b"}

    run("-e", "a:1", "shards", "move", "all", "a", "b")
    run("-e", "a:1", "shards", "move", "all", "--region", "west", "a", "b")

    moved = [shard for _, shard, *_ in node.objects.changes]
    assert moved == ["s000", "s001", "r.west.001", "r.west.003"]


def test_region_in_which_nothing_was_placed_has_no_shards(
    run: Run, node: FakeNode
) -> None:
    """And one shard has its region in its name."""
    none = run("-e", "a:1", "shards", "move", "all", "--region", "moon", "a")
    one = run("-e", "a:1", "shards", "move", "s000", "--region", "west", "a")

    assert (none.exit_code, one.exit_code) == (2, 2)
    assert "leads a shard of region 'moon'" in none.stderr
    assert "--region goes with all" in one.stderr
    assert not node.objects.changes


def test_move_that_takes_long_says_how_to_go_on(run: Run, node: FakeNode) -> None:
    """It may have happened."""
    node.objects.failure = DeadlineError("no reply")

    result = run("shards", "move", "s003", "a")

    assert result.exit_code == 4
    assert "ask again to have it finished" in result.stderr


def test_node_that_is_to_lead_is_asked_itself(run: Run, node: FakeNode) -> None:
    """Wherever the command is sent first."""
    run("-e", "a:1", "shards", "lead", "s001", "b")
    run("-e", "a:1", "shards", "lead", "s001", "a")

    assert node.objects.changes == [
        ("lead", "b:1", "s001", 60.0),
        ("lead", "a:1", "s001", 60.0),
    ]


def test_node_that_is_not_there_cannot_lead(run: Run, node: FakeNode) -> None:
    """The error names those that are."""
    result = run("-e", "a:1", "shards", "lead", "s001", "nobody")

    assert result.exit_code == 2
    assert "there are a, b" in result.stderr
    assert not node.objects.changes


def test_voter_comes_back_with_a_new_disk_by_default(run: Run, node: FakeNode) -> None:
    """Another node may take its place."""
    run("shards", "replace-voter", "c")
    result = run("shards", "replace-voter", "c", "d", "--json")

    assert [each[:3] for each in node.objects.changes] == [
        ("replace", "c", "c"),
        ("replace", "c", "d"),
    ]
    assert json.loads(result.stdout) == {"voters": ["a", "b", "d"]}


def test_refusal_is_an_error(run: Run, node: FakeNode) -> None:
    """In the words of the node."""
    node.objects.failure = RejectedError("there is no shard 's099'")

    result = run("shards", "move", "s099", "a")

    assert result.exit_code == 2
    assert "there is no shard 's099'" in result.stderr
