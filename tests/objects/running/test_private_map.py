"""The built-in map: versions, ranges, and transactions that hold or do nothing."""

import asyncio

import pytest

from kvnode.errors import ObjectRaisedError
from tests.objects.running.objects import Site


async def test_versions_grow_and_never_come_back(site: Site) -> None:
    """Deleting a key does not make its next version an old one."""
    call = site.call
    assert await call("Storage s", "put", "a", 1) == 1
    assert await call("Storage s", "put", "b", {"x": [1]}) == 2
    assert await call("Storage s", "delete", "a")
    assert not await call("Storage s", "delete", "a")
    assert await call("Storage s", "put", "a", 3) == 4
    assert await call("Storage s", "get", "a") == {"value": 3, "version": 4}
    assert await call("Storage s", "get", "c") is None
    assert await call("Storage s", "get_many", ["a", "c"]) == {
        "a": {"value": 3, "version": 4}
    }


async def test_list_goes_by_keys_and_shows_nothing_of_our_own(site: Site) -> None:
    """Both ways, within bounds."""
    await site.call("Storage s", "put_many", {key: key for key in "edcba"})

    listed = await site.call("Storage s", "list", "", "b", "e")
    assert listed == [[key, key, 1] for key in "bcd"]
    id_rows = await site.call("Storage s", "list")
    assert [key for key, *_ in id_rows] == list("abcde")


async def test_transaction_does_all_if_its_conditions_hold(site: Site) -> None:
    """And says what it saw, what it got and which version it made."""
    await site.call("Storage s", "put", "from", 10)
    steps = [
        {"if": "from", "version": 1},
        {"if": "to", "value": None},
        {"put": "from", "value": 7},
        {"put": "to", "value": 3},
        {"get": "to"},
    ]

    answer = await site.call("Storage s", "transaction", steps)

    assert answer["applied"]
    assert answer["version"] == 2
    assert answer["seen"] == {"from": {"value": 10, "version": 1}, "to": None}
    assert answer["got"] == {"to": {"value": 3, "version": 2}}


async def test_transaction_whose_condition_fails_does_nothing(site: Site) -> None:
    """And answers what it saw instead."""
    await site.call("Storage s", "put", "k", "v")
    entries = len(site.log.entries)
    steps = [{"if": "k", "version": 9}, {"put": "k", "value": "w"}, {"delete": "x"}]

    answer = await site.call("Storage s", "transaction", steps)

    assert answer == {
        "applied": False,
        "version": 0,
        "seen": {"k": {"value": "v", "version": 1}},
        "got": {},
    }
    assert len(site.log.entries) == entries


async def test_of_rivals_one_wins(site: Site) -> None:
    """Compare and set, by many at once."""

    async def take(me: int) -> bool:
        steps = [{"if": "lock", "version": 0}, {"put": "lock", "value": me}]
        answer = await site.call("Storage s", "transaction", steps)
        return bool(answer["applied"])

    assert sum(await asyncio.gather(*map(take, range(20)))) == 1


@pytest.mark.parametrize(
    "step", [{}, {"put": "k", "delete": "k"}, {"if": "k"}, {"put": 1}]
)
async def test_step_that_says_nothing_clear_is_refused(
    site: Site, step: dict[str, object]
) -> None:
    """With what a step says, and nothing is done."""
    with pytest.raises(ObjectRaisedError, match=r"a step says|names a version"):
        await site.call("Storage s", "transaction", [{"put": "a", "value": 1}, step])
    assert await site.call("Storage s", "get", "a") is None


async def test_transaction_that_is_refused_half_way_has_changed_nothing(
    site: Site,
) -> None:
    """Nor was its version given to anybody."""
    await site.call("Storage s", "put", "k", 0)
    steps = [{"put": "a", "value": 1}, {"put": "b", "value": bytes(200_000)}]
    with pytest.raises(ObjectRaisedError, match="at most 131072"):
        await site.call("Storage s", "transaction", steps)

    assert await site.call("Storage s", "get", "a") is None
    assert await site.call("Storage s", "put", "c", 1) == 2
    assert len(site.log.entries) == 2


async def test_what_fits_no_entry_is_refused_as_a_whole(site: Site) -> None:
    """Values without the version that they have would be in two entries."""
    large = {f"k{n:03}": bytes(131_040) for n in range(128)}
    small = dict.fromkeys(large, 1)
    with pytest.raises(ObjectRaisedError, match="more than 16777216 bytes"):
        await site.call("Storage s", "put_many", large)
    assert await site.call("Storage s", "put_many", small) == 1
    assert len(site.log.entries) == 1


async def test_key_that_is_named_twice_is_deleted_once(site: Site) -> None:
    """And counted once."""
    await site.call("Storage s", "put", "a", 1)
    assert await site.call("Storage s", "delete_many", ["a", "a"]) == 1
