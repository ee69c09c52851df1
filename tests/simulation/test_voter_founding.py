"""Every order in which three voters can found, of whom one may lose its disk."""

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

import pytest

from kvnode.core.objects.voters.duty import Found, Pledge, duty_of
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.messages import Standing
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import MEMBERS

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

NAMES: Final = ("a", "b", "c")
NOTHING: Final = (None, None, None)
FRESH: Final = {
    name: Standing(
        MEMBERS[name].identity,
        NAMES,
        barred=False,
        pledge=None,
        electorate=None,
        successor=None,
    )
    for name in NAMES
}


class Founding(NamedTuple):
    """
    Three voters that found, in whatever order.

    Attributes:
        voters: What each of them is.
        heard: What each has heard of the others, perhaps long ago.
        founded: Everything that anybody has ever founded.
        has_disk: b may yet lose its disk; which of them does is all the same.
    """

    voters: tuple[Standing, ...]
    heard: tuple[tuple[Standing | None, ...], ...]
    founded: frozenset[Electorate]
    has_disk: bool


def followers(world: Founding) -> Iterator[Founding]:
    """Yield what one step can make of *world*."""
    for own in range(3):
        for other in range(3):
            if other != own and world.heard[own][other] != world.voters[other]:
                heard = replaced(world.heard[own], other, world.voters[other])
                yield world._replace(heard=replaced(world.heard, own, heard))
        yield from acts(world, own)
    if world.has_disk:
        wiped = FRESH["b"]._replace(voter=ReplicaId(66))
        yield world._replace(
            voters=replaced(world.voters, 1, wiped),
            heard=replaced(world.heard, 1, NOTHING),
            has_disk=False,
        )


def acts(world: Founding, own: int) -> Iterator[Founding]:
    """Yield what a voter makes of what it has heard; then it asks anew."""
    me = world.voters[own]
    heard = {
        name: each
        for name, each in zip(NAMES, world.heard[own], strict=True)
        if each is not None
    }
    match duty_of(me, {**heard, NAMES[own]: me}):
        case Pledge(electorate):
            after, founded = me._replace(pledge=electorate), world.founded
        case Found(electorate):
            after = me._replace(electorate=electorate)
            founded = world.founded | {electorate}
        case _:
            return
    yield world._replace(
        voters=replaced(world.voters, own, after),
        heard=replaced(world.heard, own, NOTHING),
        founded=founded,
    )


ItemT = TypeVar("ItemT")


def replaced(items: tuple[ItemT, ...], place: int, item: ItemT) -> tuple[ItemT, ...]:
    """Return *items* with another one at *place*."""
    return (*items[:place], item, *items[place + 1 :])


def test_two_electorates_are_never_founded_in_whatever_order() -> None:
    """A disk may be lost at any time, and what was heard may be as old as can be."""
    start = Founding(tuple(FRESH.values()), (NOTHING,) * 3, frozenset(), has_disk=True)
    seen, waiting = {start}, [start]
    while waiting:
        world = waiting.pop()
        assert len(world.founded) <= 1, world
        for following in followers(world):
            if following not in seen:
                seen.add(following)
                waiting.append(following)

    assert any(len(world.founded) == 1 for world in seen)
    assert len(seen) > 10_000
