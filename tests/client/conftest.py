"""A fake node and a client of it."""

from collections.abc import AsyncIterator

import pytest

from kvnode.client import Client
from tests.api.objects_server import ServedObjects, served_objects
from tests.client.fake_server import FakeNode


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    """One node."""
    async with FakeNode() as node:
        yield node


@pytest.fixture
async def client(node: FakeNode) -> AsyncIterator[Client]:
    """A client of the one node."""
    async with Client(node.address) as client:
        yield client


@pytest.fixture
async def served() -> AsyncIterator[ServedObjects]:
    """Fake objects behind a real server."""
    async with served_objects() as served:
        yield served
