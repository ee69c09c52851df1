"""One seed is one run, in whatever process."""

import os
import subprocess
import sys

SCENARIO = (sys.executable, "-m", "tests.cluster.simulated.scenario")


def _trace(seed: int, hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = (*SCENARIO, str(seed))
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, timeout=120
    ).stdout


def test_seed_gives_the_same_bytes_under_another_hash_seed() -> None:
    """All that was sent and committed, with its times."""
    for seed in (1, 2, 3):
        first = _trace(seed, "1")

        assert first == _trace(seed, "4242")
        assert first.count(b" commit ") > 100
