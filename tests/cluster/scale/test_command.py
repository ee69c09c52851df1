"""The command that works out what measured costs come to."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.scale import table
from cluster.scale.__main__ import main, read_costs
from cluster.scale.table import BOUNDS, HEADINGS
from kvnode.core.node.address_book import PEERS_MAX
from tests.cluster.scale.test_arithmetic import EXAMPLE


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What a benchmark has written that measured the example's costs."""
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"rows": [], "costs": asdict(EXAMPLE)}))
    return file


def test_costs_are_read_as_they_were_written(results: Path) -> None:
    """By their names."""
    assert read_costs(results) == EXAMPLE


def test_table_has_every_size() -> None:
    """And a cell for each heading."""
    lines = table(EXAMPLE, sizes=(3, 1000)).splitlines()

    cells = [line.strip("| ").split(" | ") for line in lines]
    assert cells[0] == list(HEADINGS)
    assert [row[0] for row in cells[2:]] == ["3", "1,000"]
    assert [row[1] for row in cells[2:]] == ["2", "999"]
    assert {len(row) for row in cells} == {len(HEADINGS)}


def test_command_prints_the_table_and_what_breaks(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a cost given by hand in the place of the file's."""
    assert main([str(results)]) == 0
    measured = capsys.readouterr().out
    assert main([str(results), "--set=link_micros=5000"]) == 0
    changed = capsys.readouterr().out

    assert table(EXAMPLE) in measured
    assert "connections from 1,026 nodes on" in measured
    assert table(replace(EXAMPLE, link_micros=5000)) in changed


def test_costs_of_another_version_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They name what is not known any more."""
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"costs": asdict(EXAMPLE) | {"peer_micros": 5}}))

    with pytest.raises(SystemExit):
        main([str(file)])

    assert "peer_micros" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set=speed=1"], "'speed' is not among write_micros"),
        (["--set=push_micros=fast"], "'fast' is no number"),
        (["--set=push_micros=-1"], "push_micros is -1.0"),
    ],
)
def test_wrong_setting_is_refused_by_name(
    results: Path,
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what it may be is said."""
    with pytest.raises(SystemExit):
        main([str(results), *arguments])

    assert complaint in capsys.readouterr().err


def test_results_without_costs_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that measures them is named."""
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"rows": [], "costs": None}))

    with pytest.raises(SystemExit):
        main([str(file)])

    assert "--only costs" in capsys.readouterr().err


def test_bound_of_connections_is_the_nodes_own() -> None:
    """A node refuses to know more peers than that."""
    assert BOUNDS.connections == PEERS_MAX
