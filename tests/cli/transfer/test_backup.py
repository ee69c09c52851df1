"""Backup and restore, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.core.versions.store_view import DurableState
from kvnode.errors import CorruptRecordError, UnavailableError
from kvnode.storage import backup as storage
from kvnode.types import ReplicaId
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode


def test_backup_writes_all_chunks(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """In order, under the right name, with nothing left behind."""
    node.chunks = [b"one", b"", b"two"]

    result = run("backup", str(tmp_path / "b.kvnode"), "--json")

    assert (tmp_path / "b.kvnode").read_bytes() == b"onetwo"
    assert json.loads(result.stdout)["size_bytes"] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["b.kvnode"]


def test_broken_backup_leaves_no_file(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """Half a backup under its name would be found out when it is needed."""
    node.failure, node.failure_after = UnavailableError("gone"), 2

    result = run("backup", str(tmp_path / "b.kvnode"))

    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_backup_does_not_overwrite_unasked(run: Run, tmp_path: Path) -> None:
    """Yesterday's backup is precious."""
    file = tmp_path / "b.kvnode"
    file.write_bytes(b"precious")

    assert run("backup", str(file)).exit_code == 2
    assert file.read_bytes() == b"precious"
    assert run("backup", str(file), "--overwrite").exit_code == 0
    assert file.read_bytes() == b"onetwo"


def test_restore_prints_the_new_identity(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which is drawn anew each time."""

    async def restore(
        file: Path, directory: Path, *, random_replica: Callable[[], ReplicaId]
    ) -> DurableState:
        assert (file.name, directory.name) == ("b.kvnode", "new")
        return DurableState(replica=random_replica())

    monkeypatch.setattr(storage, "restore", restore)
    (tmp_path / "b.kvnode").touch()
    arguments = ("restore", str(tmp_path / "b.kvnode"), str(tmp_path / "new"))

    first = run(*arguments).stdout.strip()
    second = json.loads(run(*arguments, "--json").stdout)["replica"]

    assert len(first) == len(second) == 16
    assert first != second


def test_restore_of_a_damaged_file_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a missing file is a wrong argument."""

    async def restore(*arguments: object, **options: object) -> DurableState:
        del arguments, options
        msg = "b.kvnode is cut short or damaged"
        raise CorruptRecordError(msg)

    monkeypatch.setattr(storage, "restore", restore)
    (tmp_path / "b.kvnode").touch()

    damaged = run("restore", str(tmp_path / "b.kvnode"), str(tmp_path / "new"))
    missing = run("restore", str(tmp_path / "nothing"), str(tmp_path / "new"))

    assert damaged.exit_code == 3
    assert "cut short" in damaged.stderr
    assert "Traceback" not in damaged.output
    assert missing.exit_code == 2
