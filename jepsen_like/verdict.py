"""
Verdicts: what a checker says of a history, and by what evidence.

`UNKNOWN` is no success: whoever shows verdicts shows it as what it is, with the
reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a history may hold a judgement, so it imports this module
    from jepsen_like.history.operation import Key, Operation


class Verdict(Enum):
    """What is known about a history."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Witness:
    """
    Operations that contradict each other, as few as were found.

    Attributes:
        kind: The anomaly by its name in the literature, such as `G1c`,
            `lost write` or `not linearizable`.
        explanation: Sentences that a person can follow without the source.
        operations: The contradictory set itself, in order of their calls.
        key: The key that it is about, if it is about one.
    """

    kind: str
    explanation: str
    operations: "tuple[Operation, ...]" = ()
    key: "Key" = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What one checker found.

    Attributes:
        checker: Its name, as users select it.
        verdict: What it says.
        reason: Why, in a sentence; empty only when valid.
        witnesses: At least one when invalid; the plainest first.
        figures: What was counted or measured, by name with its unit.
    """

    checker: str
    verdict: Verdict
    reason: str = ""
    witnesses: tuple[Witness, ...] = ()
    figures: Mapping[str, int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.verdict is Verdict.VALID or self.reason, "a verdict has a reason"
        assert (self.verdict is Verdict.INVALID) == bool(self.witnesses), (
            "invalid means there is a witness"
        )


def combined(judgements: Iterable[Judgement]) -> Verdict:
    """Return the verdict of several checkers: the worst; UNKNOWN if there are none."""
    return worst(judgement.verdict for judgement in judgements)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of *verdicts*, first INVALID; UNKNOWN if there are none."""
    met = set(verdicts)
    if Verdict.INVALID in met:
        return Verdict.INVALID
    return Verdict.VALID if met == {Verdict.VALID} else Verdict.UNKNOWN
