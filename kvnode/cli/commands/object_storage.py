"""`kvnode object get`, `put`, `delete`, `list`: the map that needs no class."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kvnode.cli.failures import ExitCode
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.object_values import named_json, print_value, value_of
from kvnode.cli.output import (
    complain,
    note,
    print_json,
    print_line,
    shown,
)
from kvnode.cli.raising import raising_told
from kvnode.object_json import json_text, near_json
from kvnode.object_limits import CALL_BYTES_MAX

if TYPE_CHECKING:
    from kvnode.client import StoredItem
    from kvnode.object_values import Value

_ADVICE: Final = (
    "It is not known whether it happened: get the key before you repeat it."
)
_LIMIT: Final = 1000

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Of the map: 1 to 1,024 bytes.")
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="At most 2,047 bytes of text.")]
IdempotencyKey = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="Of all calls with this key within a day, one happens.",
    ),
]

LocationHint = Annotated[
    str,
    typer.Option(
        metavar="REGION",
        help="Where it is to live, if nothing was heard of it before.",
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands to *group*."""
    client_command(group, "get", keys=False)(get)
    client_command(group, "put", keys=False, writes=True, advice=_ADVICE)(put)
    client_command(group, "delete", keys=False, writes=True, advice=_ADVICE)(delete)
    client_command(group, "list", keys=False)(list_keys)


async def get(call: Call, name: Name, key: Key) -> None:
    """
    Print what is under KEY of the map NAME: what was stored last, anywhere.

    Text and bytes are printed as they are, other values as JSON.  Exit code 1:
    there is no such key.

    Example:
      kvnode object get cart-42 apples
    """
    with raising_told():
        found = await call.client.storage(name).get(key)
    if found is None:
        if call.json:
            print_json(None)
        complain(f"there is no key {_text(key)} in {_text(name)}")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if call.json:
        document = named_json("value", found.value)
        print_json({"key": key, **document, "version": found.version})
    else:
        print_value(found.value)


async def put(
    call: Call,
    name: Name,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(metavar="VALUE", help="The value; - reads standard input."),
    ],
    json_value: Annotated[
        bool,
        typer.Option("--json-value", metavar="", help="VALUE is JSON: 3 is a number."),
    ] = False,
    if_version: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Only if KEY has this version; 0: is not there."
        ),
    ] = None,
    idempotency_key: IdempotencyKey = "",
    location_hint: LocationHint = "",
) -> None:
    """
    Store a value under KEY of the map NAME, durable at a majority of nodes.

    Conditions hold everywhere: of two writers that exclude each other, one wins.
    Exit code 1: the condition did not hold.

    Examples:
      kvnode object put cart-42 apples 3 --json-value

      kvnode object put cart-42 owner ann --if-version 0
    """
    text = _standard_input() if value == "-" else value
    stored = value_of(text, as_json=json_value, hint="VALUE")
    await _change(
        call,
        name,
        {"put": key, "value": stored},
        if_version=if_version,
        idempotency_key=idempotency_key,
        location_hint=location_hint,
    )


async def delete(
    call: Call,
    name: Name,
    key: Key,
    if_version: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only if KEY has this version."),
    ] = None,
    idempotency_key: IdempotencyKey = "",
) -> None:
    """
    Remove KEY from the map NAME; that it was not there is no error.

    Exit code 1: the condition did not hold.
    """
    await _change(
        call,
        name,
        {"delete": key},
        if_version=if_version,
        idempotency_key=idempotency_key,
    )


async def list_keys(
    call: Call,
    name: Name,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only keys that begin so.")
    ] = "",
    start: Annotated[
        str | None, typer.Option(metavar="KEY", help="From this key on.")
    ] = None,
    end_key: Annotated[
        str | None, typer.Option("--end", metavar="KEY", help="Up to before this key.")
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", metavar="", help="From the last to the first.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most so many keys.")
    ] = _LIMIT,
) -> None:
    """
    Print keys of the map NAME in order, with versions and values.

    One key a line; columns are separated by tabs, values are JSON.
    """
    with raising_told():
        items = await call.client.storage(name).list(
            prefix, start=start, end=end_key, reverse=reverse, limit=limit
        )
    if call.json:
        print_json({"items": [_item_json(item) for item in items]})
    else:
        for item in items:
            value = json_text(near_json(item.value))
            print_line(f"{_text(item.key)}\t{item.version}\t{value}")
    if len(items) == limit and not call.json:
        note(f"these are the first {limit}, and there may be more: see --limit")


async def _change(
    call: Call,
    name: str,
    step: "dict[str, Value]",
    *,
    if_version: int | None,
    idempotency_key: str,
    location_hint: str = "",
) -> None:
    """Do a step, under a condition on its key's version if there is one."""
    kind, key = next(iter(step.items()))
    assert isinstance(key, str), "a step begins with what to do to which key"
    steps = [step]
    if if_version is not None:
        steps.insert(0, {"if": key, "version": if_version})
    handle = call.client.storage(name, location_hint=location_hint).options(
        idempotency_key=idempotency_key
    )
    with raising_told():
        done = await handle.transaction(steps)
    found = done.seen.get(key)
    current = done.version if done.applied else found.version if found else 0
    if call.json:
        print_json({"key": key, "applied": done.applied, "version": current})
    if not done.applied:
        there = f"its version is {current}" if current else "there is no such key"
        message = f"{_text(key)} was not changed: {there}"
        complain(message, label="condition did not hold")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if not call.json:
        verb = f"stored {_text(key)}, version {done.version}"
        note(verb if kind == "put" else f"deleted {_text(key)}")


def _standard_input() -> str:
    raw = sys.stdin.buffer.read(CALL_BYTES_MAX + 1)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        msg = f"standard input is no UTF-8 text: {error}"
        raise typer.BadParameter(msg, param_hint="VALUE") from None


def _item_json(item: "StoredItem") -> dict[str, Any]:
    document = named_json("value", item.value)
    return {"key": item.key, **document, "version": item.version}


def _text(key: str) -> str:
    return shown(key.encode("utf-8", "surrogateescape"))
