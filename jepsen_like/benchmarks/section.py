"""One measurement: a history made from a fixed seed, and how long judging it takes."""

from collections.abc import Callable
from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.verdict import Judgement, Verdict


class Section(NamedTuple):
    """
    What is measured.

    Attributes:
        name: What is judged, with its sizes, for people.
        aim_s: In how many seconds it should be; printed beside the figure.
        make: Returns the history, from a seed of its own; not timed.
        judge: What is timed.
        expected: The right verdict: a quick wrong one counts for nothing.
    """

    name: str
    aim_s: float
    make: Callable[[], History]
    judge: Callable[[History], Judgement]
    expected: Verdict
