"""Recovery files are listed, and chosen entries come back as new writes (G2b)."""

import base64
import json
import time
from pathlib import Path

import pytest

from kvnode.cli.transfer.recovery_records import BadLine, Rescued, read_rescued
from kvnode.core.crdt.document import Document
from kvnode.core.versions.version import NEVER, Entry, Kind, Version
from kvnode.storage.rescue import rescue_files, rescue_to
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode, a_value
from tests.core.replication.entries import A, at, counter, register

NOW_MS = 1_700_000_000_000


def _line(kind: str, key: str, **fields: object) -> str:
    document = {"namespace": "default", "type": kind, "key": key, "written_at": 1.5}
    return json.dumps(document | fields) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with an entry of every type."""
    update = base64.b64encode(b"update").decode()
    path = tmp_path / "recovery" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(
        _line("register", "r", value="v", metadata={"by": "me"})
        + _line("counter", "c", value=-3)
        + _line("set", "s", value=[{"member": "x"}, {"member_base64": "/w=="}])
        + _line("document", "d", value_base64=update)
        + _line("tombstone", "t")
    )
    return path


# -- the file ----------------------------------------------------------------------


def test_what_a_node_rescues_can_be_read_again(tmp_path: Path) -> None:
    """Writer and reader of the format agree, odd bytes included."""
    deadline = Millis(NOW_MS)
    odd = Version(
        Kind.REGISTER, HlcTimestamp(NOW_MS << 16), Dot(A, 1), deadline=deadline
    )
    dead = Version(Kind.TOMBSTONE, HlcTimestamp(5), Dot(A, 2), deadline=NEVER)
    entries = [
        (EntryKey(Namespace("users"), b"\xff"), Entry(odd, b"\xfe", '{"a": 1}')),
        (at(b"c"), counter(Dot(A, 4))),
        (at(b"t"), Entry(dead)),
        (
            at(b"d"),
            Entry(
                register(Dot(A, 5)).version._replace(kind=Kind.DOCUMENT),
                Document().encode(),
            ),
        ),
    ]
    path = rescue_to(tmp_path, A, entries)

    found = [entry for _, entry in read_rescued(path)]

    first = Rescued(
        "users", "register", b"\xff", b"\xfe", {"a": 1}, NOW_MS / 1000, NOW_MS / 1000
    )
    assert found[0] == first
    assert [e.kind for e in found[1:] if isinstance(e, Rescued)] == [
        "counter",
        "tombstone",
        "document",
    ]
    [listed] = rescue_files(tmp_path)
    assert (listed.name, listed.size_bytes) == (path.name, path.stat().st_size)


@pytest.mark.parametrize(
    "line",
    [
        '{"torn',
        "[]",
        _line("poem", "k", value="v"),
        _line("counter", "k", value="3"),
        _line("counter", "k", value=True),
        _line("set", "k", value="x"),
        _line("register", "k"),
        _line("register", "k", value_base64="%"),
        _line("register", "k", value="v", expires_at="soon"),
    ],
)
def test_line_that_is_no_entry_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    """A crash may have torn the last one; those before it are good."""
    path = tmp_path / "a.jsonl"
    path.write_text(_line("register", "k", value="v") + "\n" + line)

    (_, good), (number, bad) = read_rescued(path)

    assert isinstance(good, Rescued)
    assert isinstance(bad, BadLine)
    assert number == bad.line == 3


# -- list --------------------------------------------------------------------------


def test_entries_are_listed_with_what_they_were(run: Run, file: Path) -> None:
    """From a file, its directory, or the node's data directory; without a node."""
    for place in (file, file.parent, file.parent.parent):
        result = run("recovery", "list", str(place))
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        assert [line[:4] for line in lines] == [
            ["default", "register", "r", "v"],
            ["default", "counter", "c", "-3"],
            ["default", "set", "s", "x, \\xff"],
            ["default", "document", "d", "(a document)"],
            ["default", "tombstone", "t", "(a deletion)"],
        ]
        assert "5 entries in" in result.stderr


def test_list_as_json_has_an_entry_a_line(run: Run, file: Path) -> None:
    """Odd bytes are in base64, as everywhere."""
    result = run("recovery", "list", str(file), "--json", "--type", "set")

    [entry] = map(json.loads, result.stdout.splitlines())
    assert entry["value"] == [{"member": "x"}, {"member_base64": "/w=="}]


def test_place_without_recovery_files_is_good_news(run: Run, tmp_path: Path) -> None:
    """And a type that there is not is refused."""
    empty = run("recovery", "list", str(tmp_path))

    assert empty.exit_code == 2
    assert "given up nothing" in " ".join(empty.stderr.split())
    assert run("recovery", "list", str(tmp_path), "--type", "poem").exit_code == 2


# -- import ------------------------------------------------------------------------


def _imported(run: Run, file: Path, *options: str) -> list[list[str]]:
    result = run("recovery", "import", str(file), *options)
    assert result.exit_code == 0, result.stderr
    return [line.split("\t")[:2] for line in result.stdout.splitlines()]


def test_entries_come_back_as_new_writes(run: Run, node: FakeNode, file: Path) -> None:
    """Each in the way of its type; a deletion of what is not there is left."""
    assert _imported(run, file) == [
        ["put", "r"],
        ["added", "c"],
        ["added", "s"],
        ["merged", "d"],
        ["left: not there anyway", "t"],
    ]

    assert node.values[b"r"].value == b"v"
    assert node.values[b"r"].metadata == {"by": "me"}
    assert node.counters == {b"c": -3}
    assert node.sets == {b"s": {b"x", b"\xff"}}
    assert {"key": b"d", "update": b"update"} in node.writes


def test_what_is_there_by_now_is_left_alone(
    run: Run, node: FakeNode, file: Path
) -> None:
    """Somebody has written it since: of a counter, a part may be in it."""
    node.values = {key: a_value(b"new") for key in (b"r", b"c", b"s", b"d", b"t")}

    done = _imported(run, file)

    assert {what for what, _ in done} == {"left: there by now"}
    assert (node.counters, node.sets) == ({}, {})
    assert node.values[b"r"].value == b"new"
    assert b"t" in node.values


def test_overwriting_is_for_who_knows(run: Run, node: FakeNode, file: Path) -> None:
    """Deletions, too, are repeated then."""
    node.values = {key: a_value(b"new") for key in (b"r", b"c", b"t")}

    done = _imported(run, file, "--overwrite")

    assert [what for what, _ in done] == ["put", "added", "added", "merged", "deleted"]
    assert node.values[b"r"].value == b"v"
    assert b"t" not in node.values


def test_dry_run_says_the_same_and_writes_nothing(
    run: Run, node: FakeNode, file: Path
) -> None:
    """So that it can be tried."""
    node.values = {b"r": a_value(b"new")}

    done = _imported(run, file, "--dry-run")

    assert [what for what, _ in done] == [
        "left: there by now",
        "added",
        "added",
        "merged",
        "left: not there anyway",
    ]
    assert (node.counters, node.sets, list(node.values)) == ({}, {}, [b"r"])


def test_entries_are_chosen_by_key_and_type(
    run: Run, node: FakeNode, file: Path
) -> None:
    """Of many, a few are to live."""
    assert _imported(run, file, "--key", "r") == [["put", "r"]]
    assert _imported(run, file, "--type", "counter") == [["added", "c"]]
    assert node.sets == {}


def test_expired_and_empty_entries_are_left(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """They would be gone at once, or change nothing."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        _line("register", "old", value="v", expires_at=time.time() - 1)
        + _line("register", "young", value="v", expires_at=time.time() + 99)
        + _line("counter", "none", value=0)
        + _line("set", "empty", value=[])
    )

    assert [what for what, _ in _imported(run, path)] == [
        "left: expired",
        "put",
        "left: empty",
        "left: empty",
    ]
    assert node.values[b"young"].expires_at is not None


def test_other_namespaces_are_left_and_named(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """--namespace means what it means everywhere."""
    path = tmp_path / "a.jsonl"
    path.write_text(_line("register", "k", value="v", namespace="users"))

    result = run("recovery", "import", str(path))
    assert "left 1 of namespace users: for them, add -n users" in result.stderr
    assert node.values == {}

    assert _imported(run, path, "-n", "users") == [["put", "k"]]


def test_what_cannot_be_written_does_not_stop_the_others(
    run: Run, node: FakeNode, tmp_path: Path
) -> None:
    """Exit code 1 says that not all was."""
    bad = base64.b64encode(b"bad").decode()
    path = tmp_path / "a.jsonl"
    path.write_text(
        _line("document", "d", value_base64=bad)
        + _line("register", "k", value="v")
        + '{"torn'
    )

    result = run("recovery", "import", str(path), "--json")

    assert result.exit_code == 1
    assert "d: this is no update" in result.stderr
    assert "line 3" in " ".join(result.stderr.split())
    document = json.loads(result.stdout)
    assert (document["written"], document["failed"]) == (1, 2)
    assert b"k" in node.values


def test_import_wants_a_file(run: Run, tmp_path: Path) -> None:
    """A directory may hold files of several nodes."""
    assert run("recovery", "import", str(tmp_path)).exit_code == 2
