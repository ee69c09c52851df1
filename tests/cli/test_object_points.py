"""`kvnode object bookmark` and `restore`."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from kvnode.client import Restored
from kvnode.errors import IndeterminateError, InvalidArgumentError
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode

BOOKMARK = ("object", "bookmark", "Counter", "c")
RESTORE = ("object", "restore", "Counter", "c", "mark")


def test_bookmark_is_printed_for_scripts(run: Run, node: FakeNode) -> None:
    """Alone in its line."""
    assert run(*BOOKMARK).stdout == "mark\n"
    assert json.loads(run(*BOOKMARK, "--json", "--id").stdout) == {"bookmark": "mark"}

    assert node.objects.calls == [
        ("Counter", "c", "", "bookmark", None),
        ("Counter", "", "c", "bookmark", None),
    ]


def test_bookmark_of_a_time_is_asked_for(run: Run, node: FakeNode) -> None:
    """With a zone, or so long ago."""
    run(*BOOKMARK, "--at", "2024-02-29T12:00:00+01:00")
    run(*BOOKMARK, "--ago", "15m")

    (*_, first), (*_, second) = node.objects.calls
    assert first == datetime(2024, 2, 29, 11, tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - second - timedelta(minutes=15)
    assert datetime.now(UTC) - second < timedelta(minutes=16)


@pytest.mark.parametrize(
    "options",
    [
        ("--at", "noon"),
        ("--at", "2024-02-29T12:00:00"),
        ("--ago", "-3"),
        ("--at", "2024-02-29T12:00:00Z", "--ago", "3s"),
    ],
)
def test_what_is_no_time_is_refused(
    run: Run, node: FakeNode, options: tuple[str, ...]
) -> None:
    """One without a zone, too: whose noon would it be?"""
    assert run(*BOOKMARK, *options).exit_code == 2
    assert node.objects.calls == []


def test_restore_asks_before(run: Run, node: FakeNode) -> None:
    """It takes back what others have written."""
    refused = run(*RESTORE, stdin=b"n\n")

    assert refused.exit_code != 0
    assert node.objects.calls == []
    assert "take back what was written since" in refused.stderr
    assert run(*RESTORE, stdin=b"y\n").exit_code == 0
    assert node.objects.calls == [("Counter", "c", "", "restore", "mark")]


@pytest.mark.parametrize(
    ("restored", "told"),
    [
        (Restored("undo", 3, 1, alarm=True, is_more=False), "3 keys and 1 page of SQL"),
        (Restored("undo", 0, 0, alarm=True, is_more=False), "the alarm changed"),
        (Restored("undo", 0, 0, alarm=False, is_more=False), "it was so already"),
        (
            Restored("undo", 1, 999, alarm=False, is_more=True),
            "more than 1 key and 999 pages of SQL changed",
        ),
    ],
)
def test_restore_prints_what_undoes_it_and_tells_what_changed(
    run: Run, node: FakeNode, restored: Restored, told: str
) -> None:
    """The one for scripts, the other for people."""
    node.objects.restored = restored

    result = run(*RESTORE, "--yes")

    assert result.stdout == "undo\n"
    assert told in result.stderr
    assert json.loads(run(*RESTORE, "--yes", "--json").stdout) == {
        "undo": "undo",
        "keys": restored.keys,
        "pages": restored.pages,
        "alarm": restored.alarm,
        "more": restored.is_more,
    }


def test_doubt_about_a_restore_is_told(run: Run, node: FakeNode) -> None:
    """To repeat it blindly would take back more."""
    node.objects.failure = IndeterminateError("the lead was lost")

    result = run(*RESTORE, "--yes")

    assert result.exit_code != 0
    assert "not known whether it was restored" in " ".join(result.stderr.split())


def test_refusal_is_told(run: Run, node: FakeNode) -> None:
    """It says what is kept."""
    node.objects.failure = InvalidArgumentError("too old: from noon on")

    result = run(*RESTORE, "--yes")

    assert result.exit_code != 0
    assert "from noon on" in result.stderr
