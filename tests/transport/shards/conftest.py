"""Nodes of a mesh for every test that asks for them."""

from collections.abc import AsyncIterator

import pytest

from kvnode.transport.shards import mesh as mesh_module
from tests.transport.shards.mesh_nodes import MeshSite, mesh_site


@pytest.fixture(name="site", params=["grpc", "direct"])
async def quick_site(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MeshSite]:
    """Start nodes that dial again quickly; all are ended in the end."""
    monkeypatch.setattr(mesh_module, "REDIAL_SECONDS_MIN", 0.01)
    monkeypatch.setattr(mesh_module, "REDIAL_SECONDS_MAX", 0.05)
    monkeypatch.setattr(mesh_module, "LOOK_SECONDS", 0.01)
    async with mesh_site(is_direct=request.param == "direct") as site:
        yield site
