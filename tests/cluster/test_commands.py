"""`kvnode cluster` on a cluster that is described but not running."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.commands import app
from cluster.local.state_directory import StateDirectory
from cluster.processes import ProcessCluster
from cluster.topology import THREE_CITIES


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The state directory of a cluster whose nodes are all down."""
    ProcessCluster.create(tmp_path / "state", THREE_CITIES)
    return tmp_path / "state"


def run(directory: Path, command: str, *arguments: str) -> Result:
    """Run `kvnode cluster <command>` on *directory*."""
    return CliRunner().invoke(app, [command, "--directory", str(directory), *arguments])


def cuts(directory: Path) -> set[tuple[str, ...]]:
    """Return what is cut, each pair in alphabetical order."""
    return {tuple(sorted(cut)) for cut in StateDirectory(directory).load().cuts}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["tokyo"], id="the rest is implied"),
        pytest.param(["tokyo", "--", "frankfurt", "virginia"], id="two dashes"),
        pytest.param(["tokyo | frankfurt,virginia"], id="a bar, quoted"),
    ],
)
def test_partition_understands_every_notation(
    directory: Path, arguments: list[str]
) -> None:
    """A cut is noted though no node runs: they take it up when they start."""
    result = run(directory, "partition", *arguments)

    assert result.exit_code == 0, result.output
    assert cuts(directory) == {("frankfurt", "tokyo"), ("tokyo", "virginia")}
    assert re.search(r"tokyo - frankfurt +115 ms +cut", result.output)
    assert re.search(r"frankfurt - virginia +45 ms +not connected", result.output)


def test_heal_forgets_every_cut(directory: Path) -> None:
    """After heal nothing is cut, whatever was."""
    run(directory, "partition", "tokyo | frankfurt | virginia")
    assert len(cuts(directory)) == 3

    assert run(directory, "heal").exit_code == 0
    assert cuts(directory) == set()


def test_status_for_programs_is_json_with_every_node(directory: Path) -> None:
    """Nodes that are down are reported, not left out."""
    result = run(directory, "status", "--json")

    found = json.loads(result.output)
    assert [node["name"] for node in found] == ["tokyo", "frankfurt", "virginia"]
    assert {(node["state"], node["pid"], node["node"]) for node in found} == {
        ("down", None, None)
    }


def test_status_for_people_names_every_node(directory: Path) -> None:
    """The table has a line for each node."""
    output = run(directory, "status").output

    assert all(name in output for name in THREE_CITIES.names)


@pytest.mark.parametrize("command", ["kill", "pause", "resume", "down", "logs"])
def test_unknown_node_is_an_error_with_the_known_ones(
    directory: Path, command: str
) -> None:
    """A misspelt name does nothing, and says what would have been right."""
    result = run(directory, command, "tokio")

    assert result.exit_code == 1
    assert "there are: tokyo, frankfurt, virginia" in result.output


@pytest.mark.parametrize("command", ["down", "kill", "pause", "resume", "logs"])
def test_nodes_that_are_down_stay_so_without_complaint(
    directory: Path, command: str
) -> None:
    """Every command can be repeated."""
    assert run(directory, command, "tokyo").exit_code == 0


@pytest.mark.parametrize(
    "command", ["down", "status", "heal", "logs", "restart", "resume"]
)
def test_directory_without_a_cluster_is_an_error_and_stays_unmade(
    tmp_path: Path, command: str
) -> None:
    """Looking for a cluster in the wrong place leaves nothing there."""
    result = run(tmp_path / "nowhere", command)

    assert result.exit_code == 1
    assert "kvnode cluster up" in result.output
    assert not (tmp_path / "nowhere").exists()


def test_wipe_asks_before_it_deletes(directory: Path) -> None:
    """Without a yes, everything stays."""
    refused = CliRunner().invoke(app, ["wipe", "-d", str(directory)], input="n\n")
    assert refused.exit_code == 1
    assert directory.exists()

    assert run(directory, "wipe", "--yes").exit_code == 0
    assert not directory.exists()
