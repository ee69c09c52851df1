"""Listing, watching, conflicts, values that merge, nodes, namespaces."""

import json

import pytest

from kvnode.cli.output import size_text, time_text
from kvnode.client import Changes, Kind
from kvnode.errors import DeadlineError
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode, a_change, a_conflict, a_value


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_pages_until_it_is_complete(run: Run, node: FakeNode) -> None:
    """All keys are printed in order, whatever the size of a page."""
    node.page_max = 2
    node.values = {f"k{number}".encode(): a_value() for number in range(5)}

    assert run("list").stdout.split() == ["k0", "k1", "k2", "k3", "k4"]


def test_list_in_json_is_one_document(run: Run, node: FakeNode) -> None:
    """Pages do not show."""
    node.page_max = 1
    node.values = {b"a": a_value(b"1"), b"b": a_value(b"2"), b"c": a_value(b"3")}

    document = json.loads(run("list", "--json", "--values").stdout)

    assert [item["value"] for item in document["items"]] == ["1", "2", "3"]
    assert document["complete"] is True
    assert document["cursor"] is None


def test_limited_list_goes_on_with_its_cursor(run: Run, node: FakeNode) -> None:
    """Two halves make the whole."""
    node.values = {b"a": a_value(), b"b": a_value(), b"c": a_value()}

    first = json.loads(run("list", "--json", "--limit", "2").stdout)
    second = json.loads(run("list", "--json", "--cursor", first["cursor"]).stdout)

    assert [item["key"] for item in first["items"]] == ["a", "b"]
    assert [item["key"] for item in second["items"]] == ["c"]


def test_list_keeps_one_key_a_line_whatever_is_in_it(run: Run, node: FakeNode) -> None:
    """Newlines and escape sequences in keys do not reach the terminal."""
    node.values = {b"a\nb\x1b[31m": a_value(), b"\xff": a_value()}

    assert run("list").stdout.splitlines() == ["a\\nb\\x1b[31m", "\\xff"]
    assert run("list", "--hex").stdout.splitlines()[1] == "ff"


def test_long_list_tells_kind_expiry_and_metadata(run: Run, node: FakeNode) -> None:
    """Columns are separated by tabs."""
    node.values[b"a"] = a_value(metadata=[1], expires_at=0.0)

    columns = run("list", "-l").stdout.rstrip("\n").split("\t")

    assert columns == ["a", "register", "1970-01-01T00:00:00Z", "[1]"]


def test_watch_prints_changes_and_positions(run: Run, node: FakeNode) -> None:
    """A position follows what it is the position of."""
    node.changes = [
        Changes((), b"t0"),
        a_change(b"a", a_value(b"on")),
        a_change(b"a", None),
        Changes((), b"t9", (a_conflict(b"a"),)),
    ]

    lines = _lines(run("watch", "--json", "--conflicts").stdout)

    kinds = [line["type"] for line in lines]
    assert kinds == [
        "position",
        "put",
        "position",
        "delete",
        "position",
        "conflict",
        "position",
    ]
    position = lines[-1]
    assert position == {"type": "position", "resume_token": "dDk="}


def test_watch_ends_after_count_and_tells_how_to_go_on(
    run: Run, node: FakeNode
) -> None:
    """The token that is printed is the one of the last step shown."""
    node.changes = [a_change(b"a", a_value(b"x\ny")), a_change(b"b", a_value())]

    result = run("watch", "--count", "1")

    assert result.stdout == "put\ta\tx\\ny\n"
    assert "--resume-token dG9rZW4tYQ==" in result.stderr


def test_watch_resumes_with_the_token_it_printed(run: Run, node: FakeNode) -> None:
    """Base64 on the command line, bytes to the node."""
    run("watch", "a/", "--resume-token", "dG9rZW4tYQ==")

    assert node.writes[0]["resume_token"] == b"token-a"
    assert node.writes[0]["prefix"] == b"a/"


def test_conflicts_of_all_pages_are_shown(run: Run, node: FakeNode) -> None:
    """Replicas are in hex, since 64 bits are too many for JSON numbers."""
    node.conflicts = [a_conflict(b"a"), a_conflict(b"b", Kind.ABSENT)]

    document = json.loads(run("conflicts", "--json").stdout)
    text = run("conflicts").stdout

    assert [each["key"] for each in document["conflicts"]] == ["a", "b"]
    assert document["conflicts"][0]["replica"] == "f" * 16
    assert document["total_ever"] == 2
    assert "(a deletion)" in text


def test_counter_counts_down_too(run: Run) -> None:
    """A negative number is an argument, not an option."""
    assert run("counter", "add", "c").stdout == "1\n"
    assert run("counter", "add", "c", "-5").stdout == "-4\n"
    assert json.loads(run("counter", "get", "c", "--json").stdout)["value"] == -4


def test_counter_warns_that_repeating_counts_twice(run: Run, node: FakeNode) -> None:
    """Unlike a put, an increment must not be repeated blindly."""
    node.failure = DeadlineError("late")

    result = run("counter", "add", "c")

    assert result.exit_code == 4
    assert "may count it twice" in " ".join(result.stderr.split())


def test_set_adds_removes_and_lists_in_order(run: Run) -> None:
    """Members are printed one a line."""
    assert run("set", "add", "s", "y", "x", "z").stdout == "3\n"
    assert run("set", "remove", "s", "z").stdout == "2\n"
    assert run("set", "members", "s").stdout == "x\ny\n"
    document = json.loads(run("set", "members", "s", "--json").stdout)
    assert document["members"] == [{"member": "x"}, {"member": "y"}]


def test_document_is_printed_as_json(run: Run, node: FakeNode) -> None:
    """And nothing else is taken for a document."""
    node.values = {
        b"d": a_value(b'{"text": "hi"}', kind=Kind.DOCUMENT),
        b"r": a_value(b"{}"),
    }

    assert json.loads(run("document", "get", "d").stdout) == {"text": "hi"}
    assert run("document", "get", "r").exit_code == 2
    assert run("document", "get", "nothing").exit_code == 1


def test_status_shows_what_refuses_and_what_is_down(run: Run) -> None:
    """Brackets in a node's words are words, not colours."""
    text = run("status").stdout

    assert "refused: the clock is off [by 2 s]" in text
    assert "down" in text
    assert "1.0 TiB free" in text


def test_status_asks_every_endpoint_and_ends_with_3_if_one_is_down(run: Run) -> None:
    """The others are shown all the same."""
    result = run("-e", "up:1,down:1", "status", "--json")

    nodes = json.loads(result.stdout)["nodes"]
    assert result.exit_code == 3
    assert [node["reachable"] for node in nodes] == [True, False]
    assert nodes[0]["replica"] == nodes[0]["peers"][0]["replica"] == "f" * 16
    assert "nobody listens" in result.stderr


def test_namespaces_come_and_go(run: Run, node: FakeNode) -> None:
    """Deleting asks first, since everything in it goes, too."""
    assert run("namespace", "create", "users").exit_code == 0
    assert run("namespace", "list").stdout == "default\nusers\n"

    refused = run("namespace", "delete", "users", stdin=b"n\n")
    assert refused.exit_code == 1
    assert "users" in node.namespaces

    assert run("namespace", "delete", "users", "--yes").exit_code == 0
    assert node.namespaces == ["default"]


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 40, "1.0 TiB")],
)
def test_sizes_have_units(size_bytes: int, text: str) -> None:
    """Units are powers of 1,024."""
    assert size_text(size_bytes) == text


def test_times_beyond_the_calendar_are_still_shown() -> None:
    """A deadline may lie further ahead than dates go."""
    assert time_text(1e15) == "after the year 9999"
    assert time_text(None) == "never"
