"""How many databases of a shard are open at once, and which are closed."""

import pytest

from kvnode.errors import OverloadedError
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from tests.objects.running.fake_log import DictState
from tests.objects.storing.sql.desk import Desk

COUNT = "SELECT count(*) FROM item"


def desks(open_max: int, count: int) -> tuple[OpenDatabases, list[Desk]]:
    """Return databases that share room for *open_max*, one item in each."""
    databases = OpenDatabases(open_max)
    made = []
    for _ in range(count):
        desk = Desk(DictState())
        desk.databases = databases
        desk.start()
        desk.sql.exec("CREATE TABLE item (x); INSERT INTO item VALUES (1)")
        made.append(desk)
    return databases, made


def test_one_that_was_not_used_for_longest_is_closed() -> None:
    """And is opened again where it is used; it has lost nothing."""
    databases, (a, b, c) = desks(2, 3)
    assert len(databases) == 2
    assert [desk.sql._connection is not None for desk in (a, b, c)] == [0, 1, 1]
    b.sql.exec("INSERT INTO item VALUES (2)")

    assert a.rows(COUNT) == [(1,)]

    assert [desk.sql._connection is not None for desk in (a, b, c)] == [1, 1, 0]
    assert b.rows(COUNT) == [(2,)]
    assert c.rows(COUNT) == [(1,)]
    assert len(databases) == 2


def test_one_in_a_transaction_is_not_closed() -> None:
    """It would be undone; if all are, another has to wait."""
    _, (a, b, c) = desks(2, 3)
    with a.sql.scope():
        a.sql.exec("INSERT INTO item VALUES (2)")
        b.rows(COUNT)
        c.rows(COUNT)
        assert a.sql._connection is not None
        with b.sql.scope():
            b.rows(COUNT)
            with pytest.raises(OverloadedError, match="in transactions"):
                c.rows(COUNT)

    assert a.rows(COUNT) == [(2,)]
    assert c.rows(COUNT) == [(1,)]
