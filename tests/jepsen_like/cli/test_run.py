"""`jepsen_like run`: from options to a verdict."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jepsen_like.cli.app import app
from jepsen_like.history import json_lines
from jepsen_like.plan_file import read_plan

FAKES = "tests.jepsen_like.fakes"
LITTLE = ("--operations", "60", "--seconds", "2", "--seed", "1")


def _run(system: str, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, ["run", "--system", f"{FAKES}:{system}", *LITTLE, *options]
    )
    return result.exit_code, result.output


def test_valid_run_ends_with_zero() -> None:
    """And tells what each checker says."""
    code, output = _run("linearizable", "--nemesis", "kill,partition")

    assert code == 0, output
    assert "seed 1: valid" in output
    assert "durability" in output


def test_invalid_run_ends_with_one_a_witness_and_the_command_to_see_it_again() -> None:
    """The command, as printed, gives the same."""
    code, output = _run("forgetful", "--nemesis", "kill")

    assert code == 1, output
    assert "lost write" in output
    (line,) = [line for line in output.splitlines() if line.startswith("Again: ")]
    again = CliRunner().invoke(app, line.split()[2:])
    assert again.output == output or again.exit_code == 1
    assert line in again.output


def test_run_whose_faults_are_not_possible_is_unknown() -> None:
    """A dictionary has no bits to flip."""
    code, output = _run("linearizable", "--nemesis", "bit-flips")

    assert code == 3, output
    assert "planned faults never came to be" in output


def test_json_is_one_line_with_verdict_seed_and_digest() -> None:
    """For programs."""
    code, output = _run("forgetful", "--nemesis", "kill", "--json")

    document = json.loads(output)
    assert (code, document["verdict"], document["seed"]) == (1, "invalid", 1)
    assert document["witness"]["kind"] == "lost write"
    assert len(document["sha256"]) == 64
    assert document["replay"].startswith("jepsen_like run --workload register")


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    """History, plan and report."""
    code, output = _run("linearizable", "--nemesis", "kill", "--out", str(tmp_path))

    assert code == 0, output
    history = json_lines.read(tmp_path / "history.jsonl")
    assert history.header.workload == "register"
    assert read_plan(tmp_path / "plan.json").seed == 1
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--nemesis", "kil"), "no nemesis is called 'kil'"),
        (("--workload", "nothing"), "nothing"),
        (("--nemesis", "partition", "--nodes", "1"), "needs 2 nodes"),
        (("--system", "nowhere:x"), "No module named 'nowhere'"),
    ],
)
def test_wrong_request_ends_with_two_and_says_why(
    options: tuple[str, ...], complaint: str
) -> None:
    """Before anything is started."""
    code, output = _run("linearizable", *options)

    assert code == 2, output
    assert complaint in " ".join(output.split())
