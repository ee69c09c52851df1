"""
The figures of a simulated run.

Changes of crashed nodes do not count, and crashed nodes need not have any: a change
is complete when all that are left have it.  Percentiles are nearest ranks, so that
each is a time that was really seen.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cluster.scale.network import JITTER
from cluster.scale.regions import round_trip_ms
from cluster.scale.simulation import Change, Run

DELIVERY_DEADLINE_MS = 5000.0
"""What comes later does not count as delivered."""

COVERAGES = (50, 90, 99, 100)


@dataclass(frozen=True, slots=True)
class Figures:
    """
    What a run comes to; times in ms, all else counted for each change.

    Attributes:
        nodes: How many there were.
        changes: Of nodes that did not crash.
        farthest_flight_ms: How long a message between the two nodes farthest from
            each other may take: no change can be sure to be everywhere sooner.
        p50_ms: Half of the changes were everywhere within this time.
        p99_ms: 99 of 100 were.
        max_ms: All were; infinite if some never arrived.
        p99_coverage_ms: The time in which 99 of 100 changes had reached a
            percentage of all nodes.
        delivered: Share of (change, node) pairs delivered within 5 s.
        sends_per_change: Messages that carry the payload.
        duplicates_per_change: Payloads that came where it was already.
        long_haul_per_change: Payloads over round trips of more than 150 ms.
        long_haul_max: The most of one change.
        announcements_per_change: Messages with announcements, batched as they are.
        grafts_per_change: Messages that ask for a payload.
        prunes_per_change: Messages that make a link lazy.
        max_fan_out: The most payloads of one change that one node sent.
        busiest_node_share: Payloads sent by the busiest node, by the average's.
    """

    nodes: int
    changes: int
    loss: float
    crashes: int
    seed: int
    farthest_flight_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    p99_coverage_ms: dict[str, float]
    delivered: float
    sends_per_change: float
    duplicates_per_change: float
    long_haul_per_change: float
    long_haul_max: int
    announcements_per_change: float
    grafts_per_change: float
    prunes_per_change: float
    max_fan_out: int
    busiest_node_share: float

    def as_json(self) -> dict[str, object]:
        """Return all, with null for what is infinite."""
        found: dict[str, object] = asdict(self)
        found["p99_coverage_ms"] = {
            name: _or_null(value) for name, value in self.p99_coverage_ms.items()
        }
        return {name: _or_null(value) for name, value in found.items()}


def _or_null(value: object) -> object:
    return None if value == math.inf else value


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """Return the nearest rank: the least value that *percent* do not exceed."""
    rank = math.ceil(len(sorted_values) * percent / 100)
    return sorted_values[max(0, rank - 1)]


def counted_changes(run: Run) -> list[Change]:
    """Return the changes of nodes that did not crash."""
    return [change for change in run.changes if change.origin not in run.crashed]


def delays(run: Run, change: Change) -> list[float]:
    """Return how long *change* took to each node that is left, ascending."""
    return sorted(
        arrival - change.sent_at
        for node, arrival in enumerate(change.arrivals)
        if node not in run.crashed and node != change.origin
    )


def figures(run: Run) -> Figures:
    """
    Return the figures of *run*.

    Raises:
        ValueError: No node that is left made a change.
    """
    changes = counted_changes(run)
    if not changes:
        msg = "no node that survived made a change: ask for more changes"
        raise ValueError(msg)
    spans = [delays(run, change) for change in changes]
    complete = sorted(span[-1] for span in spans)
    coverage = {
        f"{percent}%": percentile(
            sorted(percentile(span, percent) for span in spans), 99
        )
        for percent in COVERAGES
    }
    on_time = sum(d <= DELIVERY_DEADLINE_MS for span in spans for d in span)
    sent = sum(run.sent_by)
    return Figures(
        nodes=run.scenario.nodes,
        changes=len(changes),
        loss=run.scenario.loss,
        crashes=run.scenario.crashes,
        seed=run.scenario.seed,
        farthest_flight_ms=_farthest_flight(run),
        p50_ms=round(percentile(complete, 50), 1),
        p99_ms=round(percentile(complete, 99), 1),
        max_ms=round(complete[-1], 1),
        p99_coverage_ms={name: round(value, 1) for name, value in coverage.items()},
        delivered=on_time / sum(map(len, spans)),
        sends_per_change=_mean([c.sends for c in changes]),
        duplicates_per_change=_mean([c.duplicates for c in changes]),
        long_haul_per_change=_mean([c.long_haul for c in changes]),
        long_haul_max=max(c.long_haul for c in changes),
        announcements_per_change=_control(run, "announce"),
        grafts_per_change=_control(run, "graft"),
        prunes_per_change=_control(run, "prune"),
        max_fan_out=run.fan_out_max,
        busiest_node_share=round(max(run.sent_by) * run.scenario.nodes / sent, 2),
    )


def _farthest_flight(run: Run) -> float:
    places = sorted(set(run.places))
    farthest = max(round_trip_ms(one, other) for one in places for other in places)
    return round(farthest / 2 * (1 + JITTER), 1)


def _mean(counts: Sequence[int]) -> float:
    return round(sum(counts) / len(counts), 2)


def _control(run: Run, kind: str) -> float:
    return round(run.control.get(kind, 0) / len(run.changes), 2)
