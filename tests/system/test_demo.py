"""`kvnode demo` as people run it: all of it, and broken off."""

import signal
from pathlib import Path

import pytest

from tests.system.programs import nodes_under, start

pytestmark = pytest.mark.system


def test_every_claim_of_the_demonstration_holds(tmp_path: Path) -> None:
    """The whole story, with its distances; it leaves nothing behind."""
    with start("kvnode", "demo", scratch=tmp_path) as demo:
        output, _ = demo.communicate(timeout=180)

    assert demo.returncode == 0, output
    assert "FALSE" not in output
    assert nodes_under(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demonstration_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """However it is told to end, it ends its nodes first."""
    with start("kvnode", "demo", scratch=tmp_path) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "health checks" in line:
                break
        assert len(nodes_under(tmp_path)) == 3

        demo.send_signal(number)
        output, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, output
    assert nodes_under(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
