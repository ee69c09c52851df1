"""A run of the harness that is told to end leaves no node behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.system

RUN = [
    *(sys.executable, "-m", "jepsen_like", "run", "--system", "processes"),
    *("--nemesis", "none", "--seconds", "600"),
]
PATIENCE_SECONDS = 60.0


def _nodes_under(scratch: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if any(word.startswith(f"--config={scratch}") for word in words):
            found.append(process.pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_no_node_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """One that is left over dials ports that the next run's nodes may have."""
    run = subprocess.Popen(RUN, env={**os.environ, "TMPDIR": str(tmp_path)})
    until = time.monotonic() + PATIENCE_SECONDS
    while len(_nodes_under(tmp_path)) < 3:
        assert time.monotonic() < until, "three nodes were to be started"
        time.sleep(0.1)
    time.sleep(1.0)  # amid the asking

    run.send_signal(number)
    run.wait(PATIENCE_SECONDS)

    assert run.returncode not in {0, 1}, "it found nothing, neither good nor bad"
    assert _nodes_under(tmp_path) == []
