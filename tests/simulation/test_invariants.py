"""
Whatever happens between three cores, the rules of replication hold.

After every step I1, I2, W2, G2, G2b, D10, the index and every session's view are
judged; at the end the network heals, and the cores must agree and have lost nothing
but what was only on a disk that is gone.

KVNODE_SIMULATION_EXAMPLES sets how many schedules are tried, about twice as many in
all; the default takes about half a minute of one core.
"""

import os
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings

from kvnode.storage.durability import Durability
from tests.simulation.network import Network
from tests.simulation.oracle import ViolationError
from tests.simulation.scenarios import (
    COPY_HAS_WHAT_WAS_GIVEN_UP,
    STARTED_ANEW_BEFORE_ALL_HAVE_FORGOTTEN,
    WRITTEN_AFTER_A_SET_BACK,
    WRITTEN_BEFORE_A_COPY_HEARS,
)
from tests.simulation.schedule import (
    FILLED,
    FORGETFUL,
    LATE,
    PAGE_BY_PAGE,
    RESTORING,
    SET_BACK,
    Step,
    perform,
    schedule_of,
    schedules,
    shrunk,
)

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXAMPLES = int(os.environ.get("KVNODE_SIMULATION_EXAMPLES", "160"))


def run(schedule: Sequence[Step], durability: Durability = Durability.FSYNC) -> None:
    """Perform *schedule* on a new network."""
    perform(Network(durability=durability), schedule)


def run_seeds(
    seeds: range,
    durability: Durability = Durability.FSYNC,
    weights: Mapping[str, int] | None = None,
    *,
    size: int = 200,
) -> None:
    """Perform the schedules of *seeds*; cut down and show the first that fails."""
    for seed in seeds:
        schedule = schedule_of(seed, size, weights)
        try:
            run(schedule, durability)
        except ViolationError as error:
            rule = str(error).split()[0]

            def fails(part: Sequence[Step], rule: str = rule) -> bool:
                try:
                    run(part, durability)
                except ViolationError as other:
                    return str(other).startswith(rule)
                return False

            steps = "\n".join(map(repr, shrunk(schedule, fails)))
            pytest.fail(f"seed {seed} ({durability.name}): {error}\n{steps}")


@settings(max_examples=max(1, EXAMPLES // 3), deadline=None)
@given(schedule=schedules(80))
def test_any_schedule_keeps_the_rules_and_converges(schedule: list[Step]) -> None:
    """Hypothesis chooses the steps, and cuts them down if it must."""
    run(schedule)


def test_schedules_of_seeds_keep_the_rules_and_converge() -> None:
    """Longer schedules, each with a mix of its own."""
    run_seeds(range(EXAMPLES))


def test_steps_between_the_pages_of_deltas_keep_the_rules() -> None:
    """Deltas that take long, while everything changes at their source."""
    run_seeds(range(EXAMPLES // 4), weights=PAGE_BY_PAGE)


def test_losing_the_unsynced_tail_keeps_the_rules() -> None:
    """In relaxed mode a crash loses commits, and the node becomes another one."""
    run_seeds(range(EXAMPLES // 3), Durability.RELAXED)


def test_members_that_forget_keep_the_rules() -> None:
    """Floors rise again and again, while something is under way (G1, G2)."""
    run_seeds(range(EXAMPLES // 12), weights=FORGETFUL)


def test_what_comes_late_brings_nothing_back() -> None:
    """One direction of a link stands still while all agree to forget (G2b)."""
    run_seeds(range(EXAMPLES // 16), weights=LATE, size=60)


def test_wall_clocks_that_jump_bring_nothing_back() -> None:
    """What is written after forgetting is above it, whatever the wall clock says."""
    run_seeds(range(EXAMPLES // 16), weights=SET_BACK, size=100)


def test_losing_the_unsynced_tail_of_members_that_forget_keeps_the_rules() -> None:
    """Whoever has lost that it covers a deletion is another one, which starts over."""
    run_seeds(range(EXAMPLES // 20), Durability.RELAXED, FORGETFUL)


def test_site_that_is_what_it_was_keeps_the_rules() -> None:
    """A copy from before the floor starts over, an empty site is filled (G2b, D10)."""
    run_seeds(range(EXAMPLES // 10), weights=RESTORING)


def test_site_that_is_filled_slowly_keeps_the_rules() -> None:
    """Members forget, and links break, while a site is filled from several (D10)."""
    run_seeds(range(EXAMPLES // 20), weights=FILLED)


@pytest.mark.parametrize(
    "scenario",
    [
        WRITTEN_AFTER_A_SET_BACK,
        WRITTEN_BEFORE_A_COPY_HEARS,
        STARTED_ANEW_BEFORE_ALL_HAVE_FORGOTTEN,
        COPY_HAS_WHAT_WAS_GIVEN_UP,
    ],
)
def test_rare_course_of_events_keeps_the_rules(scenario: Sequence[Step]) -> None:
    """Each has shown what breaks if a certain rule does."""
    run(scenario)


def test_same_schedule_gives_the_same_run() -> None:
    """A seed is worth nothing if it does not repeat."""
    runs = []
    for _ in range(2):
        network = Network()
        perform(network, schedule_of(7, 300))
        runs.append((repr(network), network.oracle.writes))

    assert runs[0] == runs[1]
    assert len(runs[0][1]) > 10
