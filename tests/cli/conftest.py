"""A node to run commands against, and the way to run them."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from kvnode.cli.app import app
from tests.cli.fake_client import FakeNode

Run = Callable[..., Result]


@pytest.fixture
def node() -> FakeNode:
    """An empty node."""
    return FakeNode()


@pytest.fixture
def run(node: FakeNode) -> Run:
    """Run `kvnode` with the given arguments."""

    def run_command(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, obj=node.setup())

    return run_command
