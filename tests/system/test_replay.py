"""The command line repeats a run byte for byte, in any process."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system.programs import run


def command(*arguments: str, hash_seed: str = "0") -> dict[str, Any]:
    """Run `jepsen_like` in a process of its own; return its line of JSON."""
    environment = {"PYTHONHASHSEED": hash_seed}
    done = run("jepsen_like", *arguments, "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("workload", ["sessions", "document"])
def test_seed_gives_the_same_history_whatever_the_hash_seed(
    workload: str, tmp_path: Path
) -> None:
    """Faults and all; and the plan that was kept gives it once more."""
    options = ("--workload", workload, "--nemesis", "mixed,wipe", "--seed", "11")
    first = command("run", *options, "--out", str(tmp_path), hash_seed="1")
    second = command("run", *options, hash_seed="2")
    replayed = command("replay", str(tmp_path / "plan.json"), hash_seed="3")

    assert first["verdict"] == "valid"
    assert first["sha256"] == second["sha256"] == replayed["sha256"]


def test_another_seed_gives_another_history() -> None:
    """Otherwise the test above could not fail."""
    one, other = (command("run", "--seed", seed) for seed in ("1", "2"))

    assert one["sha256"] != other["sha256"]
