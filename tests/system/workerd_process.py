"""Real workerd, Cloudflare's runtime, for one test; skipped where there is none."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jepsen_like.adapters.supervisor import Program

TOOLS = Path(__file__).parents[2] / ".tools" / "node_modules"


def workerd_path() -> str | None:
    """
    Return `$KVNODE_WORKERD`, what `make workerd` installed, or that of PATH.

    npm's `workerd/bin/workerd` is a script of node that starts the program and passes
    no signals on; so the program itself is looked for, in this platform's package.
    """
    named = os.environ.get("KVNODE_WORKERD")
    if named:
        return named
    installed = sorted(TOOLS.glob("@cloudflare/workerd-*/bin/workerd"))
    return str(installed[0]) if installed else shutil.which("workerd")


def skip_without_workerd() -> str:
    """Return the program's path, or skip the test where it is not installed."""
    path = workerd_path()
    if path is None:
        pytest.skip("workerd is not installed: make workerd (needs npm)")
    return path


@asynccontextmanager
async def workerd(directory: Path, port: int) -> AsyncIterator[Program]:
    """
    Run the one whose `config.capnp` lies in *directory*; yield it when it listens.

    Args:
        directory: Where it runs, and what paths in its configuration are relative to.
        port: Where a socket of that configuration listens, on the loopback.
    """
    command = [skip_without_workerd(), "serve", "config.capnp", "--experimental"]
    program = Program(command, port, directory)
    program.spawn()
    try:
        await program.ready()
        yield program
    finally:
        program.resume()
        await program.kill()
