"""A session that has seen what is lost with a node is told so (decision 34)."""

from jepsen_like.adapters import kvnode_simulated
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.nemesis.faults import Cut, Heal, RemoveFormer, Wipe
from jepsen_like.nemesis.partitions import between
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict, combined

NODES = ("n1", "n2", "n3")
PLAN = Plan(
    workload="sessions",
    seed=1,
    nodes=NODES,
    steps=(
        Invoke(100, 0, "n2", "write", "k", 1),
        Strike(500, Cut(between(["n1"], ["n2", "n3"]))),
        Invoke(600, 0, "n1", "write", "k", 2),
        Strike(1_000, Wipe("n1")),
        Strike(1_100, Heal()),
        Invoke(1_500, 0, "n2", "read", "k"),
        Strike(8_000, RemoveFormer("n1")),
        Invoke(8_100, 0, "n2", "read", "k"),
        Invoke(14_000, 0, "n3", "read", "k"),
    ),
    settle=30_000,
)


def test_session_is_told_of_its_loss_once_the_dead_node_is_removed() -> None:
    """Until then it waits; its worker goes on as another one, which is served."""
    run = kvnode_simulated.run(PLAN)

    asked: list[Operation] = [o for o in run.history.operations if o.process < 2]
    told = [(o.process, o.outcome, o.error.partition(":")[0]) for o in asked]
    assert told == [
        (0, Outcome.OK, ""),
        (0, Outcome.OK, ""),
        (0, Outcome.FAIL, "NotCoveredError"),
        (0, Outcome.FAIL, "SessionLostError"),
        (1, Outcome.OK, ""),
    ]
    assert asked[-1].result == 1
    assert combined(judge_run(run, PLAN)) is Verdict.VALID
