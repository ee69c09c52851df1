"""`jepsen_like bench`: what it prints, and when it fails."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jepsen_like.benchmarks import linearizable
from jepsen_like.benchmarks.section import Section
from jepsen_like.cli.app import app
from jepsen_like.history import History, Operation, Outcome
from jepsen_like.verdict import Judgement, Verdict

ONE = History.of([Operation(0, "read", None, None, None, 1, 2, Outcome.OK)])


def _section(name: str, expected: Verdict) -> Section:
    return Section(name, 5.0, lambda: ONE, _always_valid, expected)


def _always_valid(_: History) -> Judgement:
    return Judgement("fake", Verdict.VALID)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure two things that take no time, one of which is judged wrong."""
    made = (
        _section("fake that is right", Verdict.VALID),
        _section("fake that is wrong", Verdict.INVALID),
    )
    monkeypatch.setattr(linearizable, "sections", lambda: made)


def _bench(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output


@pytest.mark.usefixtures("fakes")
def test_right_verdict_is_a_row_with_size_time_and_aim() -> None:
    """Nothing else is measured than what was asked for."""
    code, output = _bench("--only", "THAT IS RIGHT")

    assert code == 0
    assert "fake that is right" in output
    assert "< 5" in output
    assert "wrong" not in output


@pytest.mark.usefixtures("fakes")
def test_wrong_verdict_fails() -> None:
    """The table says what it should have been."""
    code, output = _bench("--only", "fake")

    assert code == 1
    assert "valid, not invalid" in output


@pytest.mark.usefixtures("fakes")
def test_json_is_one_line_for_each_section() -> None:
    """For machines that compare two commits."""
    _, output = _bench("--only", "fake", "--json")

    documents = [json.loads(line) for line in output.splitlines()]

    assert [document["right"] for document in documents] == [True, False]
    assert {document["operations"] for document in documents} == {1}
    assert all(document["seconds"] >= 0 for document in documents)


@pytest.mark.usefixtures("fakes")
def test_unknown_section_is_a_wrong_request() -> None:
    """Nothing is measured."""
    code, output = _bench("--only", "frobnication")

    assert code == 2
    assert "no section has 'frobnication' in its name" in output


def test_directory_without_manifest_is_a_wrong_request(tmp_path: Path) -> None:
    """The message names the file that is missing."""
    code, output = _bench("--only", "public", "--histories", str(tmp_path))

    assert code == 2
    assert "manifest.json" in output
