"""`kvnode conflicts`: concurrent writes that lost, as one node noticed them (R4)."""

from typing import TYPE_CHECKING, Annotated

import typer

from kvnode.cli.arguments import KeyForm
from kvnode.cli.commands.entries import READ_PANEL
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    brief,
    bytes_json,
    note,
    print_line,
    shown,
    time_text,
)
from kvnode.object_json import Json, json_text

if TYPE_CHECKING:
    from kvnode.client import Conflict


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    client_command(app, "conflicts", panel=READ_PANEL)(conflicts)


async def conflicts(
    call: Call,
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Of this key; by default, of all."),
    ] = None,
) -> None:
    """
    Print writes that lost against concurrent ones: nothing is lost silently.

    Each node keeps the last 4 losers of a key for 24 hours, if it did the merging;
    other nodes may know of others.
    """
    name = None if key is None else call.keys.key(key)
    cursor, complete, count, total_ever = b"", False, 0, 0
    if call.json:
        print_line('{"conflicts":[')
    while not complete:
        page = await call.client.conflicts(name, cursor=cursor)
        for conflict in page.items:
            if call.json:
                document = json_text(conflict_json(conflict))
                print_line(("," if count else "") + document)
            else:
                print_line(conflict_line(conflict, call.keys))
            count += 1
        complete, cursor, total_ever = page.complete, page.cursor, page.total_ever
    if call.json:
        print_line(f'],"total_ever":{total_ever}}}')
    else:
        note(f"{count} in the log; {total_ever} noticed since this node was made")


def conflict_json(conflict: "Conflict") -> dict[str, Json]:
    """Return a conflict as JSON has it."""
    return {
        "namespace": conflict.namespace,
        **bytes_json("key", conflict.key),
        "kind": conflict.kind.value,
        **bytes_json("value", conflict.value),
        "metadata": conflict.metadata,
        "version": conflict.version,
        "hlc": conflict.hlc,
        "replica": f"{conflict.replica:016x}",
        "winner_version": conflict.winner_version,
        "noticed_at": conflict.noticed_at,
    }


def conflict_line(conflict: "Conflict", form: KeyForm) -> str:
    """Return key, what lost, who wrote it and when it was noticed, with tabs."""
    deleted = conflict.kind.value == "absent"
    return "\t".join(
        (
            shown(conflict.key, form),
            "(a deletion)" if deleted else brief(conflict.value),
            f"by {conflict.replica:016x}",
            time_text(conflict.noticed_at),
        )
    )
