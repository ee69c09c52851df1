"""Storage under Cloudflare's names; what it does is compared with workerd elsewhere."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kvnode.errors import ObjectRaisedError
from tests.objects.workers.probe import done


async def test_call_that_is_not_awaited_has_happened() -> None:
    """A promise is under way once there is one."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        self.ctx.storage.put("a", 1)
        first = self.ctx.storage.get("a")
        self.ctx.storage.put("a", 2)
        self.ctx.storage.setAlarm(4e12)
        return [await first, await self.ctx.storage.get("a"), await first]

    assert await done(work) == [1, 2, 1]


async def test_options_are_given_as_a_map_or_by_name() -> None:
    """And those that are None are not given."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        storage = self.ctx.storage
        await storage.put({"a": 1, "b": 2, "c": 3}, {"allowUnconfirmed": True})
        return [
            await storage.list({"startAfter": "a", "limit": 1}),
            await storage.list(startAfter="a", limit=1),
            await storage.list(start="c", prefix=None, noCache=True),
            await storage.get("a", allowConcurrency=True),
        ]

    assert await done(work) == [{"b": 2}, {"b": 2}, {"c": 3}, 1]


async def test_what_is_not_there_says_so() -> None:
    """An option, a method, and anything that is no map where entries are stored."""

    async def option(self: Any) -> None:  # noqa: ANN401 -- as people write
        await self.ctx.storage.list(start_after="a")

    async def method(self: Any) -> None:  # noqa: ANN401 -- as people write
        await self.ctx.storage.getBookmarkForTime(0)

    async def entries(self: Any) -> None:  # noqa: ANN401 -- as people write
        await self.ctx.storage.put({"a": 1}, 2)

    async def cursor(self: Any) -> None:  # noqa: ANN401 -- as people write
        self.ctx.storage.sql.exec("SELECT 1").first()

    with pytest.raises(
        ObjectRaisedError, match=r"'start_after' of ctx\.storage\.list is"
    ):
        await done(option)
    with pytest.raises(
        ObjectRaisedError, match=r"ctx\.storage\.getBookmarkForTime is not there; see"
    ):
        await done(method)
    with pytest.raises(ObjectRaisedError, match="options are 2"):
        await done(entries)
    with pytest.raises(ObjectRaisedError, match=r"cursor of sql\.exec\.first is not"):
        await done(cursor)


async def test_what_comes_back_has_what_proxies_have() -> None:
    """Fields as attributes, and `to_py`."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        storage = self.ctx.storage
        await storage.put("order", {"lines": [{"price": 3}], "items": 1})
        order = await storage.get("order")
        assert type(order.to_py()) is dict
        assert type(order.lines.to_py()) is list
        assert not hasattr(order, "missing")
        await storage.put("copy", order)
        return [order.lines[0].price, order["items"], await storage.get("copy")]

    assert await done(work) == [3, 1, {"lines": [{"price": 3}], "items": 1}]


async def test_cursor_has_rows_names_and_counts() -> None:
    """Rows as maps, as lists, and one by one."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
        every = sql.exec("SELECT * FROM t")
        first = every.next()
        rest = every.toArray()
        assert every.next().done
        only = sql.exec("SELECT b AS name FROM t WHERE a = ?", 2).one()
        assert sql.databaseSize > 0
        return [
            first.value.b,
            rest.to_py(),
            only.name,
            [row["a"] for row in sql.exec("SELECT a FROM t")],
            sql.exec("SELECT * FROM t").raw().toArray(),
            every.columnNames,
            every.rowsRead,
            sql.exec("UPDATE t SET a = 0").rowsWritten,
        ]

    found = await done(work)
    assert found == [
        *("x", [{"a": 2, "b": "y"}], "y", [1, 2], [[1, "x"], [2, "y"]]),
        *(["a", "b"], 2, 2),
    ]


async def test_storage_belongs_to_a_transaction_that_runs() -> None:
    """So a rollback takes what was written without `txn` with it."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        storage = self.ctx.storage

        async def undone(txn: Any) -> int:  # noqa: ANN401 -- as people write
            await txn.put("a", 1)
            await storage.put("b", 2)
            storage.kv.put("c", 3)
            seen = len(await storage.list())
            txn.rollback()
            return seen

        def kept(txn: Any) -> str:  # noqa: ANN401 -- as people write
            txn.put("d", 4)
            return "kept"

        told = [await storage.transaction(undone), await storage.transaction(kept)]
        return [*told, await storage.list(), storage.transactionSync(lambda: 5)]

    assert await done(work) == [3, "kept", {"d": 4}, 5]


@pytest.mark.parametrize(
    "call", ["setAlarm", "deleteAlarm", "deleteAll", "transaction"]
)
async def test_what_a_transaction_cannot_undo_is_refused_in_it(call: str) -> None:
    """Rather than done although it is rolled back."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        storage = self.ctx.storage
        known: dict[str, list[Any]] = {"setAlarm": [0], "transaction": [print]}
        given = known.get(call, [])

        async def within(_: object) -> None:
            await getattr(storage, call)(*given)

        await storage.transaction(within)

    with pytest.raises(ObjectRaisedError, match=f"storage.{call} while a transaction"):
        await done(work)


async def test_transaction_is_of_no_use_after_its_rollback() -> None:
    """But may be rolled back again."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        async def within(txn: Any) -> None:  # noqa: ANN401 -- as people write
            txn.rollback()
            txn.rollback()
            txn.put("a", 1)

        await self.ctx.storage.transaction(within)

    with pytest.raises(ObjectRaisedError, match="the transaction was rolled back"):
        await done(work)


async def test_transaction_is_of_no_use_after_its_end() -> None:
    """What it wrote would be lost without a word."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        kept: list[Any] = []

        async def within(txn: object) -> None:
            kept.append(txn)

        await self.ctx.storage.transaction(within)
        kept[0].put("a", 1)

    with pytest.raises(ObjectRaisedError, match="the transaction is over"):
        await done(work)


async def test_time_of_an_alarm_is_a_number_or_a_datetime() -> None:
    """In ms since 1970, with or without a fraction."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        storage, told = self.ctx.storage, []
        for when in (4e12, 4_000_000_000_001, datetime(2100, 1, 1, tzinfo=UTC)):
            await storage.setAlarm(when)
            told.append(await storage.getAlarm())
        await storage.deleteAlarm()
        return [*told, await storage.getAlarm()]

    assert await done(work) == [
        *(4_000_000_000_000, 4_000_000_000_001, 4_102_444_800_000, None),
    ]


async def test_sync_keys_are_the_keys() -> None:
    """`ctx.storage.kv` asks no patience."""

    async def work(self: Any) -> Any:  # noqa: ANN401 -- as people write
        kv = self.ctx.storage.kv
        kv.put("a", {"x": 1})
        kv.put("b", 2)
        return [
            kv.get("a").x,
            list(kv.list(prefix="b")),
            kv.delete("b"),
            kv.delete("b"),
            await self.ctx.storage.list(),
        ]

    assert await done(work) == [1, [["b", 2]], True, False, {"a": {"x": 1}}]
