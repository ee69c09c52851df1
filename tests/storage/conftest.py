"""Fixtures for tests of stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.storage.lmdb_store import LmdbStore
from tests.storage.stores import STORES, AnyStore, OpenStore, open_lmdb


@pytest.fixture(params=list(STORES))
def opener(request: pytest.FixtureRequest) -> Iterator[OpenStore]:
    """An opener for each kind of store."""
    kind: str = request.param
    with STORES[kind]() as opened:
        yield opened


@pytest.fixture
def store(opener: OpenStore) -> Iterator[AnyStore]:
    """A new store of each kind."""
    opened = opener()
    yield opened
    opened.close()


@pytest.fixture
def lmdb_store(tmp_path: Path) -> Iterator[LmdbStore]:
    """A new store on disk, in `tmp_path / "data"`."""
    opened = open_lmdb(tmp_path / "data")
    yield opened
    opened.close()
