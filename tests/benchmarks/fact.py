"""Figures that are no rates: one thing that was found out, and of whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.measurement import Section, Spans


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of one section; *subject* is what it was measured at."""

    section: Section
    subject: str
    what: str
    value: float
    unit: str


class Facts:
    """Gathers the figures of one subject in one section."""

    def __init__(self, section: Section, subject: str) -> None:
        self.found: list[Fact] = []
        self._section = section
        self._subject = subject

    def add(self, what: str, value: float, unit: str) -> None:
        """Take one figure down."""
        self.found.append(Fact(self._section, self._subject, what, value, unit))

    def add_quantiles(self, what: str, spans: Sequence[int]) -> None:
        """Take p50 and p99 of *spans* down, which are in ns and at least one."""
        ordered = Spans(tuple(sorted(spans)), elapsed=0)
        for percent in (50, 99):
            millis = ordered.quantile_micros(percent) / 1000
            self.add(f"{what}, p{percent}", millis, "ms")


def ratios(
    ours: Sequence[Fact], theirs: Sequence[Fact], *, of: tuple[str, ...]
) -> list[Fact]:
    """
    Return *ours* divided by what *theirs* say of the same thing.

    Only spans are compared whose name begins with one of *of*, and only where both
    are longer than nothing: a write can be visible elsewhere before its writer has
    the answer.
    """
    rivals = {
        fact.what: fact
        for fact in theirs
        if fact.unit == "ms" and fact.what.startswith(of)
    }
    return [
        Fact(
            fact.section,
            f"{fact.subject} / {rivals[fact.what].subject}",
            fact.what,
            round(fact.value / rivals[fact.what].value, 2),
            "x",
        )
        for fact in ours
        if fact.what in rivals and min(fact.value, rivals[fact.what].value) > 0
    ]
