"""Voters through whatever can happen: one register, of one line, that goes on."""

from collections.abc import Callable

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.types import ReplicaId
from tests.simulation import voter_scenarios
from tests.simulation.voter_history import End, History
from tests.simulation.voter_scenarios import trouble_that_ends
from tests.simulation.voter_walk import (
    SECOND,
    THIRD,
    minority_value_meets_a_look,
    process_starts_again,
    promise_outlives_its_view,
    walked,
)
from tests.simulation.voter_world import Scenario, judged

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SEEDS = 16
WALKS = 300


@pytest.mark.parametrize("seed", range(SEEDS))
def test_register_is_one_through_all_trouble(seed: int) -> None:
    """Losses, crashes, wiped disks, and two operators who replace voters at once."""
    assert judged(trouble_that_ends, seed) == []


def test_register_is_one_on_every_walk_through_the_views() -> None:
    """And walks are not idle: they change it, and come to the third view."""
    walks = [walked(seed) for seed in range(WALKS)]

    assert [walk.violations() for walk in walks if walk.violations()] == []
    assert sum(len(walk.changed) for walk in walks) > 3 * WALKS
    assert sum(walk.in_force(SECOND) for walk in walks) > WALKS // 2
    assert sum(walk.in_force(THIRD) for walk in walks) > WALKS // 4


@pytest.mark.parametrize(
    "look",
    [promise_outlives_its_view, minority_value_meets_a_look, process_starts_again],
)
def test_narrow_ways_are_safe(look: Callable[[int], list[str]]) -> None:
    """Each is one that was wrong in a design that looks right."""
    assert look(0) == []


@pytest.mark.parametrize(
    "scenario",
    [
        voter_scenarios.answer_comes_late_while_founding,
        voter_scenarios.disk_is_lost_after_founding,
        voter_scenarios.newcomer_has_not_heard_of_it,
    ],
)
def test_nobody_founds_twice(scenario: Scenario) -> None:
    """Whatever is asked late, and whoever comes back without a memory."""
    assert judged(scenario, 0) == []


def value(epoch: int, leader: int) -> Configuration:
    """Return a value that is wanted once."""
    return Configuration(epoch, ReplicaId(leader), (ReplicaId(leader),))


X, Y, Z = value(1, 1), value(1, 2), value(2, 3)


def told(
    *operations: tuple[Configuration | None, Configuration | None, End, object],
) -> list[str]:
    """Return what is wrong with operations one after another."""
    history = History()
    for expected, desired, end, seen in operations:
        operation = history.begin(expected, desired)
        history.end(operation, end, seen)  # type: ignore[arg-type]
    return list(history.violations())


def test_judge_lets_pass_what_one_register_does() -> None:
    """Also what nobody knows, whether it has happened or not."""
    assert not told(
        (None, X, End.SEEN, X),
        (X, Z, End.UNKNOWN, None),
        (None, Y, End.SEEN, Z),
        (None, None, End.SEEN, Z),
        (X, value(2, 9), End.FAILED, None),
    )


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        ([(None, X, End.SEEN, X), (None, Y, End.SEEN, Y)], "epoch 1"),
        ([(None, None, End.SEEN, X)], "never asked for"),
        ([(None, X, End.FAILED, None), (None, None, End.SEEN, X)], "and has"),
        ([(None, X, End.SEEN, X), (None, None, End.SEEN, None)], "seen after"),
        ([(None, X, End.SEEN, None)], "not made in place"),
        (
            [
                (None, X, End.SEEN, X),
                (X, Z, End.SEEN, Z),
                (None, None, End.SEEN, X),
            ],
            "seen after",
        ),
    ],
)
def test_judge_notices_what_one_register_cannot_do(
    operations: list[tuple[Configuration | None, Configuration | None, End, object]],
    why: str,
) -> None:
    """Each kind of it."""
    assert any(why in each for each in told(*operations))
