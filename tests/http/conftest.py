"""A handler for every test, of objects that note what is asked of them."""

import pytest

from kvnode.http.handler import Handler
from tests.api.objects_server import FakeObjects
from tests.http.asking import now


@pytest.fixture
def objects() -> FakeObjects:
    """Objects that note what is asked of them."""
    return FakeObjects()


@pytest.fixture
def handler(objects: FakeObjects) -> Handler:
    """A handler of them."""
    return Handler(objects, serves=lambda: True, now=now, random_bytes=bytes)
