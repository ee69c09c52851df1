"""A running node's services, for every test of the API."""

from collections.abc import AsyncIterator

import pytest

from tests.api.server import Served, served
from tests.api.services import Api, running_api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The services of a node that knows no peers yet."""
    async with running_api() as api:
        yield api


@pytest.fixture
async def node() -> AsyncIterator[Served]:
    """A node behind a real server."""
    async with served() as node:
        yield node
