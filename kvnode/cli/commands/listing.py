"""`kvnode list`: keys in order, streamed page by page."""

import base64
from typing import TYPE_CHECKING, Annotated

import typer

from kvnode.cli.arguments import KeyForm, base64_bytes
from kvnode.cli.commands.entries import (
    READ_PANEL,
    MaxStaleness,
    StaleOk,
    seconds_or_none,
)
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    brief,
    item_json,
    note,
    print_line,
    shown,
    time_text,
)
from kvnode.limits import LIST_PAGE_MAX
from kvnode.object_json import json_text

if TYPE_CHECKING:
    from kvnode.client import Item


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    client_command(app, "list", panel=READ_PANEL)(list_keys)


async def list_keys(
    call: Call,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only keys that begin so.")
    ] = "",
    values: Annotated[
        bool, typer.Option("--values", metavar="", help="Show the values, too.")
    ] = False,
    long: Annotated[
        bool,
        typer.Option(
            "--long", "-l", metavar="", help="Show kind, expiry and metadata, too."
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many keys.")
    ] = None,
    cursor: Annotated[
        str | None, typer.Option(help="Go on after a listing that --limit ended.")
    ] = None,
    stale_ok: StaleOk = False,
    max_staleness: MaxStaleness = None,
) -> None:
    """
    Print keys in order, one a line; columns are separated by tabs.

    Examples:
      kvnode list flags/ --values

      kvnode list --json --limit 100     one document, with a cursor if cut short
    """
    start = call.keys.key(prefix)
    after = base64_bytes(cursor) if cursor else b""
    count, complete = 0, False
    if call.json:
        print_line('{"items":[')
    while not complete and (limit is None or count < limit):
        wanted = LIST_PAGE_MAX if limit is None else min(LIST_PAGE_MAX, limit - count)
        page = await call.client.list(
            start,
            limit=wanted,
            cursor=after,
            values=values,
            stale_ok=stale_ok,
            max_staleness=seconds_or_none(max_staleness),
        )
        for item in page.items:
            if call.json:
                print_line(("," if count else "") + json_text(item_json(item)))
            else:
                print_line(_columns(item, call.keys, long=long))
            count += 1
        complete, after = page.complete, page.cursor
    shown_cursor = None if complete else base64.b64encode(after).decode()
    if call.json:
        end = {"complete": complete, "cursor": shown_cursor}
        print_line("]," + json_text(end)[1:])
    elif shown_cursor is not None:
        note(f"there is more: go on with --cursor {shown_cursor}")


def _columns(item: "Item", form: KeyForm, *, long: bool) -> str:
    columns = [shown(item.key, form)]
    if long:
        metadata = "-" if item.metadata is None else json_text(item.metadata)
        columns += [item.kind.value, time_text(item.expires_at), metadata]
    if item.value is not None:
        columns.append(brief(item.value) if long else shown(item.value))
    return "\t".join(columns)
