"""Spans of time, summed up: percentiles of what was measured, in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spans:
    """How long something took, over *count* > 0 times; all in ms."""

    count: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spans":
        """
        Sum up measurements given in seconds.

        Percentiles are of nearest rank: values that were measured, none between.

        Raises:
            ValueError: There are none.
        """
        if not seconds:
            msg = "nothing was measured"
            raise ValueError(msg)
        ordered = sorted(1000 * span for span in seconds)

        def rank(percent: int) -> float:
            return ordered[-(-len(ordered) * percent // 100) - 1]

        return cls(len(ordered), rank(50), rank(99), ordered[-1])

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"
