"""
The program `jepsen_like`: its commands, one file each.

A command's file has `register(app)`, which adds it.  Those of `COMMANDS` that are
there are part of the program: the judge alone (`check`) can be shipped without
what runs systems.
"""

from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from jepsen_like.cli.exit_codes import EXIT_CODES_TOLD
from kvnode.cli.interruption import end_as_by_ctrl_c

COMMANDS: Final = ("check", "run", "replay", "explore", "bench")
"""Modules beside this one, in the order in which help shows them."""

app = typer.Typer(
    name="jepsen_like",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"jepsen_like {installed_version('kvnode')}")
        raise typer.Exit


@app.callback(
    epilog=EXIT_CODES_TOLD,
)
def root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """
    Tests whether stores keep their promises, in simulation and for real.

    Begin with `jepsen_like check FILE`, which judges a history in any format that
    it knows: Jepsen, Knossos, Elle, porcupine, Plume, AWDIT, or its own.
    """
    del show_version  # its callback has acted on it


for _name in COMMANDS:
    _module = f"jepsen_like.cli.{_name}"
    if find_spec(_module) is not None:
        import_module(_module).register(app)


def main() -> None:
    """Run the program; the process ends with its exit code."""
    end_as_by_ctrl_c()  # so that no node is left behind
    app(prog_name="jepsen_like")
