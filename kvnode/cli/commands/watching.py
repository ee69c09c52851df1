"""`kvnode watch`: changes as they arrive, one a line."""

import base64
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from kvnode.cli.arguments import KeyForm, base64_bytes
from kvnode.cli.commands.conflicts import conflict_json, conflict_line
from kvnode.cli.commands.entries import READ_PANEL
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    brief,
    bytes_json,
    note,
    print_json,
    print_line,
    shown,
    value_json,
)
from kvnode.object_json import Json

if TYPE_CHECKING:
    from kvnode.client import Change, Changes


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    client_command(app, "watch", panel=READ_PANEL)(watch)


async def watch(
    call: Call,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only keys that begin so.")
    ] = "",
    from_start: Annotated[
        bool,
        typer.Option("--from-start", metavar="", help="Begin with all that is there."),
    ] = False,
    resume_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="Go on where an earlier watch ended."),
    ] = None,
    conflicts: Annotated[
        bool,
        typer.Option(
            "--conflicts", metavar="", help="Also show writes that lost, as noticed."
        ),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="End once so many changes have been shown."),
    ] = None,
) -> None:
    """
    Print changes as they arrive, until Ctrl-C; failing nodes are left for others.

    Of a key that changes several times in a row, only the last state is certain to
    be shown.  With --json, each line is an object whose "type" is put, delete,
    conflict or position; a position carries a token that resumes after all lines
    before it, at any node.

    Examples:
      kvnode watch flags/

      kvnode watch --from-start --json | my-program
    """
    if from_start and resume_token:
        msg = "--from-start and --resume-token exclude each other: give one of them"
        raise typer.BadParameter(msg)
    token = base64_bytes(resume_token) if resume_token else b""
    steps = call.client.watch(
        call.keys.key(prefix),
        resume_token=token,
        from_start=from_start,
        conflicts=conflicts,
    )
    left = count
    try:
        async with aclosing(steps) as open_steps:
            async for step in open_steps:
                _show(call, step)
                token = step.resume_token or token
                if left is not None and (left := left - len(step.changes)) <= 0:
                    break
    finally:
        if token and not call.json:
            note(f"go on with --resume-token {base64.b64encode(token).decode()}")


def _show(call: Call, step: "Changes") -> None:
    for change in step.changes:
        if call.json:
            print_json(_change_json(change))
        else:
            print_line(_change_line(change, call.keys))
    for conflict in step.conflicts:
        if call.json:
            print_json({"type": "conflict", **conflict_json(conflict)})
        else:
            print_line(f"conflict\t{conflict_line(conflict, call.keys)}")
    if call.json and step.resume_token:
        token = base64.b64encode(step.resume_token).decode()
        print_json({"type": "position", "resume_token": token})


def _change_json(change: "Change") -> dict[str, Json]:
    if change.value is None:
        return {"type": "delete", **bytes_json("key", change.key)}
    return {"type": "put", **value_json(change.key, change.value)}


def _change_line(change: "Change", form: KeyForm) -> str:
    if change.value is None:
        return f"delete\t{shown(change.key, form)}"
    return f"put\t{shown(change.key, form)}\t{brief(change.value.value)}"
