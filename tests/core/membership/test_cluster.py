"""Many failure detectors together: crashes, losses, partitions, starvation."""

from collections.abc import Iterator
from itertools import repeat

import pytest

from cluster.scale.detectors import Change, Detectors, Starvation
from kvnode.core.membership.events import MembersKnown
from kvnode.core.membership.messages import Health
from kvnode.core.membership.settings import SwimSettings
from kvnode.types import ReplicaId

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SETTINGS = SwimSettings()
SHORTEST_MS = 4000 + 1300  # of 20 members: 4 * log10(20) s
LONGEST_MS = 6 * SHORTEST_MS
SEEDS = (1, 2, 3)


def healths(detectors: Detectors, of: ReplicaId) -> set[Health]:
    """Return what all others that have not crashed believe of *of*."""
    return {
        detectors.swim(observer).health(of)
        for observer in detectors.running()
        if observer != of
    }


def everybody_alive(detectors: Detectors) -> bool:
    """Tell whether all believe that all others are alive."""
    return all(healths(detectors, of) == {Health.ALIVE} for of in detectors.replicas)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nodes", [2, 3, 20])
def test_without_faults_nobody_is_ever_suspected(nodes: int, seed: int) -> None:
    """Two minutes in which nothing happens."""
    changes: list[Change] = []
    detectors = Detectors(nodes, SETTINGS, seed, on_change=changes.append)
    detectors.run(120_000)

    assert changes == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nodes", [2, 3, 20])
def test_crashed_member_is_dead_to_all_others(nodes: int, seed: int) -> None:
    """At the latest when the longest suspicion has ended everywhere."""
    detectors = Detectors(nodes, SETTINGS, seed)
    detectors.run(5000)
    crashed = detectors.replicas[0]
    detectors.crash(crashed)

    took = detectors.run_until(
        lambda: healths(detectors, crashed) == {Health.DEAD}, LONGEST_MS + 10_000
    )

    assert took is not None
    others = detectors.replicas[1:]
    assert all(healths(detectors, other) <= {Health.ALIVE} for other in others)


@pytest.mark.parametrize("seed", SEEDS)
def test_lost_messages_make_nobody_dead(seed: int) -> None:
    """With a tenth lost, suspicions come up and are refuted in time."""
    changes: list[Change] = []
    detectors = Detectors(20, SETTINGS, seed, loss=0.1, on_change=changes.append)
    detectors.run(120_000)

    assert all(change.change.health is not Health.DEAD for change in changes)


@pytest.mark.parametrize("seed", SEEDS)
def test_crash_is_found_though_messages_are_lost(seed: int) -> None:
    """Rumors are told more than once."""
    detectors = Detectors(20, SETTINGS, seed, loss=0.1)
    detectors.run(5000)
    crashed = detectors.replicas[7]
    detectors.crash(crashed)

    assert detectors.run_until(
        lambda: healths(detectors, crashed) == {Health.DEAD}, LONGEST_MS + 20_000
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cut_off", [1, 8])
def test_after_a_partition_all_are_alive_again(cut_off: int, seed: int) -> None:
    """
    Members on the other side are dead; they are told so, and refute.

    A node that is alone has not come to that about all by then: nobody helps it,
    so it blames itself and waits nine times as long.
    """
    detectors = Detectors(20, SETTINGS, seed)
    detectors.run(5000)
    side = frozenset(detectors.replicas[:cut_off])
    detectors.cut(side)
    detectors.run(3 * LONGEST_MS)
    for observer in detectors.replicas[cut_off:]:
        swim = detectors.swim(observer)
        assert {swim.health(other) for other in side} == {Health.DEAD}
    detectors.cut(frozenset())

    took = detectors.run_until(lambda: everybody_alive(detectors), 40_000)

    assert took is not None


def test_one_direction_that_fails_for_one_pair_makes_nobody_dead() -> None:
    """Helpers reach the member that the prober does not."""
    changes: list[Change] = []
    detectors = Detectors(6, SETTINGS, 1, on_change=changes.append)
    detectors.break_road(ReplicaId(1), ReplicaId(2))
    detectors.run(120_000)

    assert changes == []


def test_restarted_member_that_raised_its_incarnation_is_taken_back_at_once() -> None:
    """Nobody has to tell it first that it was dead."""
    detectors = Detectors(20, SETTINGS, 1)
    crashed = detectors.replicas[3]
    detectors.crash(crashed)
    detectors.run(LONGEST_MS + 20_000)
    assert healths(detectors, crashed) == {Health.DEAD}
    detectors.restart(crashed, incarnation=1)

    assert detectors.run_until(lambda: everybody_alive(detectors), 10_000)


def test_removed_member_that_runs_on_is_known_to_nobody() -> None:
    """Whatever it says of itself, and whatever the last to hear of it say (M2)."""
    detectors = Detectors(10, SETTINGS, 1)
    _removed, *rest = detectors.replicas
    for replica in rest:
        detectors.happen(replica, MembersKnown(tuple(rest)))
        detectors.run(3000)

    for replica in rest:
        known = {member.replica for member in detectors.swim(replica).members()}
        assert known == set(rest) - {replica}


@pytest.mark.parametrize("seed", SEEDS)
def test_starved_node_makes_no_healthy_one_dead(seed: int) -> None:
    """Blocked for three seconds of every 3.1, it blames itself."""
    changes: list[Change] = []
    detectors = Detectors(20, SETTINGS, seed, on_change=changes.append)
    starved = detectors.replicas[0]
    detectors.starve(starved, starving(3000, 100))
    detectors.run(120_000)

    assert {change.replica for change in changes} <= {starved}
    assert detectors.swim(starved).multiplier > 1


def starving(blocked: int, running: int) -> Iterator[Starvation]:
    """Yield always the same."""
    return repeat(Starvation(blocked, running))
