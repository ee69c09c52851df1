"""A node to run commands against, and the way to run them."""

from collections.abc import Callable
from functools import cache

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from kvnode.cli.app import app
from tests.cli.fake_client import FakeNode

Run = Callable[..., Result]

_command_of = cache(get_command)
"""All that an app can do, with its options; to make it takes longer than most tests."""


@pytest.fixture
def node() -> FakeNode:
    """An empty node."""
    return FakeNode()


@pytest.fixture
def run(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kvnode` with the given arguments."""
    monkeypatch.setattr("typer.testing._get_command", _command_of)

    def run_command(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, obj=node.setup())

    return run_command
