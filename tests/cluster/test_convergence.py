"""Agreement between nodes, and the words for its absence."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.convergence import Ask, explain, wait_until_equal
from cluster.errors import NotConvergedError
from kvnode.client import ClockEntry, Digest
from kvnode.errors import UnavailableError
from kvnode.types import ReplicaId

clocks = st.dictionaries(st.integers(1, 3), st.integers(0, 3))


def holding(fill: int, entries: int, clock: dict[int, int]) -> Digest:
    """What a node says that has that many entries and covers *clock*."""
    covered = (ClockEntry(ReplicaId(who), seq, seq) for who, seq in clock.items())
    return Digest(bytes([fill] * 32), entries, entries, tuple(covered))


holdings = st.builds(holding, st.integers(1, 2), st.integers(0, 2), clocks)
ONE = holding(1, 1, {7: 1})
TWO = holding(2, 2, {7: 2})


def answering(*replies: Digest | Exception) -> Ask:
    """A node that gives these answers one after the other, the last for ever."""
    answers: Iterator[Digest | Exception] = iter(replies)
    last: Digest | Exception = replies[-1]

    async def ask() -> Digest:
        answer = next(answers, last)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@given(held=st.lists(holdings, min_size=1, max_size=4))
def test_nothing_is_explained_exactly_if_clocks_and_digests_are_equal(
    held: list[Digest],
) -> None:
    """An empty explanation is the definition of agreement."""
    answers = {f"n{number}": holding for number, holding in enumerate(held)}

    states = {
        (one.digest, frozenset(entry for entry in one.clock if entry.covered))
        for one in held
    }
    assert (not explain(answers)) == (len(states) == 1)


def test_missing_writes_are_counted_by_node_and_origin() -> None:
    """The lines say who lacks how much of whose writes."""
    lines = explain({"tokyo": ONE, "virginia": TWO})

    assert lines[0] == "tokyo lacks 1 writes of 0000000000000007"


def test_equal_clocks_with_other_entries_are_called_a_bug() -> None:
    """D9: this is never a matter of waiting."""
    odd = holding(3, 9, {7: 1})

    assert "a bug" in explain({"tokyo": ONE, "virginia": odd})[0]


async def test_wait_ends_when_the_last_node_has_caught_up() -> None:
    """Nodes that refuse for a while are asked again."""
    agreement = await wait_until_equal(
        {
            "tokyo": answering(TWO),
            "virginia": answering(UnavailableError("starting"), ONE, TWO),
        },
        timeout_seconds=30,
    )

    assert agreement.digest == TWO


async def test_wait_that_fails_says_what_differs() -> None:
    """At the deadline the difference is in the message."""
    with pytest.raises(NotConvergedError, match="virginia lacks 1 writes"):
        await wait_until_equal(
            {"tokyo": answering(TWO), "virginia": answering(ONE)}, timeout_seconds=0
        )


async def test_wait_that_fails_names_nodes_that_did_not_answer() -> None:
    """A node that is down is no agreement."""
    with pytest.raises(NotConvergedError, match="virginia did not answer: gone"):
        await wait_until_equal(
            {"tokyo": answering(ONE), "virginia": answering(UnavailableError("gone"))},
            timeout_seconds=0,
        )
