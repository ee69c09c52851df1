"""`kvnode cluster sim`, for people and for programs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.commands import app


def sim(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["sim", *arguments])


def test_json_has_the_figures_that_others_publish() -> None:
    """One object, and nothing else on stdout."""
    result = sim("--nodes", "20", "--loss", "0.1", "--seed", "3", "--json")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"p50_ms", "p99_ms", "sends_per_change", "delivered"} <= found.keys()
    assert (found["nodes"], found["loss"], found["seed"]) == (20, 0.1, 3)
    assert found["changes"] == 20
    assert found["wall_seconds"] > 0


def test_table_says_what_each_figure_is() -> None:
    """Also what it can be measured against."""
    result = sim("--nodes", "12", "--changes", "5", "--crash", "1")

    assert result.exit_code == 0, result.output
    assert "until a change is everywhere" in result.stdout
    assert "1 of them crashed" in result.stdout
    assert "farthest flight" in result.stdout


def test_report_is_written_beside_the_figures(tmp_path: Path) -> None:
    """One run serves for both."""
    page = tmp_path / "page.html"

    result = sim("--nodes", "5", "--report", str(page), "--json")

    assert result.exit_code == 0, result.output
    assert "5 nodes" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "problem", "code"),
    [
        (["--nodes", "1"], "nodes must be 2 to 5,000", 2),
        (["--loss", "1"], "loss must be at least 0 and below 1", 2),
        (["--crash", "49"], "of 50 nodes, 0 to 48 can crash", 2),
        (["--report", "/nowhere/page.html"], "there is no directory /nowhere", 1),
    ],
)
def test_bad_options_are_refused_in_a_line(
    arguments: list[str], problem: str, code: int
) -> None:
    """Before anything is computed."""
    result = sim(*arguments)

    assert result.exit_code == code
    assert problem in result.stderr
    assert result.stdout == ""
