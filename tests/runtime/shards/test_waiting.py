"""Who waits for entries is told once, and of its own."""

import asyncio

import pytest

from kvnode.errors import IndeterminateError, OverloadedError, UnavailableError
from kvnode.runtime.shards import waiting
from kvnode.runtime.shards.waiting import Waiting

SHARD = "eu-1"


def proposed(those: Waiting, *numbers: int) -> list[asyncio.Future[int]]:
    """Return the answers to proposals that stand in the log under *numbers*."""
    futures = []
    for number in numbers:
        futures.append(those.ask(number + 100, 10, SHARD))
        those.proposed(number + 100, number)
    return futures


async def test_commit_answers_entries_up_to_its_number() -> None:
    """And none behind it."""
    those = Waiting()
    four, five, six = proposed(those, 4, 5, 6)

    those.committed(5)

    assert (four.result(), five.result(), six.done()) == (4, 5, False)


async def test_failure_behind_a_number_leaves_the_others() -> None:
    """They may be committed."""
    those = Waiting()
    four, five = proposed(those, 4, 5)

    those.fail_behind(4, UnavailableError("nothing has happened"))

    assert isinstance(five.exception(), UnavailableError)
    assert not four.done()
    those.fail(IndeterminateError("nobody knows"))
    assert isinstance(four.exception(), IndeterminateError)


async def test_who_was_failed_is_not_answered_again() -> None:
    """What was asked in an epoch that has ended is of no other."""
    those = Waiting()
    asked = those.ask(1, 0, SHARD)
    those.fail(IndeterminateError("nobody knows"))

    those.proposed(1, 7)
    those.committed(7)
    those.declined(1, UnavailableError("no"))
    those.confirmed((1,))

    assert isinstance(asked.exception(), IndeterminateError)


async def test_large_entries_that_wait_are_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until the one or the other has its answer."""
    monkeypatch.setattr(waiting, "UNANSWERED_BYTES_MAX", 15)
    those = Waiting()
    proposed(those, 1, 2)
    with pytest.raises(OverloadedError, match="which is as many as may"):
        those.ask(3, 1, SHARD)

    those.committed(1)

    those.ask(3, 1, SHARD)
