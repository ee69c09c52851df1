"""`jepsen_like check`: verdicts as exit codes, as text and as one line of JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jepsen_like.checkers.budget import Budget
from jepsen_like.cli import app as app_module
from jepsen_like.cli import check as check_module
from jepsen_like.cli.app import app
from jepsen_like.cli.check import FormatName, initial_value
from jepsen_like.history import Header, History, json_lines
from jepsen_like.plan import Plan
from jepsen_like.plan_file import plan_text
from jepsen_like.readers import Format
from jepsen_like.verdict import Judgement, Verdict
from jepsen_like.workloads.register import RegisterWorkload

READ_COMMITTED_ONLY = "w 0 0\n=====\nw 0 1\n=====\nr 0 0\nr 0 1\n"
GOOD = "w(1,5,0,0)\nr(1,5,1,1)\n"
COUNTER = (
    "{:process 0 :type :invoke :f :add :value 1}\n"
    "{:process 0 :type :ok :f :add :value 1}\n"
    "{:process 0 :type :invoke :f :read :value nil}\n"
    "{:process 0 :type :ok :f :read :value 3}\n"
)

OURS = (
    '{"jepsen_like":1,"workload":"register","model":"eventual"}\n'
    '{"process":0,"f":"write","key":"x","argument":1,"called":1,"returned":2,'
    '"outcome":"ok"}\n'
    '{"process":1,"f":"final-read","key":"x","result":1,"called":3,"returned":4,'
    '"outcome":"ok"}\n'
    '{"process":1,"f":"final-conflicts","key":"x","result":[],"called":5,"returned":6,'
    '"outcome":"ok"}\n'
)
"""A history of one of our workloads."""

RUN_UNKNOWN = '{"run":{"verdict":"unknown","reason":"no fault came to be"}}\n'

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `jepsen_like check` on a file with the text given, and more arguments."""

    def run_on(text: str, *arguments: str) -> Result:
        path = tmp_path / "history"
        path.write_text(text, "utf-8")
        return CliRunner().invoke(app, ["check", str(path), *arguments])

    return run_on


def test_valid_history_ends_with_zero(run: Run) -> None:
    """And says so first."""
    result = run(GOOD)

    assert result.exit_code == 0, result.output
    assert "history: valid\n" in result.stdout
    assert "format plume, model transactions" in result.stdout


def test_invalid_history_ends_with_one_and_shows_its_witness(run: Run) -> None:
    """As a table of operations with an explanation."""
    result = run(COUNTER)

    assert result.exit_code == 1, result.output
    assert "history: invalid\n" in result.stdout
    assert "A read of None returned 3" in result.stdout
    assert "answered" in result.stdout


def test_json_is_one_line_with_verdict_and_witness(run: Run) -> None:
    """For programs; nothing else is on standard output."""
    result = run(COUNTER, "--json")

    assert result.exit_code == 1, result.output
    (line,) = result.stdout.splitlines()
    document = json.loads(line)
    assert document["verdict"] == "invalid"
    assert document["format"] == "edn"
    assert document["model"] == "counter"
    assert document["operations"] == 2
    assert document["seconds"] >= 0
    assert document["witness"]["explanation"]
    assert document["witness"]["operations"][0]["f"] == "read"


def test_transactions_are_told_by_level(run: Run) -> None:
    """The strongest decides."""
    result = run(READ_COMMITTED_ONLY, "--json")

    document = json.loads(result.stdout)
    assert document["levels"] == {"rc": "valid", "ra": "invalid", "cc": "invalid"}
    assert (document["verdict"], result.exit_code) == ("invalid", 1)


@pytest.mark.parametrize("level", ["rc", "read-committed"])
def test_level_that_is_asked_for_decides(run: Run, level: str) -> None:
    """By its short name or its long one; the others are told all the same."""
    result = run(READ_COMMITTED_ONLY, "--json", "--level", level)

    document = json.loads(result.stdout)
    assert (document["verdict"], result.exit_code) == ("valid", 0)
    assert "witness" not in document
    assert document["levels"]["cc"] == "invalid"


def test_unknown_is_no_success(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an exit code of its own and says why."""

    def give_up(*_: object, budget: Budget, **__: object) -> tuple[Judgement, ...]:
        reason = f"no answer within {budget.seconds:g} s"
        return (Judgement("counter", Verdict.UNKNOWN, reason),)

    monkeypatch.setattr("jepsen_like.judging.judge", give_up)

    result = run(COUNTER, "--json", "--limit-seconds", "0.5")

    assert result.exit_code == 3, result.output
    document = json.loads(result.stdout)
    assert document["verdict"] == "unknown"
    assert document["reason"] == "no answer within 0.5 s"
    assert "witness" not in document
    assert "unknown" in run(COUNTER).stdout


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("hello", (), "history: no history in any format"),
        ("w(1,2", ("--format", "plume"), "history:1: expected w("),
        (GOOD, ("--format", "horse"), "horse"),
        (GOOD, ("--model", "horse"), "no model 'horse': there are register"),
        (COUNTER, ("--level", "rc"), "has no levels"),
        (COUNTER, ("--initial", "[1]"), "--initial is a number"),
        (COUNTER, ("--limit-seconds", "0"), "limit-seconds"),
        (COUNTER, ("--model", "mutex"), "no operation 'add'"),
        (OURS, ("--model", "total-queue"), "it has write, read"),
        (
            OURS,
            ("--model", "list-append", "--level", "x"),
            "no level is called 'x': there are read-uncommitted, read-committed,",
        ),
        (
            plan_text(Plan("register", 1, ("n1",), (), 30_000)),
            (),
            "history: a plan, no history: `jepsen_like replay ",
        ),
        (OURS, ("--level", "cc"), "give --model, too (list-append, rw-register,"),
    ],
)
def test_wrong_request_ends_with_two_and_says_what_is_wrong(
    run: Run, text: str, arguments: tuple[str, ...], message: str
) -> None:
    """On standard error; there is no verdict."""
    result = run(text, *arguments)

    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not result.stdout


def test_missing_file_is_named() -> None:
    """As any program would."""
    result = CliRunner().invoke(app, ["check", "/nowhere/at all"])

    assert result.exit_code == 2
    assert "/nowhere/at all: No such file" in result.stderr


def test_history_without_model_asks_for_one(tmp_path: Path) -> None:
    """Our own format may leave it open."""
    path = tmp_path / "h"
    json_lines.write(History((), header=Header()), path)

    result = CliRunner().invoke(app, ["check", str(path)])

    assert result.exit_code == 2
    assert "give one with --model" in result.stderr
    valid = CliRunner().invoke(app, ["check", str(path), "--model", "counter"])
    assert valid.exit_code == 0
    assert "empty" in valid.stdout


def test_history_of_a_workload_is_judged_by_what_that_promises(tmp_path: Path) -> None:
    """Which is more than its model alone, and its model may be of no checker."""
    path = tmp_path / "h"
    header = Header(workload="register", model="eventual")
    json_lines.write(History((), header=header), path)

    result = CliRunner().invoke(app, ["check", str(path), "--json"])

    checkers = [each["checker"] for each in json.loads(result.stdout)["judgements"]]
    assert checkers == [each.checker for each in RegisterWorkload().judge(History(()))]
    assert len(checkers) > 1


@pytest.mark.parametrize("model", ["register", "sessions", "transactions"])
def test_history_of_a_workload_can_be_judged_by_a_model(run: Run, model: str) -> None:
    """Whatever was asked at the quiet end is in nobody's way."""
    result = run(OURS, "--model", model)

    assert result.exit_code == 0, result.output


def test_final_reads_are_reads_to_a_register(run: Run) -> None:
    """A store that has one order of all answers them by it."""
    result = run(OURS.replace('"result":1', '"result":2'), "--model", "register")

    assert result.exit_code == 1, result.output


@pytest.mark.parametrize("arguments", [(), ("--model", "register")])
def test_what_was_found_of_the_run_is_shown_and_counts(
    run: Run, arguments: tuple[str, ...]
) -> None:
    """A run that could show nothing is no success, whatever its operations say."""
    assert run(OURS, *arguments).exit_code == 0
    result = run(OURS + RUN_UNKNOWN, "--json", *arguments)

    document = json.loads(result.stdout)
    assert (result.exit_code, document["verdict"]) == (3, "unknown")
    assert document["reason"] == "no fault came to be"
    assert document["judgements"][-1]["checker"] == "run"


def test_run_of_unknown_worth_does_not_hide_a_contradiction(run: Run) -> None:
    """Invalid is worse than unknown."""
    wrong = OURS.replace('"result":1', '"result":2')

    assert run(wrong + RUN_UNKNOWN, "--model", "register").exit_code == 1


def test_standard_input_is_read_for_a_dash() -> None:
    """So that a history can come through a pipe."""
    result = CliRunner().invoke(app, ["check", "-", "--json"], input=COUNTER)

    assert json.loads(result.stdout)["verdict"] == "invalid"


def test_initial_value_changes_the_verdict(run: Run) -> None:
    """A counter that began at two holds three after one more."""
    assert run(COUNTER, "--initial", "2").exit_code == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("nil", None), ("null", None), ("3", 3), ("true", True), ('"3"', "3"), ("x", "x")],
)
def test_initial_value_is_json_nil_or_text(text: str, value: object) -> None:
    """What people type."""
    found = initial_value(text)

    assert found == value
    assert type(found) is type(value)


def test_formats_of_the_command_are_those_of_the_readers() -> None:
    """They are named twice so that help is quick; the names must agree."""
    assert [each.value for each in FormatName] == [each.value for each in Format]


def test_help_says_what_exit_codes_mean() -> None:
    """And names the formats."""
    text = CliRunner().invoke(app, ["check", "--help"]).stdout

    assert "3 unknown" in text
    assert "awdit" in text


def test_commands_that_are_there_are_part_of_the_program() -> None:
    """And no others."""
    names = [info.name for info in app.registered_commands]

    assert names[0] == "check"
    assert set(names) <= set(app_module.COMMANDS)
    assert check_module.register.__module__ == "jepsen_like.cli.check"
