"""`jepsen_like replay`: the same bytes again."""

import json
from pathlib import Path

from typer.testing import CliRunner

from jepsen_like.cli.app import app

FAKES = "tests.jepsen_like.fakes"
LITTLE = ("--nemesis", "kill", "--operations", "60", "--seconds", "2", "--seed", "1")


def _invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_kept_plan_gives_the_kept_history(tmp_path: Path) -> None:
    """Its digest is that of the file, and the verdict is the same."""
    system = ("--system", f"{FAKES}:forgetful")
    code, output = _invoke("run", *system, *LITTLE, "--out", str(tmp_path), "--json")
    assert code == 1, output
    digest = json.loads(output)["sha256"]

    code, output = _invoke("replay", str(tmp_path / "plan.json"), *system)

    assert code == 1, output
    assert f"The same history twice, SHA-256 {digest}" in output


def test_options_give_the_same_plan_as_they_gave_run() -> None:
    """No file is needed."""
    system = ("--system", f"{FAKES}:linearizable")
    _, ran = _invoke("run", *system, *LITTLE, "--json")
    code, replayed = _invoke("replay", *system, *LITTLE, "--json")

    assert code == 0, replayed
    assert json.loads(replayed)["sha256"] == json.loads(ran)["sha256"]
    assert json.loads(replayed)["repeated"] is True


def test_runs_that_differ_are_no_proof_of_anything() -> None:
    """Then something draws from what the plan does not say."""
    code, output = _invoke("replay", "--system", f"{FAKES}:restless", *LITTLE)

    assert code == 3, output
    assert "two runs of the same plan differ" in " ".join(output.split())


def test_other_history_beside_the_plan_is_told(tmp_path: Path) -> None:
    """The program has changed since, or the system."""
    system = ("--system", f"{FAKES}:linearizable")
    _invoke("run", *system, *LITTLE, "--out", str(tmp_path))
    _change(tmp_path / "history.jsonl", b"seed", b"sead")

    code, output = _invoke("replay", str(tmp_path / "plan.json"), *system)

    assert code == 3, output
    assert "another one now" in " ".join(output.split())


def _change(path: Path, old: bytes, new: bytes) -> None:
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))


def test_what_was_found_of_the_kept_run_is_not_compared(tmp_path: Path) -> None:
    """The history is the same whatever somebody made of it."""
    system = ("--system", f"{FAKES}:linearizable")
    _invoke("run", *system, *LITTLE, "--out", str(tmp_path))
    _change(tmp_path / "history.jsonl", b'"share succeeded"', b'"share"')

    code, output = _invoke("replay", str(tmp_path / "plan.json"), *system)

    assert code == 0, output


def test_real_system_is_run_once_and_judged(tmp_path: Path) -> None:
    """Only a simulation repeats itself, so there is nothing to compare."""
    system = ("--system", f"{FAKES}:in_real_time")
    little = ("--operations", "20", "--seconds", "0.05")
    code, output = _invoke("run", *system, *little, "--out", str(tmp_path))
    assert code == 0, output

    code, output = _invoke("replay", str(tmp_path / "plan.json"), *system)
    assert code == 0, output
    assert "only a simulation repeats to the byte" in " ".join(output.split())
    assert "twice" not in output

    code, output = _invoke("replay", *system, *little, "--json")
    assert (code, json.loads(output)["repeated"]) == (0, None)


def test_bad_file_ends_with_two(tmp_path: Path) -> None:
    """A missing one, too."""
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")

    code, output = _invoke("replay", str(tmp_path / "plan.json"))
    assert code == 2
    assert "'format' is missing" in " ".join(output.split())
    assert _invoke("replay", str(tmp_path / "none.json"))[0] == 2
