"""`kvnode namespace`: which namespaces there are."""

from typing import Annotated

import typer

from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json, print_line

_ADVICE = "It is not known whether it happened: repeating it does no harm."

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="1 to 64 of a-z A-Z 0-9 . _ -")
]


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    group = typer.Typer(no_args_is_help=True, help="List, create, delete namespaces.")
    app.add_typer(group, name="namespace", rich_help_panel=panel)
    client_command(group, "list", keys=False)(list_namespaces)
    client_command(group, "create", keys=False, writes=True, advice=_ADVICE)(create)
    client_command(group, "delete", keys=False, writes=True, advice=_ADVICE)(delete)


async def list_namespaces(call: Call) -> None:
    """Print the namespaces that the node knows, one a line."""
    names = await call.client.namespaces()
    if call.json:
        print_json({"namespaces": list(names)})
        return
    for name in names:
        print_line(name)


async def create(call: Call, name: Name) -> None:
    """Create a namespace; it spreads to all nodes."""
    changed = await call.client.create_namespace(name)
    _tell(call, name, changed=changed, done="created", idle="was there already")


async def delete(
    call: Call,
    name: Name,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask first.")
    ] = False,
) -> None:
    """Delete a namespace and every key in it, at all nodes."""
    if not yes:
        question = f"Delete namespace {name} and every key in it, at all nodes?"
        typer.confirm(question, abort=True, err=True)
    changed = await call.client.delete_namespace(name)
    _tell(call, name, changed=changed, done="deleted", idle="was not there")


def _tell(call: Call, name: str, *, changed: bool, done: str, idle: str) -> None:
    if call.json:
        print_json({"name": name, "changed": changed})
    else:
        note(f"namespace {name} {done if changed else idle}")
