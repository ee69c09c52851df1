"""
One node as a process of this machine: started here, found again, signalled.

A process id alone is no name: ids are used again.  So a process counts as ours
only if it has the id that was noted, began when that one began, and carries the
path of the node's settings on its command line.  Anything else is left alone.

Nodes are made session leaders, so that they outlive the command that started
them and do not hear the Ctrl-C meant for it.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import psutil

from cluster.local.state_directory import replace_file
from kvnode.config import ENVIRONMENT_PREFIX

_START_TOLERANCE_SECONDS = 2.0
"""Start times are counted from the boot, whose own time moves with the clock."""

_COMMAND_LINE_SECONDS = 1.0
"""Far more than the microseconds that it takes, far less than a person waits."""

_FREEZE_SECONDS = 5.0

_MAIN = "from kvnode.cli.app import main; main()"


class ProcessState(Enum):
    """What a node's process is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"


class NodeProcess(NamedTuple):
    """A process id, and the time since 1970 in seconds at which it began."""

    pid: int
    started_at: float


def serve_command(config_file: Path) -> list[str]:
    """
    Return the command that runs a node with the settings in *config_file*.

    It is `kvnode serve` of the very installation that this runs from, whatever
    `kvnode` is on the path.
    """
    return [sys.executable, "-c", _MAIN, "serve", f"--config={config_file}"]


def spawn(command: Sequence[str], log_file: Path) -> NodeProcess:
    """
    Start *command* in a session of its own, with its output going to *log_file*.

    KVNODE_ variables are withheld, because they would override settings in the
    node's file.

    Raises:
        OSError: The program cannot be started.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ENVIRONMENT_PREFIX)
    }
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log_file, log_flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return NodeProcess(pid, psutil.Process(pid).create_time())


def remember(process: NodeProcess, process_file: Path) -> None:
    """Note in *process_file* which process the node is."""
    replace_file(process_file, json.dumps(process._asdict()))


def find(process_file: Path, config_file: Path) -> psutil.Process | None:
    """
    Return the node's process if it lives and certainly is the one we started.

    A child of ours that has ended is reaped on the way.
    """
    try:
        noted = NodeProcess(**json.loads(process_file.read_text(encoding="utf-8")))
        process = psutil.Process(noted.pid)
        if abs(process.create_time() - noted.started_at) > _START_TOLERANCE_SECONDS:
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            with suppress(ChildProcessError):
                os.waitpid(noted.pid, os.WNOHANG)
            return None
        ours = any(str(config_file) in part for part in _command_line(process))
    except (OSError, ValueError, TypeError, psutil.Error):
        return None  # no note, an unreadable one, or the process has gone
    return process if ours else None


def _command_line(process: psutil.Process) -> list[str]:
    """
    Return the command line of *process*; for a moment the kernel shows none.

    That is when a program takes another's place: ours after it was started, and the
    node's after a launcher such as `env`.

    Raises:
        psutil.Error: It has gone.
    """
    deadline = monotonic() + _COMMAND_LINE_SECONDS
    while not (words := process.cmdline()) and monotonic() < deadline:
        sleep(0.001)
    return words


def observe(process: psutil.Process | None) -> ProcessState:
    """Return what the process that `find` gave is doing now."""
    if process is None:
        return ProcessState.DOWN
    try:
        stopped = process.status() in {
            psutil.STATUS_STOPPED,
            psutil.STATUS_TRACING_STOP,
        }
    except psutil.NoSuchProcess:
        return ProcessState.DOWN
    return ProcessState.PAUSED if stopped else ProcessState.RUNNING


def freeze(processes: Sequence[psutil.Process]) -> None:
    """Stop *processes* where they are with SIGSTOP; return when they are."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    # Each thread takes the signal up by itself, a moment later; one that waits
    # for a disk, later still.
    deadline = monotonic() + _FREEZE_SECONDS
    while ProcessState.RUNNING in map(observe, processes) and monotonic() < deadline:
        sleep(0.001)


def end(processes: Sequence[psutil.Process], grace_seconds: float) -> None:
    """
    End *processes*, asking first if *grace_seconds* > 0; return when all are gone.

    A paused process is resumed, since it could not hear the request otherwise.
    """
    if grace_seconds > 0:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
                process.resume()
        _, processes = psutil.wait_procs(list(processes), timeout=grace_seconds)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes))
