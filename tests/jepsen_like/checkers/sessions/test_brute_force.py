"""The four guarantees against their definitions, over small histories by chance."""

from collections import Counter
from random import Random

import pytest

from jepsen_like.checkers.sessions import GUARANTEES, check
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.sessions.brute_force import (
    broken,
    can_hold,
    unexplained,
)
from tests.jepsen_like.checkers.sessions.histories import Shown, by_chance
from tests.jepsen_like.examples import examples

pytestmark = pytest.mark.no_cover  # see tests/conftest.py


def verdicts(shown: Shown) -> dict[str, Verdict]:
    """What the checker says of each guarantee."""
    judgements = check(shown.history, order_of=shown.order_of)
    return {one.checker: one.verdict for one in judgements}


@pytest.mark.parametrize("ranked", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("deletes", [False, True])
def test_verdicts_are_those_of_trying_every_order(
    ranked: float,
    deletes: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """Broken is what belongs to a smallest set that no order of writes allows."""
    seen: Counter[str] = Counter()
    for seed in range(examples(2_000)):
        shown = by_chance(Random(seed), deletes=deletes, ranked=ranked)

        found = verdicts(shown)

        expected = broken(shown)
        otherwise = Verdict.UNKNOWN if unexplained(shown) else Verdict.VALID
        for guarantee in GUARANTEES:
            verdict = Verdict.INVALID if guarantee in expected else otherwise
            assert found[guarantee] is verdict, (seed, guarantee)
        seen.update(expected or {"none"})
    assert min(seen[name] for name in (*GUARANTEES, "none")) > 10


@pytest.mark.parametrize("ranked", [0.0, 1.0])
def test_absent_reads_never_raise_a_false_alarm(ranked: float) -> None:
    """If some delete explains every read, nothing is said to be broken."""
    fine = 0
    for seed in range(examples(1_500)):
        shown = by_chance(Random(seed), deletes=True, ranked=ranked, length_max=7)
        if can_hold(shown, set(GUARANTEES)):
            fine += 1
            assert Verdict.INVALID not in verdicts(shown).values(), seed
    assert fine > 100
