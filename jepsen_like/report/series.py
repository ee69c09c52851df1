"""Throughput and latency over the time of a run, in slices of equal length."""

from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Outcome
from jepsen_like.report.columns import NANOSECONDS_PER_MS, Scale

SLICES = 120
"""As many points as a line across the page can show."""


class Throughput(NamedTuple):
    """Calls that returned in each slice, per second, by how they ended."""

    at: list[float]
    ok: list[float]
    fail: list[float]
    info: list[float]


class Latency(NamedTuple):
    """Latency of one kind of operation in each slice that has any, in ms."""

    f: str
    at: list[float]
    p50: list[float]
    p99: list[float]


def _slice_length(scale: Scale) -> int:
    return max(1, -(-(scale.end - scale.begin + 1) // SLICES))


def throughput(history: History, scale: Scale) -> Throughput:
    """Return how many operations ended per second, in each slice."""
    length = _slice_length(scale)
    counts = {outcome: [0] * SLICES for outcome in Outcome}
    for operation in history.operations:
        # One that never ended is counted where it was given up: at its call.
        ended = operation.returned
        time = operation.called if ended == FOREVER else ended
        counts[operation.outcome][(time - scale.begin) // length] += 1
    per_second = 1e9 / length if history.header.timed else 1.0
    rates = {
        outcome: [round(count * per_second, 3) for count in slices]
        for outcome, slices in counts.items()
    }
    at = [scale.place(scale.begin + number * length) for number in range(SLICES)]
    return Throughput(at, rates[Outcome.OK], rates[Outcome.FAIL], rates[Outcome.INFO])


def latencies(history: History, scale: Scale) -> tuple[Latency, ...]:
    """Return the latency of each kind of operation that ended `OK`, over time."""
    length = _slice_length(scale)
    slices: dict[str, dict[int, list[int]]] = {}
    for operation in history.operations:
        if operation.outcome is Outcome.OK:
            number = (operation.returned - scale.begin) // length
            spans = slices.setdefault(operation.f, {}).setdefault(number, [])
            spans.append(operation.returned - operation.called)
    return tuple(
        Latency(
            f,
            [scale.place(scale.begin + number * length) for number in sorted(parts)],
            [quantile(parts[number], 0.5) for number in sorted(parts)],
            [quantile(parts[number], 0.99) for number in sorted(parts)],
        )
        for f, parts in sorted(slices.items())
    )


def quantile(nanoseconds: list[int], share: float) -> float:
    """Return the smallest value that *share* of all do not exceed, in ms."""
    ordered = sorted(nanoseconds)
    place = max(0, -(-int(share * 1000 * len(ordered)) // 1000) - 1)
    return round(ordered[place] / NANOSECONDS_PER_MS, 4)
