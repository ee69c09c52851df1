"""Leads that are given away all the time, under faults: all rules of objects hold."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from jepsen_like import generator
from jepsen_like.adapters import kvnode_objects_simulated
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict
from kvnode.core.objects.homes import region_of
from kvnode.core.objects.spreading import Lead, Step, heirs_of
from kvnode.errors import KvError
from kvnode.runtime.objects import spreading
from kvnode.runtime.objects.handing_over import HandingOver
from tests.jepsen_like.broken_objects import NODES
from tests.jepsen_like.test_broken_objects import FEW, HARMS, OF_OBJECTS

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SEEDS = int(os.environ.get("HARNESS_EXAMPLES", "1"))
LOOK_SECONDS = 0.1
"""Between two leads of a node; four shards go to and fro some hundred times a run."""

GIVEN_MIN = 5
"""Of a run in which most of the time something fails."""


def restless_step(
    own: str, leads: Sequence[Lead], counts: Mapping[str, int]
) -> Step | None:
    """Give the first lead to whoever may have it, however many that one leads."""
    for lead in leads:
        if heirs := heirs_of(lead, counts):
            heir = max(heirs, key=lambda heir: (heir > own, heir))
            return Step(lead.shard, heir, gives=len(leads))
    return None


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Let leads never rest; return how many were given away, and how many kept."""
    found: Counter[str] = Counter()
    give = HandingOver.give

    async def noted(
        self: HandingOver, shard: str, heir: str, *, leads: int = 0
    ) -> None:
        goes_home = bool(region_of(shard))
        assert leads > 0 or goes_home, "who spreads leads says how many it has"
        try:
            await give(self, shard, heir)
        except KvError:
            found["kept"] += 1
            raise
        found["given"] += 1

    monkeypatch.setattr(spreading, "next_step", restless_step)
    monkeypatch.setattr(spreading, "LOOK_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(spreading, "WELL_SECONDS_MIN", 0.0)
    monkeypatch.setattr(spreading, "BETWEEN_SECONDS_MIN", 0.0)
    monkeypatch.setattr(HandingOver, "give", noted)
    return found


@pytest.mark.parametrize("number", range(len(HARMS)))
def test_objects_whose_leads_never_rest_are_not_accused(
    number: int, given: Counter[str]
) -> None:
    """Whatever is done to them; that a run says little for want of luck is no rule."""
    for seed in range(SEEDS):
        workload = OF_OBJECTS[(number + seed) % len(OF_OBJECTS)]
        plan = generator.plan(workload, HARMS[number], seed, NODES, FEW)
        accused = [
            f"seed {seed}: {judgement.checker}: {judgement.reason}"
            for judgement in judge_run(kvnode_objects_simulated.run(plan), plan)
            if judgement.verdict is Verdict.INVALID
        ]
        assert accused == []
    assert given["given"] >= GIVEN_MIN
