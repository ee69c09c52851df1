"""Getting the version before, and reading out of logs what versions make of others."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.versions import PREVIOUS_COMMIT, archived, misunderstood

AT = "2026-01-02 03:04:05,678"
POOL = "kvnode.transport.peer_pool"

GOOD = [
    f"{AT} INFO {POOL}: connected to b (00000000000000ab)",
    f"{AT} INFO {POOL}: disconnected from b: the stream ended",
    f"{AT} INFO {POOL}: disconnected from b: replaced by a newer connection",
    f"{AT} WARNING {POOL}: cannot reach 127.0.0.1:1: connection refused",
]
BAD = [
    f"{AT} INFO {POOL}: disconnected from b: a peer message of kind None is not known",
    f"{AT} ERROR {POOL}: closing the link to b: a record has format 2",
    f"{AT} WARNING {POOL}: turned away ipv4:127.0.0.1:9: this is cluster 'x', not 'y'",
    f"{AT} WARNING {POOL}: cannot reach 127.0.0.1:1: no common protocol version: 2..2",
    "Traceback (most recent call last):",
]


def test_connections_that_end_for_good_reasons_are_no_misunderstanding() -> None:
    """Nodes come and go."""
    assert misunderstood("\n".join(GOOD)) == []


@pytest.mark.parametrize("line", BAD)
def test_line_that_no_mixed_cluster_may_log_is_found(line: str) -> None:
    """Among good ones."""
    assert misunderstood("\n".join([*GOOD, line, *GOOD])) == [line]


def test_source_archive_has_no_previous_version(tmp_path: Path) -> None:
    """The reason is for who reads why tests were skipped."""
    assert "no clone" in archived(tmp_path, PREVIOUS_COMMIT, tmp_path / "file")


def test_shallow_clone_has_no_previous_version(tmp_path: Path) -> None:
    """And there is a way to get it."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    reason = archived(tmp_path, PREVIOUS_COMMIT, tmp_path / "file")

    assert "git fetch --unshallow" in reason
