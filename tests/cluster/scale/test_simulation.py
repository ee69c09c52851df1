"""Simulated clusters keep their promises, on virtual time: no matter of luck."""

import pytest

from cluster.scale.figures import Figures, figures
from cluster.scale.simulation import Scenario, Simulation

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

PROMISED_MS = 155.0
"""Everywhere, without loss: 11 ms more than the farthest flight."""

PROMISED_WITH_LOSS_MS = 350.0
"""Everywhere, when one message in ten is lost."""

LONG_HAUL_MAX = 19 + 2
"""Copies between continents: about one a region."""


def simulated(
    nodes: int, changes: int, *, loss: float = 0.0, crashes: int = 0, seed: int = 1
) -> Figures:
    """Return the figures of a run."""
    scenario = Scenario(nodes, changes, loss=loss, crashes=crashes, seed=seed)
    return figures(Simulation(scenario).run())


@pytest.mark.parametrize("nodes", [3, 10, 50, 200])
def test_change_is_everywhere_soon_after_the_farthest_flight(nodes: int) -> None:
    """Each node is sent one payload, and few of them travel between continents."""
    seen = simulated(nodes, 50)

    assert seen.p99_ms <= min(PROMISED_MS, seen.farthest_flight_ms + 11)
    assert seen.delivered == 1
    assert seen.sends_per_change == nodes - 1
    assert seen.grafts_per_change == 0
    assert seen.long_haul_max <= LONG_HAUL_MAX


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_loss_of_one_message_in_ten_is_made_good(seed: int) -> None:
    """All is delivered by dissemination alone."""
    seen = simulated(50, 50, loss=0.1, seed=seed)

    assert seen.p99_ms <= PROMISED_WITH_LOSS_MS
    assert seen.delivered == 1
    assert seen.long_haul_per_change <= LONG_HAUL_MAX


def test_crash_of_many_nodes_at_once_at_most_doubles_the_time() -> None:
    """Nobody is told of it while changes go on."""
    calm = simulated(150, 75)
    crashed = simulated(150, 75, crashes=6)

    assert crashed.p99_ms <= 2 * calm.p99_ms
    assert crashed.delivered == 1
    assert crashed.grafts_per_change > 0


def test_three_of_ten_messages_may_be_lost() -> None:
    """It takes longer then, and all is delivered still."""
    assert simulated(50, 50, loss=0.3).delivered == 1


def test_work_is_spread_over_nodes() -> None:
    """No node sends much more than the average, and none a payload to everybody."""
    seen = simulated(100, 150)

    assert seen.busiest_node_share < 2.5
    assert seen.max_fan_out < 40


def test_same_seed_is_the_same_run() -> None:
    """To the last message; another seed is another run."""
    runs = [simulated(30, 30, loss=0.1, crashes=2, seed=seed) for seed in (5, 5, 6)]

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_crash_changes_nothing_before_it() -> None:
    """So that a run with and one without can be compared."""
    calm, crashed = (
        Simulation(Scenario(30, 30, crashes=crashes)).run() for crashes in (0, 3)
    )

    assert calm.places == crashed.places
    assert calm.changes[0] == crashed.changes[0]


@pytest.mark.parametrize(
    ("scenario", "problem"),
    [
        ({"nodes": 1}, "nodes must be 2 to 5,000"),
        ({"nodes": 9999}, "nodes must be 2 to 5,000"),
        ({"changes": 0}, "changes must be 1 to 100,000"),
        ({"loss": 1.0}, "loss must be at least 0 and below 1"),
        ({"loss": -0.1}, "loss must be at least 0 and below 1"),
        ({"crashes": 9}, "of 10 nodes, 0 to 8 can crash"),
        ({"detection_ms": -1}, "detection must not be negative"),
    ],
)
def test_what_cannot_be_run_is_refused(
    scenario: dict[str, float], problem: str
) -> None:
    """With words for the person who asked."""
    with pytest.raises(ValueError, match=problem):
        Scenario(**({"nodes": 10, "changes": 10} | scenario))  # type: ignore[arg-type]  # a wrong one of them is the point
