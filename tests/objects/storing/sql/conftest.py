"""A database for every test."""

import pytest

from tests.objects.storing.sql.desk import Desk


@pytest.fixture(name="desk")
def desk_with_items() -> Desk:
    """A database with a table of three items."""
    desk = Desk()
    desk.sql.exec(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL);"
        "INSERT INTO item (name, price) VALUES ('a', 1.5), ('b', NULL), ('c', 3)"
    )
    return desk
