"""Objects that are placed in a region when they are first heard of (objects.md, 1)."""

import asyncio

import pytest

from kvnode.errors import (
    CorruptRecordError,
    IndeterminateError,
    InvalidArgumentError,
    MovedError,
    NotLeaderError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import encode_value
from kvnode.objects.locating import LOCATE
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.point_calls import CURRENT, RESTORE
from kvnode.objects.running import claims
from kvnode.objects.storing.keys import Kind, object_prefix
from tests.objects.running.objects import SHARD, Counter, settled, site

WEST = "r.west.000"


async def moved(call: "asyncio.Task[object]") -> str:
    """Return the region that a call is told of."""
    with pytest.raises(MovedError) as caught:
        await call
    return caught.value.region


async def test_first_call_with_a_hint_places_the_object() -> None:
    """It is told where, and nothing of the object begins here."""
    async with site() as made:
        assert await moved(made.call("Counter a", "increment", hint="west")) == "west"
        assert made.founded == [WEST]
        assert Counter.started == 0


async def test_placed_object_stays_where_it_is() -> None:
    """Without a hint, with another, and for who leads later."""
    async with site() as made:
        made.log.applies = False
        await moved(made.call("Counter a", "increment", hint="west"))
        assert await moved(made.call("Counter a", "increment")) == "west"
        assert await moved(made.call("Counter a", "increment", hint="east")) == "west"
        made.log.apply(SHARD, 1)
        assert await moved(made.call("Counter a", "increment")) == "west"
        made.reopen()
        assert await moved(made.call("Counter a", "increment", hint="east")) == "west"
        assert made.founded == [WEST]
        assert Counter.started == 0


async def test_object_that_has_stored_something_is_not_moved_by_a_hint() -> None:
    """Whether or not it is in memory."""
    async with site() as made:
        assert await made.call("Counter a", "increment") == 1
        assert await made.call("Counter a", "increment", hint="west") == 2
        made.reopen()
        assert await made.call("Counter a", "increment", hint="west") == 3
        assert made.founded == []


async def test_object_in_memory_is_not_moved_by_a_hint() -> None:
    """It may hold what it never stores; once it has gone nobody can tell."""
    async with site() as made:
        assert await made.call("Counter a", "value") == 0
        assert await made.call("Counter a", "value", hint="west") == 0
        assert made.founded == []
        made.reopen()
        assert await moved(made.call("Counter a", "value", hint="west")) == "west"


async def test_claim_is_told_once_it_is_committed() -> None:
    """Else who leads next might know nothing of it."""
    async with site() as made:
        made.log.commits.clear()
        first = made.call("Counter a", "increment", hint="west")
        second = made.call("Counter a", "increment")
        await settled()
        assert not first.done()
        assert not second.done(), "nor may the object begin here meanwhile"
        made.log.commits.set()
        assert await moved(first) == await moved(second) == "west"


async def test_of_two_first_calls_one_places_the_object() -> None:
    """The other one finds it placed."""
    async with site() as made:
        calls = [
            made.call("Counter a", "increment", hint=hint) for hint in ("west", "east")
        ]
        assert [await moved(call) for call in calls] == ["west", "west"]


async def test_call_without_a_hint_that_comes_first_settles_it() -> None:
    """While its first word is not durable, the one with the hint waits with it."""
    async with site() as made:
        calls = [
            made.call("Counter a", "increment"),
            made.call("Counter a", "increment", hint="west"),
        ]
        assert [await call for call in calls] == [1, 2]


async def test_region_that_cannot_begin_places_nothing() -> None:
    """The caller is told why, and the next one may do better."""

    async def failing() -> None:
        msg = "no node is there"
        raise InvalidArgumentError(msg)

    async with site() as made:
        made.founding = failing
        with pytest.raises(InvalidArgumentError, match="no node is there"):
            await made.call("Counter a", "increment", hint="west")
        assert await made.call("Counter a", "increment") == 1


async def test_shard_that_closes_ends_claims() -> None:
    """What waits is told that nothing has happened."""

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async with site() as made:
        made.founding = for_ever
        calls = [
            made.call("Counter a", "increment", hint="west"),
            made.call("Counter a", "increment"),
        ]
        await settled()
        made.reopen()
        for call in calls:
            with pytest.raises(NotLeaderError):
                await call


async def test_claim_that_is_in_doubt_is_no_call_in_doubt() -> None:
    """The object has not been called; who leads next knows where it lives."""
    async with site() as made:
        made.log.commits.clear()
        call = made.call("Counter a", "increment", hint="west")
        await settled()
        made.log.loss = IndeterminateError("the lead was lost")
        made.log.commits.set()
        with pytest.raises(UnavailableError):
            await call


async def test_shard_of_a_region_places_nothing() -> None:
    """Who was sent there is there."""
    async with site() as made:
        made.host.closed(SHARD, 1)
        made.host.opened(WEST, 1, 0)
        call = made.call("Counter a", "increment", hint="east", shard=WEST)
        assert await call == 1
        assert made.founded == []


async def test_points_of_a_placed_object_are_asked_for_at_home() -> None:
    """Here it has none."""
    async with site() as made:
        await moved(made.call("Counter a", "increment", hint="west"))
        assert await moved(made.call("Counter a", CURRENT)) == "west"


async def test_asking_where_an_object_lives_places_nothing() -> None:
    """It tells whether a hint may still do so."""
    async with site() as made:
        assert await made.call("Counter a", LOCATE) == [SHARD, False]
        assert Counter.started == 0
        await made.call("Counter a", "value")
        assert await made.call("Counter a", LOCATE) == [SHARD, True]
        await moved(made.call("Counter b", "increment", hint="west"))
        assert await moved(made.call("Counter b", LOCATE)) == "west"


async def test_where_an_object_lives_is_looked_at_once_the_lead_is_confirmed() -> None:
    """It may be placed elsewhere while whoever asks waits for that."""
    async with site() as made:
        made.log.leased = False
        confirmed = asyncio.Event()

        async def confirm(shard: str) -> None:
            del shard
            await confirmed.wait()

        made.log.confirm = confirm  # type: ignore[method-assign]
        asked = made.call("Counter a", LOCATE)
        await settled()
        await moved(made.call("Counter a", "increment", hint="west"))
        confirmed.set()
        assert await moved(asked) == "west"


async def test_shard_that_closes_tells_nobody_where_an_object_lives() -> None:
    """What was being placed may be so by now, and who leads next knows."""

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async with site() as made:
        made.founding = for_ever
        call = made.call("Counter a", "increment", hint="west")
        await settled()
        asked = [made.call("Counter a", method) for method in (LOCATE, CURRENT)]
        await settled()
        made.reopen()
        for each in (call, *asked):
            with pytest.raises(NotLeaderError):
                await each


async def test_bookmark_from_before_an_object_was_placed_is_refused_at_home() -> None:
    """It names an entry of another shard, and would restore any state there."""
    async with site() as made:
        before = await made.call("Counter a", CURRENT)
        await moved(made.call("Counter a", "increment", hint="west"))
        made.host.closed(SHARD, 1)
        id_ = ObjectId.from_name("Counter", "a")
        made.log.rows.discard(object_prefix(id_.body, Kind.CLAIM))  # as the log at home
        made.host.opened(WEST, 1, made.log.rows.applied)
        for _ in range(2):
            await made.call("Counter a", "increment", shard=WEST)
        with pytest.raises(InvalidArgumentError, match="before the object was placed"):
            await made.call("Counter a", RESTORE, before, shard=WEST)
        home = await made.call("Counter a", CURRENT, shard=WEST)
        await made.call("Counter a", "increment", shard=WEST)
        await made.call("Counter a", RESTORE, home, shard=WEST)
        assert await made.call("Counter a", "value", shard=WEST) == 2
        made.host.closed(WEST, 1)


async def test_shard_is_busy_while_an_object_is_placed() -> None:
    """Whoever gives the lead away waits for that, too."""
    async with site() as made:
        made.log.commits.clear()
        call = made.call("Counter a", "increment", hint="west")
        await settled()
        assert made.host.is_busy(SHARD)
        made.log.commits.set()
        await moved(call)
        assert not made.host.is_busy(SHARD)


async def test_only_so_many_are_placed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are told to come later."""
    monkeypatch.setattr(claims, "CLAIMS_MAX", 2)
    async with site() as made:
        made.log.commits.clear()
        calls = [
            made.call(f"Counter c{number}", "value", hint="west") for number in range(3)
        ]
        with pytest.raises(OverloadedError, match="2 objects"):
            await calls[2]
        made.log.commits.set()
        for call in calls[:2]:
            assert await moved(call) == "west"


async def test_damaged_claim_is_told() -> None:
    """It is not taken for none: the object would begin anew here."""
    async with site() as made:
        id_ = ObjectId.from_name("Counter", "a")
        made.log.rows.put(object_prefix(id_.body, Kind.CLAIM), encode_value(7, "it"))
        with pytest.raises(CorruptRecordError, match="damaged"):
            await made.call("Counter a", "increment")
