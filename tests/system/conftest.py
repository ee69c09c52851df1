"""Fixtures of the system tests: a fleet of real nodes, and chance with a seed."""

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.local.installation import Installation
from tests.system import versions
from tests.system.nodes import Fleet, ServedNode, started_trio

SEED_VARIABLE = "SYSTEM_TEST_SEED"


@pytest.fixture
def chance() -> random.Random:
    """Chance from a fixed seed, or from the one in SYSTEM_TEST_SEED."""
    seed = int(os.environ.get(SEED_VARIABLE, "20240229"))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 -- pytest shows it when a test fails
    return random.Random(seed)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Nodes in a temporary directory, all ended with the test."""
    fleet = Fleet(tmp_path)
    try:
        yield fleet
    finally:
        await fleet.close()


@pytest.fixture
async def node(fleet: Fleet) -> ServedNode:
    """One node that serves."""
    node = fleet.add("alone")
    await node.start()
    return node


@pytest.fixture
async def trio(fleet: Fleet) -> list[ServedNode]:
    """Three nodes that serve and are connected to each other."""
    return await started_trio(fleet)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this run of the tests, the same in all its processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def this(run_directory: Path) -> Installation:
    """The version at hand, as a wheel installs it."""
    return versions.install_once(run_directory / "this", versions.install_this)


@pytest.fixture(scope="session")
def previous(run_directory: Path) -> Installation:
    """The version before; without the project's history the test is skipped."""
    return versions.install_once(run_directory / "previous", versions.install_previous)
