"""A run of the harness that is told to end leaves no node behind."""

import signal
import time
from pathlib import Path

import pytest

from tests.system.programs import nodes_under, start

pytestmark = pytest.mark.system

RUN = ("run", "--system", "processes", "--nemesis", "none", "--seconds", "600")
PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_no_node_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """One that is left over dials ports that the next run's nodes may have."""
    run = start("jepsen_like", *RUN, scratch=tmp_path)
    until = time.monotonic() + PATIENCE_SECONDS
    while len(nodes_under(tmp_path)) < 3:
        assert time.monotonic() < until, "three nodes were to be started"
        time.sleep(0.1)
    time.sleep(1.0)  # amid the asking

    run.send_signal(number)
    output, _ = run.communicate(timeout=PATIENCE_SECONDS)

    assert run.returncode not in {0, 1}, output  # it found neither good nor bad
    assert nodes_under(tmp_path) == []
