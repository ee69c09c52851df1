"""CASPaxos in every order: all that two attempts can meet, looked at one by one."""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple, TypeVar

from kvnode.core.objects.caspaxos import (
    Answer,
    Attempt,
    Ballot,
    Changed,
    Prepare,
    VoterState,
    vote,
)
from tests.core.objects.test_caspaxos import VOTERS, Append, P, Q


class World(NamedTuple):
    """
    Voters, attempts, and the answers that are on their way.

    What an attempt asks may arrive at any voter at any time, again and again, or
    never.  Refusals are left out: they end attempts, and safety does not need them.
    """

    voters: tuple[VoterState, ...]
    attempts: tuple[Attempt, ...]
    answered: frozenset[tuple[int, int, Answer]]  # voter, attempt


def begin(ballots: tuple[Ballot, ...], voters: int) -> World:
    """Return a world in which nothing has arrived yet."""
    members = frozenset(VOTERS[:voters])
    attempts = tuple(
        Attempt.begin(ballot, members, Append(bytes([65 + number])))
        for number, ballot in enumerate(ballots)
    )
    return World((VoterState(),) * voters, attempts, frozenset())


def next_worlds(world: World) -> Iterator[World]:
    """Yield what one arrival can make of *world*."""
    for number, which in product(range(len(world.voters)), range(len(world.attempts))):
        ballot = world.attempts[which].request.ballot
        for request in {Prepare(ballot), world.attempts[which].request}:
            state, answer = vote(world.voters[number], request)
            if state != world.voters[number]:
                yield world._replace(
                    voters=replaced(world.voters, number, state),
                    answered=world.answered | {(number, which, answer)},
                )
    for place in world.answered:
        number, which, answer = place
        before = world.attempts[which]
        after = before.received(VOTERS[number], answer)
        yield world._replace(
            attempts=replaced(world.attempts, which, after),
            answered=world.answered - {place},
        )


ItemT = TypeVar("ItemT")


def replaced(items: tuple[ItemT, ...], place: int, item: ItemT) -> tuple[ItemT, ...]:
    """Return *items* with another one at *place*."""
    return (*items[:place], item, *items[place + 1 :])


def changes(world: World) -> list[Changed]:
    """Return what was acknowledged."""
    outcomes = (each.outcome for each in world.attempts)
    return [each for each in outcomes if isinstance(each, Changed)]


def explore(start: World) -> int:
    """Look at every world that can come of *start*; return how many there are."""
    seen, waiting = {start}, [start]
    while waiting:
        world = waiting.pop()
        line = sorted(changes(world), key=lambda change: len(change.after))
        assert len({each.before for each in line}) == len(line), "a change was lost"
        for earlier, later in pairwise(line):
            assert later.before.startswith(earlier.after), "another value was between"
        for following in next_worlds(world):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return len(seen)


def test_two_attempts_at_three_voters_keep_one_line_in_every_order() -> None:
    """All orders of arrival, losses and repetitions of all messages."""
    explored = explore(begin((Ballot(1, P), Ballot(1, Q)), voters=3))

    assert explored > 1000


def test_two_attempts_at_two_voters_keep_one_line_in_every_order() -> None:
    """With two voters both must answer."""
    assert explore(begin((Ballot(2, P), Ballot(1, Q)), voters=2)) > 100
