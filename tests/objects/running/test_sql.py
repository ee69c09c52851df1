"""SQL databases of objects: in one entry with the keys, and gone with what is lost."""

from collections.abc import AsyncIterator

import pytest

from kvnode.core.objects.map_change import decode_changes
from kvnode.errors import (
    IndeterminateError,
    KvError,
    ObjectRaisedError,
    UnavailableError,
)
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.shard_objects import IDLE_MILLIS_MAX
from kvnode.objects.storing.keys import Kind, object_prefix
from tests.objects.running.ledgers import Ledger
from tests.objects.running.objects import DOORS, Site, settled
from tests.objects.running.objects import site as running

BODY = ObjectId.from_name("Ledger", "l").body
PAGES = object_prefix(BODY, Kind.SQL_PAGE)
KEYS = object_prefix(BODY, Kind.STORED)


@pytest.fixture(name="site")
async def site_with_a_ledger() -> AsyncIterator[Site]:
    """A host of ledgers, and one line in one of them."""
    async with running({"Ledger": Ledger}) as made:
        await made.call("Ledger l", "add", "a")
        yield made


def kinds(entry: bytes) -> set[str]:
    """Return what an entry changes of the ledger."""
    keys = [change.key for change in decode_changes(entry)]
    found = {"pages": PAGES, "keys": KEYS}
    return {
        name
        for name, prefix in found.items()
        if any(key.startswith(prefix) for key in keys)
    }


async def test_sql_and_keys_of_one_step_are_one_entry(site: Site) -> None:
    """And what is awaited in between makes two of them."""
    before = len(site.log.entries)
    assert await site.call("Ledger l", "add", "b") == 2
    assert [kinds(each) for each in site.log.entries[before:]] == [{"pages", "keys"}]

    adding = site.call("Ledger l", "add_later", "c", "a")
    await settled()
    DOORS["a"].set()
    await adding
    assert [kinds(each) for each in site.log.entries[before + 1 :]] == [
        {"pages"},
        {"keys"},
    ]


async def test_reading_makes_no_entry(site: Site) -> None:
    """Not even of an object that makes its tables whenever it starts."""
    before = len(site.log.entries)
    site.reopen()

    assert await site.call("Ledger l", "lines") == ["a"]
    assert len(site.log.entries) == before


async def test_failure_is_told_by_its_type(site: Site) -> None:
    """What was written before stays, as with keys."""
    with pytest.raises(ObjectRaisedError, match=r"UNIQUE .*line\.what") as caught:
        await site.call("Ledger l", "add_and_raise", "b")

    assert caught.value.type_name == "SqlError"
    assert await site.call("Ledger l", "lines") == ["a", "b"]


@pytest.mark.parametrize("loss", [None, IndeterminateError("lost")])
async def test_pages_that_were_not_committed_are_not_seen(
    site: Site, loss: KvError | None
) -> None:
    """The instance ends, and the next one reads what the log says."""
    if loss is None:
        site.log.refusal = UnavailableError("not the leader")
    else:
        site.log.commits.clear()
    adding = site.call("Ledger l", "add", "b")
    await settled()
    site.log.loss = loss
    site.log.commits.set()
    with pytest.raises(KvError):
        await adding
    site.log.refusal = site.log.loss = None
    site.log.entries = site.log.entries[: site.log._applied]
    site.reopen()

    assert await site.call("Ledger l", "lines") == ["a"]
    assert await site.call("Ledger l", "add", "c") == 2


async def test_pages_are_seen_before_they_show_in_the_state(site: Site) -> None:
    """Also by a connection that is opened meanwhile."""
    site.log.applies = False
    for number in range(5):
        assert await site.call("Ledger l", "add", f"b{number}") == number + 2
        instance = await site.host._led["s000"].instance(
            ObjectId.from_name("Ledger", "l")
        )
        instance.storage.sql.rest()
        if number == 2:
            site.log.apply("s000", len(site.log.entries) - 1)

    site.log.apply("s000", len(site.log.entries))
    assert len(await site.call("Ledger l", "lines")) == 6


async def test_log_alone_makes_the_database(site: Site) -> None:
    """Another node that has it goes on."""
    for what in "bcd":
        await site.call("Ledger l", "add", what)

    async with running({"Ledger": Ledger}) as other:
        other.log.entries = list(site.log.entries)
        other.log.apply("s000", len(other.log.entries))
        assert await other.call("Ledger l", "lines") == list("abcd")


# -- transactions ----------------------------------------------------------------------


async def test_transaction_holds_sql_and_keys(site: Site) -> None:
    """In one entry, however often it awaits."""
    before = len(site.log.entries)

    assert await site.call("Ledger l", "add_together", ["b", "c"]) == 3

    assert [kinds(each) for each in site.log.entries[before:]] == [{"pages", "keys"}]
    assert await site.call("Ledger l", "lines") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raise", "raise"),
        ("delete", "delete_all cannot"),
        ("within", "within another"),
        ("large", "in one step"),
    ],
)
async def test_transaction_that_fails_leaves_nothing(
    site: Site, how: str, why: str
) -> None:
    """Neither of SQL nor of keys, and there is nothing to be committed."""
    before = len(site.log.entries)

    with pytest.raises(ObjectRaisedError, match=why):
        await site.call("Ledger l", "add_together", ["b", "c"], how)

    assert len(site.log.entries) == before
    assert await site.call("Ledger l", "lines") == ["a"]


async def test_transaction_that_is_rolled_back_leaves_nothing(site: Site) -> None:
    """And returns what it has seen."""
    assert await site.call("Ledger l", "add_together", ["b", "c"], "roll back") == 3

    assert await site.call("Ledger l", "lines") == ["a"]


async def test_transaction_sync_happens_or_does_not(site: Site) -> None:
    """It may not await: others could see half of it."""
    assert await site.call("Ledger l", "add_sync", ["b", "c"]) == 3
    with pytest.raises(ObjectRaisedError, match="raise"):
        await site.call("Ledger l", "add_sync", ["d"], "raise")
    with pytest.raises(ObjectRaisedError, match="UNIQUE"):
        await site.call("Ledger l", "add_sync", ["d", "b"])
    with pytest.raises(ObjectRaisedError, match="cannot await"):
        await site.call("Ledger l", "add_sync", ["d"], "await")

    assert await site.call("Ledger l", "lines") == ["a", "b", "c"]


async def test_object_that_ends_itself_in_a_transaction_stores_nothing(
    site: Site,
) -> None:
    """Its code goes on until it awaits something."""
    with pytest.raises(UnavailableError, match="ended itself"):
        await site.call("Ledger l", "add_sync", ["b"], "abort")

    assert await site.call("Ledger l", "lines") == ["a"]


async def test_call_with_a_key_happens_once(site: Site) -> None:
    """What it did in SQL is in the entry of its result."""
    before = len(site.log.entries)
    for _ in range(2):
        assert await site.call("Ledger l", "add", "b", key="once") == 2

    assert [kinds(each) for each in site.log.entries[before:]] == [{"pages", "keys"}]


# -- beginning and end ------------------------------------------------------------


async def test_deleting_everything_deletes_the_database(site: Site) -> None:
    """Nothing of it is left in the state."""
    assert await site.call("Ledger l", "forget") == 0

    assert not [key for key in site.log.rows.rows if key.startswith(PAGES)]
    site.reopen()
    assert await site.call("Ledger l", "lines") == []


async def test_object_that_leaves_memory_closes_its_database(site: Site) -> None:
    """And finds all of it when it is back."""
    led = site.host._led["s000"]
    databases = led._around.databases
    assert len(databases) == 1

    site.now += IDLE_MILLIS_MAX
    led._sweep(IDLE_MILLIS_MAX)
    assert len(led) == len(databases) == 0

    assert await site.call("Ledger l", "add", "b") == 2
    assert len(databases) == 1


async def test_databases_of_objects_are_apart(site: Site) -> None:
    """Each sees its own."""
    await site.call("Ledger other", "add", "z")

    assert await site.call("Ledger other", "lines") == ["z"]
    assert await site.call("Ledger l", "lines") == ["a"]
