"""CASPaxos in every order: all that two attempts can meet, looked at one by one."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Final, NamedTuple, TypeVar

import pytest

from kvnode.core.objects.caspaxos import (
    Answer,
    Attempt,
    Ballot,
    Changed,
    Look,
    Prepare,
    VoterState,
    vote,
)
from kvnode.types import ReplicaId
from tests.core.objects.test_caspaxos import VOTERS, Append, P, Q, unchanged

R: Final = ReplicaId(10)


class World(NamedTuple):
    """
    Voters, attempts, and the answers that are on their way.

    What an attempt asks may arrive at any voter at any time, again and again, or
    never.  Refusals are left out: they end attempts, and safety does not need them.
    """

    voters: tuple[VoterState, ...]
    attempts: tuple[Attempt, ...]
    answered: frozenset[tuple[int, int, Answer]]  # voter, attempt


def begin(
    ballots: tuple[Ballot, ...], voters: int, looking: Ballot | None = None
) -> World:
    """Return a world in which nothing has arrived yet."""
    members = frozenset(VOTERS[:voters])
    attempts = tuple(
        Attempt.begin(ballot, members, Append(bytes([65 + number])))
        for number, ballot in enumerate(ballots)
    )
    if looking is not None:
        reader = Attempt.begin(looking, members, unchanged, looks=True)
        attempts = (*attempts, reader)
    return World((VoterState(),) * voters, attempts, frozenset())


def next_worlds(world: World) -> Iterator[World]:
    """Yield what one arrival can make of *world*."""
    for number, which in product(range(len(world.voters)), range(len(world.attempts))):
        asked = world.attempts[which].request
        for request in (
            {asked}
            if isinstance(asked, Look)
            else {
                Prepare(asked.ballot),
                asked,
            }
        ):
            state, answer = vote(world.voters[number], request)
            answered = world.answered | {(number, which, answer)}
            if state != world.voters[number] or looks_for_the_first_time(
                world, number, which
            ):
                yield world._replace(
                    voters=replaced(world.voters, number, state), answered=answered
                )
    for place in world.answered:
        number, which, answer = place
        before = world.attempts[which]
        after = before.received(VOTERS[number], answer)
        yield world._replace(
            attempts=replaced(world.attempts, which, after),
            answered=world.answered - {place},
        )


def looks_for_the_first_time(world: World, number: int, which: int) -> bool:
    """Tell whether a look is to arrive: what it shows may be on its way for long."""
    attempt = world.attempts[which]
    return (
        isinstance(attempt.request, Look)
        and attempt.outcome is None
        and VOTERS[number] not in attempt.heard
        and (number, which) not in {place[:2] for place in world.answered}
    )


ItemT = TypeVar("ItemT")


def replaced(items: tuple[ItemT, ...], place: int, item: ItemT) -> tuple[ItemT, ...]:
    """Return *items* with another one at *place*."""
    return (*items[:place], item, *items[place + 1 :])


def acknowledged(world: World) -> list[Changed]:
    """Return what was told, reads after the change that they have seen."""
    outcomes = (each.outcome for each in world.attempts)
    told = [each for each in outcomes if isinstance(each, Changed)]
    return sorted(told, key=lambda each: (len(each.after), len(each.before)))


def explore(start: World) -> int:
    """Look at every world that can come of *start*; return how many there are."""
    seen, waiting = {start}, [start]
    while waiting:
        world = waiting.pop()
        line = acknowledged(world)
        changes = [each for each in line if each.before != each.after]
        assert len({each.before for each in changes}) == len(changes), (
            "a change is lost"
        )
        for earlier, later in pairwise(line):
            assert later.before.startswith(earlier.after), "another value was between"
        for following in next_worlds(world):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return len(seen)


def test_look_is_of_the_same_line_in_every_order() -> None:
    """It arrives at any time at each voter, while two change what it looks at."""
    explored = explore(
        begin((Ballot(1, P), Ballot(1, Q)), voters=2, looking=Ballot(9, R))
    )

    assert explored > 1000


def test_newest_of_what_a_look_finds_may_never_be_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who takes it for held tells of what never was: the orders show it."""

    def shown(self: Attempt, voter: ReplicaId, state: VoterState) -> Attempt:
        found = max(self.found, state.accepted)
        after = replace(self, heard=self.heard | {voter}, found=found)
        if not after._has_majority:
            return after
        return replace(after, outcome=Changed(found.value, found.value))

    monkeypatch.setattr(Attempt, "_shown", shown)
    start = begin((Ballot(1, P), Ballot(1, Q)), voters=3, looking=Ballot(9, R))

    with pytest.raises(AssertionError, match="another value was between"):
        explore(start)


def test_two_attempts_at_three_voters_keep_one_line_in_every_order() -> None:
    """All orders of arrival, losses and repetitions of all messages."""
    explored = explore(begin((Ballot(1, P), Ballot(1, Q)), voters=3))

    assert explored > 1000


def test_two_attempts_at_two_voters_keep_one_line_in_every_order() -> None:
    """With two voters both must answer."""
    assert explore(begin((Ballot(2, P), Ballot(1, Q)), voters=2)) > 100
