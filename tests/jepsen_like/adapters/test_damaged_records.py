"""Seeds in which a flipped bit once held up the replication of everything else."""

import pytest

from jepsen_like.generator import node_names
from jepsen_like.runner.exploring import Sweep, explore_seed
from jepsen_like.verdict import Verdict
from jepsen_like.workloads.workload import Extent

pytestmark = pytest.mark.no_cover  # see tests/conftest.py


@pytest.mark.parametrize(
    ("workload", "seed"),
    [("register", 0), ("register", 1), ("register", 7), ("register", 8), ("set", 0)],
)
def test_damaged_records_heal_by_themselves(workload: str, seed: int) -> None:
    """The node blamed its peer for the damage, and covered nothing of it any more."""
    sweep = Sweep(workload, ("bit-flips",), node_names(3), Extent(), "simulated")

    explored = explore_seed(sweep, seed)

    assert explored.verdict is Verdict.VALID, explored.reason
