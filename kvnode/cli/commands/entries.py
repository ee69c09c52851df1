"""`kvnode get`, `put` and `delete`: one key at a time."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.arguments import duration_seconds, metadata_json
from kvnode.cli.failures import ExitCode
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    bytes_json,
    complain,
    note,
    print_bytes,
    print_json,
    shown,
    value_json,
)
from kvnode.errors import InvalidArgumentError
from kvnode.limits import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from kvnode.client import WriteResult

READ_PANEL: Final = "Reading"
WRITE_PANEL: Final = "Writing"

Key = Annotated[str, typer.Argument(metavar="KEY", help="1 to 512 bytes.")]
Replicas = Annotated[
    int,
    typer.Option(
        "--w", min=1, help="Replicas that must have it before the command ends."
    ),
]
EachRegion = Annotated[
    bool,
    typer.Option(
        "--each-region", metavar="", help="One replica in every region, instead of --w."
    ),
]
IfVersion = Annotated[
    str | None,
    typer.Option(
        "--if-version",
        metavar="VERSION",
        help="Only if the node asked still has this version.",
    ),
]
StaleOk = Annotated[
    bool,
    typer.Option(
        "--stale-ok", metavar="", help="Answer at once, even if not up to date."
    ),
]
MaxStaleness = Annotated[
    str | None,
    typer.Option(
        "--max-staleness",
        metavar="DURATION",
        help="Wait until the node is at most this far behind all others.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    client_command(app, "get", panel=READ_PANEL)(get)
    client_command(app, "put", panel=WRITE_PANEL, writes=True)(put)
    client_command(app, "delete", panel=WRITE_PANEL, writes=True)(delete)


async def get(
    call: Call,
    key: Key,
    stale_ok: StaleOk = False,
    max_staleness: MaxStaleness = None,
) -> None:
    """
    Print the value of KEY: exactly its bytes, and a newline on a terminal.

    Exit code 1: there is no such key.

    Examples:
      kvnode get flags/new-ui

      kvnode get images/logo.png > logo.png

      kvnode get flags/new-ui --json     with metadata, version and expiry
    """
    name = call.keys.key(key)
    value = await call.client.get(
        name, stale_ok=stale_ok, max_staleness=seconds_or_none(max_staleness)
    )
    if value is None:
        if call.json:
            print_json(None)
        complain(f"there is no key {shown(name, call.keys)}", label="not found")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if call.json:
        print_json(value_json(name, value))
    else:
        print_bytes(value.value)


async def put(
    call: Call,
    key: Key,
    value: Annotated[
        str | None,
        typer.Argument(metavar="VALUE", help="The value; - reads standard input."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Read the value from this file."),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="At most 1,024 bytes of JSON."),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Expire after 250ms, 60s, 5m, 2h, 7d."),
    ] = None,
    if_absent: Annotated[
        bool,
        typer.Option(
            "--if-absent", metavar="", help="Only if the node asked has no such key."
        ),
    ] = False,
    if_version: IfVersion = None,
    w: Replicas = 1,
    each_region: EachRegion = False,
) -> None:
    """
    Store a value under KEY.

    Conditions are judged by the node that is asked: two nodes may both find them
    true.  Exit code 1: the condition did not hold.

    Examples:
      kvnode put flags/new-ui on --ttl 1h

      kvnode put images/logo.png --file logo.png --metadata '{"type":"image/png"}'

      echo hello | kvnode put greeting -
    """
    name = call.keys.key(key)
    result = await call.client.put(
        name,
        _value(call, value, file),
        metadata=metadata_json(metadata),
        ttl=seconds_or_none(ttl),
        if_absent=if_absent,
        if_version=if_version,
        w=w,
        w_each_region=each_region,
    )
    _tell(call, name, result, done="stored")


async def delete(
    call: Call,
    key: Key,
    if_version: IfVersion = None,
    w: Replicas = 1,
    each_region: EachRegion = False,
) -> None:
    """
    Remove KEY; that it was not there is no error.

    Exit code 1: the condition did not hold.
    """
    name = call.keys.key(key)
    result = await call.client.delete(
        name, if_version=if_version, w=w, w_each_region=each_region
    )
    _tell(call, name, result, done="deleted")


def seconds_or_none(text: str | None) -> float | None:
    """Return the seconds of a duration that may not have been given."""
    return None if text is None else duration_seconds(text)


def _value(call: Call, text: str | None, file: Path | None) -> bytes:
    if (text is None) == (file is None):
        msg = "give a VALUE, or - for standard input, or --file, and only one of them"
        raise typer.BadParameter(msg, param_hint="VALUE")
    if file is not None:
        with file.open("rb") as source:
            value = source.read(VALUE_BYTES_MAX + 1)
    elif text == "-":
        value = sys.stdin.buffer.read(VALUE_BYTES_MAX + 1)
    else:
        assert text is not None, "checked above"
        return call.keys.TEXT.key(text)
    if len(value) > VALUE_BYTES_MAX:
        msg = (
            f"a value has at most {VALUE_BYTES_MAX} bytes (25 MiB), and this one has"
            " more: split it over several keys"
        )
        raise InvalidArgumentError(msg)
    return value


def _tell(call: Call, key: bytes, result: "WriteResult", *, done: str) -> None:
    if call.json:
        print_json(
            {
                **bytes_json("key", key),
                "applied": result.applied,
                "version": result.version,
                "current_version": result.current_version,
                "replicas": result.replicas,
            }
        )
    if not result.applied:
        there = result.current_version
        found = f"its version is {there}" if there else "there is no such key"
        message = f"{shown(key, call.keys)} was not {done}: {found}"
        complain(message, label="condition did not hold")
        raise typer.Exit(ExitCode.NOT_FOUND)
    if not call.json:
        replicas = f" at {result.replicas} replicas" if result.replicas > 1 else ""
        note(f"{done} {shown(key, call.keys)}{replicas}")
