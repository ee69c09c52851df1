"""A host of objects for every test."""

from collections.abc import AsyncIterator

import pytest

from tests.objects.running.objects import Site, site


@pytest.fixture(name="site")
async def running_site() -> AsyncIterator[Site]:
    """A host that leads its only shard."""
    async with site() as made:
        yield made
