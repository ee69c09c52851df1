"""Recognising a node's process; signals to real ones are system tests."""

import json
import os
from pathlib import Path

import psutil
import pytest

from cluster.local import node_process
from cluster.local.node_process import NodeProcess, ProcessState


@pytest.fixture
def process_file(tmp_path: Path) -> Path:
    """Where the process is noted."""
    return tmp_path / "process.json"


def own_argument() -> Path:
    """Something on the command line of the process that runs this test."""
    return Path(psutil.Process().cmdline()[-1])


def test_process_is_found_by_id_start_and_command(process_file: Path) -> None:
    """All three fit: it is the one."""
    myself = psutil.Process()
    noted = NodeProcess(os.getpid(), myself.create_time())
    node_process.remember(noted, process_file)

    assert node_process.find(process_file, own_argument()) == myself
    assert node_process.observe(myself) is ProcessState.RUNNING


def test_process_with_a_reused_id_is_not_ours(process_file: Path) -> None:
    """The id fits, but that process began at another time."""
    began = psutil.Process().create_time() - 60
    node_process.remember(NodeProcess(os.getpid(), began), process_file)

    assert node_process.find(process_file, own_argument()) is None


def test_process_with_another_command_is_not_ours(
    process_file: Path, tmp_path: Path
) -> None:
    """Id and start fit, but it does not serve with our settings."""
    began = psutil.Process().create_time()
    node_process.remember(NodeProcess(os.getpid(), began), process_file)

    assert node_process.find(process_file, tmp_path / "other.toml") is None


def test_process_that_just_becomes_another_program_is_ours_still(
    process_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel shows no command line for a moment; a launcher takes two."""
    argument, myself = own_argument(), psutil.Process()
    node_process.remember(NodeProcess(os.getpid(), myself.create_time()), process_file)
    shown = iter([[], [], myself.cmdline()])
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: next(shown))

    assert node_process.find(process_file, argument) == myself


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 0}', "null"])
def test_damaged_note_means_that_no_process_is_known(
    process_file: Path, text: str
) -> None:
    """Better start a node anew than signal whoever has that id."""
    process_file.write_text(text)

    assert node_process.find(process_file, own_argument()) is None


def test_no_note_means_down(process_file: Path) -> None:
    """A node that was never started is down."""
    assert node_process.find(process_file, own_argument()) is None
    assert node_process.observe(None) is ProcessState.DOWN


def test_note_names_id_and_start(process_file: Path) -> None:
    """People who look into the directory understand what they see."""
    node_process.remember(NodeProcess(7, 1.5), process_file)

    assert json.loads(process_file.read_text()) == {"pid": 7, "started_at": 1.5}
