"""The command that works out what measured costs come to."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.scale import Manner, Way, table
from cluster.scale.__main__ import main, read_costs
from cluster.scale.table import BOUNDS, HEADINGS, LINKS, UNKNOWN
from kvnode.core.node.address_book import PEERS_MAX
from tests.cluster.scale.test_arithmetic import EXAMPLE, MEASURED


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What a benchmark has written that measured the example's costs."""
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"rows": [], "costs": asdict(EXAMPLE)}))
    return file


def test_costs_are_read_as_they_were_written(results: Path) -> None:
    """Those that are not measured stay so."""
    assert read_costs(results) == EXAMPLE


def test_table_has_every_size_and_says_what_it_does_not_know() -> None:
    """A cell without a figure is never empty, and never a guess."""
    lines = table(EXAMPLE, Way(Manner.FEW_LINKS, LINKS), sizes=(3, 1000)).splitlines()

    cells = [line.strip("| ").split(" | ") for line in lines]
    assert cells[0] == list(HEADINGS)
    assert [row[0] for row in cells[2:]] == ["3", "1,000"]
    assert [row[1] for row in cells[2:]] == ["2", "5"]
    assert all(row[2] == row[3] == row[6] == row[7] == UNKNOWN for row in cells[2:])
    assert {len(row) for row in cells} == {len(HEADINGS)}


def test_command_prints_both_ways_and_what_breaks(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the new layers' costs given by hand, nothing is unknown any more."""
    assert main([str(results)]) == 0
    partly = capsys.readouterr().out
    measured = asdict(MEASURED)
    added = ("round_micros", "round_bytes", "probe_micros", "link_micros")
    settings = [f"--set={name}={measured[name]}" for name in added]
    assert main([str(results), *settings]) == 0
    wholly = capsys.readouterr().out

    assert "connections from 1,026 nodes on" in partly
    assert UNKNOWN in partly
    assert UNKNOWN not in wholly
    assert table(MEASURED, Way(Manner.FEW_LINKS, LINKS)) in wholly


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
