"""`jepsen_like explore`: many seeds, and what fails kept small."""

import json
from pathlib import Path

from typer.testing import CliRunner

from jepsen_like.cli.app import app
from jepsen_like.plan_file import read_plan

FAKES = "tests.jepsen_like.fakes"
LITTLE = ("--nemesis", "kill", "--operations", "40", "--seconds", "1", "--jobs", "1")


def _explore(system: str, out: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app,
        [
            *("explore", "--system", f"{FAKES}:{system}", "--out", str(out)),
            *(*LITTLE, *options),
        ],
    )
    return result.exit_code, result.output


def test_good_system_is_valid_and_nothing_is_kept(tmp_path: Path) -> None:
    """With the rates that were reached."""
    code, output = _explore("linearizable", tmp_path / "kept", "--seeds", "5")

    assert code == 0, output
    assert "valid; 5 seeds" in output
    assert "simulated hours a second" in output
    assert not (tmp_path / "kept").exists()


def test_failure_is_cut_down_kept_and_replayed_by_one_command(tmp_path: Path) -> None:
    """One for each kind of failure."""
    code, output = _explore("forgetful", tmp_path, "--seeds", "6")

    assert code == 1, output
    commands = [line.split()[1:] for line in output.splitlines() if " replay " in line]
    assert commands
    for command in commands:
        assert len(read_plan(Path(command[1])).steps) <= 4
        assert CliRunner().invoke(app, command).exit_code == 1


def test_first_failure_ends_the_search(tmp_path: Path) -> None:
    """And without shrinking the plan is kept whole."""
    code, output = _explore(
        *("forgetful", tmp_path, "--seeds", "1000", "--first-failure"),
        *("--no-shrink", "--json"),
    )

    document = json.loads(output)
    assert code == 1
    assert len(document["failed"]) == 1
    assert document["seeds"] < 1000
    (kept,) = document["kept"]
    assert kept["steps"] == kept["steps_before"] > 40


def test_seeds_that_break_are_unknown(tmp_path: Path) -> None:
    """Never a success."""
    code, output = _explore("broken", tmp_path, "--seeds", "3")

    assert code == 3, output
    assert "a mistake in the simulation" in output


def test_no_seed_in_the_time_is_unknown(tmp_path: Path) -> None:
    """Nothing was tried."""
    code, output = _explore(
        "linearizable", tmp_path, "--seeds", "3", "--limit-seconds", "0"
    )

    assert code == 3, output


def test_system_without_another_version_is_refused_at_once(tmp_path: Path) -> None:
    """Before any seed is begun; so is a simulation, which is one process."""
    code, output = _explore(
        "linearizable", tmp_path, "--previous-install", str(tmp_path)
    )

    assert code == 2, output
    assert "has no previous version to begin with" in " ".join(output.split())
