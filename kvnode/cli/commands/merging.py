"""`kvnode counter`, `set` and `document`: values that merge (R5)."""

import json
from typing import Annotated

import typer

from kvnode.cli.commands.entries import WRITE_PANEL, EachRegion, Key, Replicas
from kvnode.cli.failures import ExitCode
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    bytes_json,
    complain,
    print_json,
    print_line,
    shown,
)
from kvnode.errors import WrongTypeError

_MAY_HAVE_COUNTED = (
    "It is not known whether it was counted: doing it again may count it twice."
)
_MAY_HAVE_CHANGED = "It is not known whether it happened: repeating it does no harm."

Members = Annotated[
    list[str],
    typer.Argument(metavar="MEMBER...", help="Each of 1 to 512 bytes."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    counter, members, document = (
        typer.Typer(no_args_is_help=True, help=text)
        for text in (
            "Numbers to which all places add at once.",
            "Sets of byte strings; an add wins over a concurrent remove.",
            "Documents (Yjs) that several places edit at once.",
        )
    )
    app.add_typer(counter, name="counter", rich_help_panel=WRITE_PANEL)
    app.add_typer(members, name="set", rich_help_panel=WRITE_PANEL)
    app.add_typer(document, name="document", rich_help_panel=WRITE_PANEL)
    client_command(counter, "get")(counter_get)
    client_command(
        counter,
        "add",
        writes=True,
        negative_numbers=True,
        advice=_MAY_HAVE_COUNTED,
    )(counter_add)
    client_command(members, "members")(set_members)
    client_command(members, "add", writes=True, advice=_MAY_HAVE_CHANGED)(set_add)
    client_command(members, "remove", writes=True, advice=_MAY_HAVE_CHANGED)(set_remove)
    client_command(document, "get", json=False)(document_get)


async def counter_get(call: Call, key: Key) -> None:
    """Print the sum of all that has arrived at the node; 0 if there is none."""
    name = call.keys.key(key)
    _print_number(call, name, "value", await call.client.counter(name).value())


async def counter_add(
    call: Call,
    key: Key,
    delta: Annotated[int, typer.Argument(metavar="DELTA", help="May be negative.")] = 1,
    w: Replicas = 1,
    each_region: EachRegion = False,
) -> None:
    """
    Add DELTA (1 if not given) and print the sum that the node sees.

    Examples:
      kvnode counter add visits

      kvnode counter add stock/socks -3
    """
    name = call.keys.key(key)
    counter = call.client.counter(name)
    value = await counter.increment(delta, w=w, w_each_region=each_region)
    _print_number(call, name, "value", value)


async def set_members(call: Call, key: Key) -> None:
    """Print all members in order, one a line."""
    name = call.keys.key(key)
    members = sorted(await call.client.set(name).members())
    if call.json:
        listed = [bytes_json("member", member) for member in members]
        print_json({**bytes_json("key", name), "members": listed})
        return
    for member in members:
        print_line(shown(member, call.keys))


async def set_add(
    call: Call,
    key: Key,
    members: Members,
    w: Replicas = 1,
    each_region: EachRegion = False,
) -> None:
    """Add members and print the size that the node sees."""
    name = call.keys.key(key)
    size = await call.client.set(name).add(
        *map(call.keys.key, members), w=w, w_each_region=each_region
    )
    _print_number(call, name, "size", size)


async def set_remove(
    call: Call,
    key: Key,
    members: Members,
    w: Replicas = 1,
    each_region: EachRegion = False,
) -> None:
    """Remove members, as far as the node sees them, and print the size left."""
    name = call.keys.key(key)
    size = await call.client.set(name).remove(
        *map(call.keys.key, members), w=w, w_each_region=each_region
    )
    _print_number(call, name, "size", size)


async def document_get(call: Call, key: Key) -> None:
    """
    Print a document as JSON: its roots by name.

    Exit code 1: there is no such key.  Editing is for programs, through the client
    library and any Yjs binding.
    """
    name = call.keys.key(key)
    value = await call.client.get(name)
    if value is None:
        complain(f"there is no key {shown(name, call.keys)}", label="not found")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if value.kind.value != "document":
        msg = f"{shown(name, call.keys)} holds a {value.kind.value}, not a document"
        raise WrongTypeError(msg)
    print_json(json.loads(value.value))


def _print_number(call: Call, key: bytes, name: str, number: int) -> None:
    if call.json:
        print_json({**bytes_json("key", key), name: number})
    else:
        print_line(str(number))
