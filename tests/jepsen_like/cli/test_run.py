"""`jepsen_like run`: from options to a verdict."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jepsen_like.cli import run as cli_run
from jepsen_like.cli.app import app
from jepsen_like.history import json_lines
from jepsen_like.plan_file import read_plan
from jepsen_like.verdict import Verdict

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
    assert document["replay"].startswith("jepsen_like replay --workload register")


@pytest.mark.parametrize("command", ["run", "replay"])
def test_json_of_a_run_that_could_not_begin_says_why(command: str) -> None:
    """For who runs many: nothing on stdout says nothing about which it was."""
    result = CliRunner().invoke(
        app,
        [command, "--system", f"{FAKES}:unstartable", *LITTLE, "--json"],
    )
    document = json.loads(result.stdout)
    assert (result.exit_code, document["verdict"]) == (3, "unknown")
    assert (document["seed"], document["workload"]) == (1, "register")
    assert "the port is taken" in document["reason"]
    assert "the port is taken" in result.stderr


def test_json_of_a_run_has_fields_that_are_true() -> None:
    """There is no file that was read, and no format that it was in."""
    document = json.loads(_run("linearizable", "--nemesis", "kill", "--json")[1])

    assert document["title"] == (f"register under kill on {FAKES}:linearizable, seed 1")
    told = [document[name] for name in ("workload", "nemesis", "system")]
    assert told == ["register", "kill", f"{FAKES}:linearizable"]
    assert not {"file", "format"} & document.keys()


def test_run_in_real_time_is_run_again_and_not_replayed() -> None:
    """It will not be the same to the byte."""
    result = CliRunner().invoke(
        app,
        [
            *("run", "--system", f"{FAKES}:in_real_time", "--seconds", "0.05"),
            *("--operations", "10", "--nemesis", "bit-flips"),
        ],
    )

    assert result.exit_code == 3, result.output
    assert "Again: jepsen_like run " in result.output


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    """History, plan and report."""
    code, output = _run("linearizable", "--nemesis", "kill", "--out", str(tmp_path))

    assert code == 0, output
    history = json_lines.read(tmp_path / "history.jsonl")
    assert history.header.workload == "register"
    assert history.run is not None
    assert history.run.verdict is Verdict.VALID
    assert read_plan(tmp_path / "plan.json").seed == 1
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--nemesis", "kil"), "no nemesis is called 'kil'"),
        (("--workload", "nothing"), "nothing"),
        (("--nemesis", "partition", "--nodes", "1"), "needs 2 nodes"),
        (("--system", "nowhere:x"), "No module named 'nowhere'"),
        (("--system", "foo"), "choose one of simulated, processes"),
        (("--system", "redis"), "give --nodes 2"),
        (
            ("--system", "simulated", "--previous-install", "/"),
            "simulated has no previous version",
        ),
        (
            ("--system", "processes", "--previous-install", "/"),
            "pip install --no-deps --target /",
        ),
        (("--nemesis", "foo"), "choose from these, with commas between several: none,"),
    ],
)
def test_wrong_request_ends_with_two_and_says_why(
    options: tuple[str, ...], complaint: str
) -> None:
    """Before anything is started."""
    code, output = _run("linearizable", *options)

    assert code == 2, output
    assert complaint in " ".join(output.split())


def test_missing_report_library_is_said_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not after an hour of it."""
    monkeypatch.setattr(cli_run, "find_spec", lambda _: None)

    code, output = _run("linearizable", "--out", str(tmp_path / "kept"))

    assert code == 2
    assert "pip install 'kvnode[harness]'" in output
    assert not (tmp_path / "kept").exists()
