"""The measured histories of transactions and sessions are what they are said to be."""

import pytest

from jepsen_like.benchmarks.isolation import (
    Extent,
    Flaw,
    made_by_toy_store,
    rank_of_version,
    sections,
)
from jepsen_like.checkers import isolation, sessions
from jepsen_like.verdict import Verdict, combined

SMALL = Extent(operations=500, sessions=6, keys=12, replicas=3, pull_every=1)


def test_sections_are_good_and_bad_in_pairs() -> None:
    """Bad histories are to be as fast as good ones, so both are measured."""
    measured = sections()

    assert len({section.name for section in measured}) == len(measured)
    assert [section.expected for section in measured] == [
        Verdict.VALID,
        Verdict.INVALID,
    ] * (len(measured) // 2)


def test_toy_store_makes_the_same_history_from_the_same_seed() -> None:
    """A figure can be measured again."""
    assert made_by_toy_store(7, SMALL) == made_by_toy_store(7, SMALL)
    assert made_by_toy_store(7, SMALL) != made_by_toy_store(8, SMALL)


@pytest.mark.parametrize("length", [1, 5])
def test_toy_store_makes_as_many_operations_as_asked(length: int) -> None:
    """Micro-operations count; the last transaction may go beyond."""
    made = made_by_toy_store(7, SMALL._replace(length_max=length))
    count = sum(
        len(one.result) if one.f == "txn" and isinstance(one.result, tuple) else 1
        for one in made.operations
    )
    assert SMALL.operations <= count < SMALL.operations + length


def test_toy_store_is_causal_unless_it_is_broken() -> None:
    """Both families of checkers see the flaw."""
    good = made_by_toy_store(7, SMALL)
    bad = made_by_toy_store(7, SMALL, Flaw.LATE, every=2)

    def verdict(*, broken: bool) -> set[Verdict]:
        history = bad if broken else good
        return {
            isolation.check(history, "causal").verdict,
            combined(sessions.check(history, order_of=rank_of_version)),
        }

    assert verdict(broken=False) == {Verdict.VALID}
    assert verdict(broken=True) == {Verdict.INVALID}
