"""What is imported before it is known that it is needed."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

HEAVY = ("grpc", "pydantic", "pycrdt", "lmdb", "aiofiles", "aiohttp", "cluster")
OF_FEW_NODES = ("aiohttp", "pycrdt")
"""HTTP, and documents; the two take two fifths of the time that it all takes."""


def _found_after(module: str, names: tuple[str, ...]) -> str:
    """Return which of *names* are imported by a process that imports *module*."""
    program = (
        f"import sys; import {module};"
        f"print([name for name in {names!r} if name in sys.modules])"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def test_start_up_imports_nothing_heavy() -> None:
    """People and scripts start this program many times."""
    assert _found_after("kvnode.cli.app", HEAVY) == "[]\n"


def test_node_imports_only_what_all_nodes_need() -> None:
    """Whoever waits for a node to be back waits for its imports."""
    assert _found_after("kvnode.runtime.app", OF_FEW_NODES) == "[]\n"
