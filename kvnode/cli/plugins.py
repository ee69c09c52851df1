"""
Commands that other packages add, through entry points of group `kvnode.commands`.

An entry point names a typer app or a function that typer can make a command of.
It is not imported until it is called, so that it neither slows down nor breaks the
other commands.  Its line in `kvnode --help` is the first line of its module's
docstring, which is read, not run.
"""

import ast
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

import typer
import typer.main

from kvnode.cli.failures import ExitCode
from kvnode.cli.output import complain

GROUP: Final = "kvnode.commands"


def installed() -> list[EntryPoint]:
    """Return the entry points of other packages' commands, by name."""
    found = {each.name: each for each in entry_points(group=GROUP)}
    return [found[name] for name in sorted(found)]


def register(app: typer.Typer, points: Iterable[EntryPoint], *, panel: str) -> None:
    """Add a command for each entry point whose name *app* has not taken."""
    taken = {each.name for each in app.registered_commands}
    taken |= {each.name for each in app.registered_groups}
    for point in points:
        if point.name not in taken:
            app.command(
                point.name,
                help=_first_line(point) or f"From {point.value}.",
                rich_help_panel=panel,
                add_help_option=False,  # --help is for the command itself
                context_settings={
                    "ignore_unknown_options": True,
                    "allow_extra_args": True,
                    "allow_interspersed_args": False,
                },
            )(_forward(point))


def _forward(point: EntryPoint) -> Callable[[typer.Context], None]:
    """Return what calls the command behind *point* with all that follows its name."""

    def forward(context: typer.Context) -> None:
        try:
            command = typer.main.get_command(_as_app(point.load(), point.name))
        except Exception as error:
            complain(
                f"the command {point.name!r} cannot be loaded from {point.value}:"
                f" {type(error).__name__}: {error}"
            )
            raise typer.Exit(ExitCode.USAGE) from error
        command.main(args=list(context.args), prog_name=f"kvnode {point.name}")

    return forward


def _as_app(loaded: object, name: str) -> typer.Typer:
    if isinstance(loaded, typer.Typer):
        return loaded
    if not callable(loaded):
        msg = f"it is a {type(loaded).__name__}, neither a typer app nor a function"
        raise TypeError(msg)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(loaded)
    return app


def _first_line(point: EntryPoint) -> str:
    """Return the first line of the module's docstring, without running it."""
    directories: list[str] | None = None
    origin: str | None = None
    for part in point.module.split("."):
        spec = PathFinder.find_spec(part, directories)
        if spec is None:
            return ""
        directories = list(spec.submodule_search_locations or ())
        origin = spec.origin
    try:
        tree = ast.parse(Path(origin or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    text = (ast.get_docstring(tree) or "").partition("\n")[0]
    quoted, separator, rest = text.partition(": ")
    text = rest if separator and quoted.strip("`").startswith("kvnode") else text
    return text[:1].upper() + text[1:]
