"""A session that has seen what is lost with a node is told so (decision 34)."""

import pytest

from jepsen_like.adapters import kvnode_simulated
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.nemesis.faults import Cut, Heal, RemoveFormer, Wipe
from jepsen_like.nemesis.partitions import between
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict, combined
from kvnode.core.node.forgetting import Forgetting, Words
from kvnode.core.node.replicator import Replicator
from kvnode.core.node.turn import Turn
from kvnode.types import ReplicaId

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

AWAY = Plan(
    workload="sessions",
    seed=1,
    nodes=NODES,
    steps=(
        Invoke(100, 0, "n2", "write", "k", 1),
        Strike(500, Cut(between(["n3"], ["n1", "n2"]))),
        Invoke(600, 0, "n1", "write", "k", 2),
        Strike(900, Heal()),
        Strike(901, Cut(between(["n2"], ["n1", "n3"]))),
        Strike(902, Wipe("n1")),
        Strike(3_000, RemoveFormer("n1")),
        Invoke(8_000, 0, "n3", "read", "k"),
        Strike(14_000, Heal()),
        Invoke(18_000, 0, "n3", "read", "k"),
    ),
    settle=30_000,
)
"""The last write of the dead is at n2 alone, which is away when it is removed."""


def _ask_only_who_is_there(patch: pytest.MonkeyPatch) -> None:
    """Break the rule: agree on an end without those that are away."""
    close, of_all = Replicator._close, Forgetting.words_of_all

    def of_some(forgetting: Forgetting, turn: Turn, own: ReplicaId) -> Words:
        words = of_all(forgetting, turn, own)
        return {} if words is None else words

    def hasty(replicator: Replicator, turn: Turn) -> None:
        with pytest.MonkeyPatch.context() as context:
            context.setattr(Forgetting, "words_of_all", of_some)
            close(replicator, turn)

    patch.setattr(Replicator, "_close", hasty)


def _what_the_session_is_told(plan: Plan) -> tuple[list[str], Verdict, str]:
    """Return the errors of the two reads, and what is judged."""
    run = kvnode_simulated.run(plan)
    judgements = judge_run(run, plan)
    reads = run.history.operations[2:4]  # after two writes, and before the last looks
    told = [o.error.partition(":")[0] for o in reads]
    return told, combined(judgements), str(judgements)


def test_session_is_not_told_that_lost_is_what_somebody_has_who_is_away() -> None:
    """It waits, and is served when that one is back."""
    told, verdict, _ = _what_the_session_is_told(AWAY)

    assert told == ["NotCoveredError", ""]
    assert verdict is Verdict.VALID


def test_run_is_invalid_in_which_that_is_told_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The judge of commits sees a member that has what is told to be lost."""
    _ask_only_who_is_there(monkeypatch)

    told, verdict, why = _what_the_session_is_told(AWAY)

    assert told[0] == "SessionLostError"
    assert verdict is Verdict.INVALID
    assert "lost: " in why


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
