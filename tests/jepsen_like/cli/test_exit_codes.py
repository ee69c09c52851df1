"""No failure of a command ends like a verdict."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from jepsen_like.cli import app as app_module
from jepsen_like.cli.app import app
from jepsen_like.cli.exit_codes import failing_apart

FAKES = "tests.jepsen_like.fakes"


def test_mistake_of_the_program_ends_with_seventy_and_a_traceback() -> None:
    """Python itself would end with 1, which means invalid."""
    result = CliRunner().invoke(app, ["run", "--system", f"{FAKES}:broken"])

    assert result.exit_code == 70
    assert "ZeroDivisionError: a mistake in the simulation" in result.stderr
    assert "no verdict" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("name", app_module.COMMANDS)
def test_help_of_every_command_tells_the_code_of_mistakes(name: str) -> None:
    """So that scripts can rely on it."""
    told = " ".join(CliRunner().invoke(app, [name, "--help"]).stdout.split())

    assert "70 an error of this program" in told.replace("│ ", "")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (typer.Exit(3), 3),
        (typer.BadParameter("wrong"), 2),
        (AssertionError("a"), 70),
        (MemoryError(), 70),
        (ImportError("no module"), 70),
    ],
)
def test_whatever_is_raised_never_ends_as_invalid(raised: Exception, code: int) -> None:
    """What was meant to end the command does, with its own code."""
    other = typer.Typer()

    def command() -> None:
        raise raised

    other.command()(failing_apart(command))

    assert CliRunner().invoke(other, []).exit_code == code


@pytest.mark.system
def test_reader_that_has_gone_is_no_verdict() -> None:
    """`jepsen_like check ... | head` must not end as if a contradiction were found."""
    program = (
        "import typer\n"
        "from jepsen_like.cli.exit_codes import failing_apart\n"
        "from kvnode.cli.output import print_line\n"
        "app = typer.Typer()\n"
        "def command():\n"
        "    for _ in range(100_000): print_line('x' * 100)\n"
        "app.command()(failing_apart(command))\n"
        "app()\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", program), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        started.stdout.close()
        assert started.stderr is not None
        complaint = started.stderr.read()

    assert (started.returncode, complaint) == (141, b"")
