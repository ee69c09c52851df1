"""A file is what it was, or what it is to be."""

import os
from pathlib import Path

import pytest

from kvnode.durable_file import publish


def test_file_takes_the_place_of_another_in_one_step(tmp_path: Path) -> None:
    """It is another file, and not the one before with other bytes in it."""
    file, partial = tmp_path / "file", tmp_path / "file.new"
    file.write_bytes(b"before")
    partial.write_bytes(b"after")
    number = partial.stat().st_ino

    publish(partial, file)

    assert file.read_bytes() == b"after"
    assert file.stat().st_ino == number
    assert not partial.exists()


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the power fails, the name stands for one of both as a whole."""
    file, partial = tmp_path / "file", tmp_path / "file.new"
    partial.write_bytes(b"after")
    steps: list[str] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"{path.name} synced, {file.exists()}")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    publish(partial, file)

    assert steps == ["file.new synced, False", f"{tmp_path.name} synced, True"]
