"""`kvnode object alarm`."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from kvnode.errors import (
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    UnavailableError,
)
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode

ALARM = ("object", "alarm", "Cart", "c")
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_alarm_is_printed_with_how_long_that_is(run: Run, node: FakeNode) -> None:
    """The time in UTC, to the millisecond if it has some."""
    node.objects.alarm = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    stamp = node.objects.alarm.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert run(*ALARM).stdout == f"{stamp}, in 5 minutes\n"

    node.objects.alarm = NOON.replace(microsecond=250_000)
    assert run(*ALARM).stdout == "2024-02-29T12:00:00.250Z, as soon as it can\n"
    printed = run(*ALARM, "--json", "--id")
    assert json.loads(printed.stdout) == {"rings_at": NOON.timestamp() + 0.25}
    assert node.objects.calls == [
        ("Cart", "c", "", "alarm"),
        ("Cart", "c", "", "alarm"),
        ("Cart", "", "c", "alarm"),
    ]


def test_that_none_is_set_is_told_to_people(run: Run) -> None:
    """It is an answer, and no failure."""
    done = run(*ALARM)

    assert (done.exit_code, done.stdout) == (0, "")
    assert "no alarm of Cart c is set" in done.stderr
    assert json.loads(run(*ALARM, "--json").stdout) == {"rings_at": None}


def test_alarm_is_set_and_deleted(run: Run, node: FakeNode) -> None:
    """What is so then is printed as if one had looked."""
    at = run(*ALARM, "--at", "2024-02-29T13:00:00+01:00")
    after = run(*ALARM, "--in", "15m")
    now = run(*ALARM, "--now")
    off = run(*ALARM, "--off")

    asked = [what for *_, what in node.objects.calls]
    assert asked == [NOON, timedelta(minutes=15), 0, None]
    assert at.stdout == "2024-02-29T12:00:00Z, as soon as it can\n"
    assert after.stdout.endswith("Z, in 15 minutes\n")
    assert now.stdout.endswith("Z, now\n")
    assert (off.exit_code, off.stdout) == (0, "")
    assert "no alarm of Cart c is set" in off.stderr


def test_hint_goes_along_with_an_alarm(run: Run, node: FakeNode) -> None:
    """It may be the first that is heard of the object."""
    run(*ALARM, "--in", "3s", "--location-hint", "europe")

    assert node.objects.hints == ["europe"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", "noon"), "no time with a zone"),
        (("--at", "2024-02-29T12:00:00"), "no time with a zone"),
        (("--in", "-3"), "no span of time"),
        (("--in", "soon"), "no span of time"),
        (("--now", "--off"), "give one of --now, --off"),
        (("--at", "2024-02-29T12:00:00Z", "--in", "3s"), "give one of --at, --in"),
    ],
)
def test_what_is_no_time_is_refused_before_anything_is_asked(
    run: Run, node: FakeNode, options: tuple[str, ...], message: str
) -> None:
    """With what it takes."""
    done = run(*ALARM, *options)

    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert node.objects.calls == []


@pytest.mark.parametrize("failure", [IndeterminateError("lost"), DeadlineError("late")])
def test_doubt_about_an_alarm_is_one_about_setting_it(
    run: Run, node: FakeNode, failure: IndeterminateError | DeadlineError
) -> None:
    """To look changes nothing."""
    node.objects.failure = failure

    looked, deleted = run(*ALARM), run(*ALARM, "--off")

    assert looked.exit_code == 3
    assert "not known" not in looked.stderr
    assert deleted.exit_code == 4
    told = " ".join(deleted.stderr.split())
    assert "not known whether the alarm was changed" in told


@pytest.mark.parametrize(
    ("failure", "code"),
    [(InvalidArgumentError("has no `alarm`"), 2), (UnavailableError("nobody"), 3)],
)
def test_refusal_of_an_alarm_is_told(
    run: Run, node: FakeNode, failure: InvalidArgumentError, code: int
) -> None:
    """As the node says it."""
    node.objects.failure = failure

    done = run(*ALARM, "--now")

    assert done.exit_code == code
    assert str(failure) in done.stderr
