"""Every level against its definition, over small histories drawn by chance."""

from collections import Counter
from random import Random

import pytest

from jepsen_like.checkers.isolation import LEVELS, check
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.isolation.brute_force import satisfied
from tests.jepsen_like.checkers.isolation.histories import by_chance
from tests.jepsen_like.examples import examples

pytestmark = pytest.mark.no_cover  # see tests/conftest.py


@pytest.mark.parametrize("level", LEVELS)
def test_verdicts_are_those_of_trying_everything(level: str) -> None:
    """Orders of commits exist where the checker says so, and nowhere else."""
    seen: Counter[Verdict] = Counter()
    for seed in range(examples(5_000)):
        history = by_chance(Random(seed))

        judgement = check(history, level)

        expected = Verdict.VALID if satisfied(history, level) else Verdict.INVALID
        assert judgement.verdict is expected, (seed, judgement)
        seen[expected] += 1
    assert min(seen[Verdict.VALID], seen[Verdict.INVALID]) > sum(seen.values()) / 10
