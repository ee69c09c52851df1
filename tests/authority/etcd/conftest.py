"""Fixtures of what asks etcd."""

from collections.abc import AsyncIterator

import pytest

from tests.authority.etcd_site import EtcdSite


@pytest.fixture
async def site() -> AsyncIterator[EtcdSite]:
    """Three members that are well."""
    async with EtcdSite() as site:
        yield site
