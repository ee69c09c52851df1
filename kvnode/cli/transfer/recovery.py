"""
`kvnode recovery`: what a node had to give up, and bringing back what people choose.

A node that comes back after the others have forgotten deletions it never heard of
cannot tell which of its entries they had deleted (rule G2b).  What only it had is in a
recovery file, and nothing of it returns by itself: whoever knows the data lists it, and
imports what is to live, as new writes.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.arguments import KeyForm
from kvnode.cli.failures import ExitCode, reported
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import (
    bytes_json,
    complain,
    note,
    print_json,
    print_line,
    shown,
    size_text,
    time_text,
)
from kvnode.cli.transfer.recovery_records import (
    TYPES,
    BadLine,
    Rescued,
    read_rescued,
    recovery_files,
)
from kvnode.errors import RejectedError
from kvnode.object_json import Json

if TYPE_CHECKING:
    from kvnode.client import Client

_COMPLAINTS_MAX: Final = 20
_ADVICE: Final = (
    "The last entry shown may not be the last that was written. Run it again: without"
    " --overwrite what is there by now is left alone."
)
_THERE: Final = "left: there by now"
_EXPIRED: Final = "left: expired"
_ABSENT: Final = "left: not there anyway"
_EMPTY: Final = "left: empty"
_VERBS: Final = {
    "register": "put",
    "counter": "added",
    "set": "added",
    "document": "merged",
    "tombstone": "deleted",
}

KeyPrefix = Annotated[
    str | None,
    typer.Option("--key", metavar="PREFIX", help="Only keys that begin so."),
]
OfType = Annotated[
    str | None,
    typer.Option("--type", metavar="|".join(TYPES), help="Only entries of this type."),
]


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    group = typer.Typer(
        no_args_is_help=True,
        help="List what a node had to give up, and import what is to live.",
    )
    app.add_typer(group, name="recovery", rich_help_panel=panel)
    group.command("list")(list_rescued)
    client_command(group, "import", writes=True, advice=_ADVICE)(import_rescued)


def list_rescued(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="A recovery file, or the data directory of a node.",
            exists=True,
        ),
    ],
    key: KeyPrefix = None,
    kind: OfType = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON, an entry a line.")
    ] = False,
) -> None:
    """
    Print the entries of recovery files; needs no node.

    Each line has namespace, type, key, value and when it was written, with tabs.

    Examples:
      kvnode recovery list /var/lib/kvnode

      kvnode recovery list recovery/1a2b3c4d5e6f7081.jsonl --key users/ --json
    """
    _check(kind)
    prefix = None if key is None else KeyForm.TEXT.key(key)
    with reported(writes=False):
        for file in recovery_files(place):
            count = bad = 0
            for entry in _chosen(file, prefix, kind):
                if isinstance(entry, BadLine):
                    bad += 1
                    complain(f"{file}, line {entry.line}: {entry.reason}")
                    continue
                count += 1
                if as_json:
                    print_json(_described(entry))
                else:
                    print_line(_line(entry))
            size = size_text(file.stat().st_size)
            unread = f", {bad} lines cannot be read" if bad else ""
            note(f"{count} entries in {file} ({size}){unread}")


def _check(kind: str | None) -> None:
    if kind is not None and kind not in TYPES:
        msg = f"{kind!r} is none of {', '.join(TYPES)}"
        raise typer.BadParameter(msg, param_hint="--type")


def _chosen(
    file: Path, prefix: bytes | None, kind: str | None
) -> Iterator[Rescued | BadLine]:
    for _, entry in read_rescued(file):
        if isinstance(entry, Rescued):
            if prefix is not None and not entry.key.startswith(prefix):
                continue
            if kind is not None and entry.kind != kind:
                continue
        yield entry


def _line(entry: Rescued) -> str:
    return "\t".join(
        (
            entry.namespace,
            entry.kind,
            shown(entry.key),
            entry.value_text(),
            time_text(entry.written_at),
        )
    )


def _described(entry: Rescued) -> dict[str, Json]:
    value: dict[str, Json] = {}
    match entry.value:
        case bytes():
            value = bytes_json("value", entry.value)
        case int():
            value = {"value": entry.value}
        case None:
            pass
        case _:
            value = {"value": [bytes_json("member", m) for m in entry.value]}
    return {
        "namespace": entry.namespace,
        "type": entry.kind,
        **bytes_json("key", entry.key),
        **value,
        "metadata": entry.metadata,
        "expires_at": entry.expires_at,
        "written_at": entry.written_at,
    }


async def import_rescued(
    call: Call,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recovery file.", exists=True)
    ],
    key: KeyPrefix = None,
    kind: OfType = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Write nothing; say what would be."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            metavar="",
            help="Also keys that are there by now: replace registers, add to counters"
            " and sets, merge documents, repeat deletions.",
        ),
    ] = False,
) -> None:
    """
    Write entries of a recovery file again, as new writes of the namespace given.

    Only keys that are not there now are written, unless --overwrite says otherwise:
    somebody may have written them since. Beware of --overwrite with counters: their
    whole sum is added, part of which may be in the counter already.

    Exit code 1: some entries could not be written; the others were.

    Examples:
      kvnode recovery import 1a2b3c4d5e6f7081.jsonl --dry-run

      kvnode recovery import 1a2b3c4d5e6f7081.jsonl --key users/ -n users
    """
    _check(kind)
    prefix = None if key is None else call.keys.key(key)
    if not file.is_file():
        msg = "must be a file: `kvnode recovery list` shows which there are"
        raise typer.BadParameter(msg, param_hint="FILE")
    done: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for entry in _chosen(file, prefix, kind):
        if isinstance(entry, BadLine):
            done["failed"] += 1
            _complain(done, f"{file}, line {entry.line}: {entry.reason}")
        elif entry.namespace != call.target.namespace:
            elsewhere[entry.namespace] += 1
        else:
            await _import_one(call, entry, done, dry_run=dry_run, overwrite=overwrite)
    _summarize(call, file, done, elsewhere, dry_run=dry_run)
    if done["failed"]:
        raise typer.Exit(ExitCode.NOT_FOUND)


async def _import_one(
    call: Call, entry: Rescued, done: Counter[str], *, dry_run: bool, overwrite: bool
) -> None:
    try:
        what = await _write(call.client, entry, dry_run=dry_run, overwrite=overwrite)
    except RejectedError as error:
        done["failed"] += 1
        _complain(done, f"{shown(entry.key, call.keys)}: {error}")
        return
    done[what] += 1
    if not call.json:
        print_line(f"{what}\t{shown(entry.key, call.keys)}\t{entry.value_text()}")


def _complain(done: Counter[str], message: str) -> None:
    if done["failed"] <= _COMPLAINTS_MAX:
        complain(message)


async def _write(
    client: "Client", entry: Rescued, *, dry_run: bool, overwrite: bool
) -> str:
    """Write one entry, or do not; return what became of it, for people."""
    if entry.expires_at is not None and entry.expires_at <= time.time():
        return _EXPIRED
    if entry.value in {0, ()}:
        return _EMPTY
    if dry_run or entry.kind != "register":  # whose put asks by itself
        there = await client.get(entry.key) is not None
        if entry.kind == "tombstone" and not there:
            return _ABSENT
        if there and not overwrite:
            return _THERE
    if dry_run:
        return _VERBS[entry.kind]
    happened = await _perform(client, entry, overwrite=overwrite)
    return _VERBS[entry.kind] if happened else _THERE


async def _perform(client: "Client", entry: Rescued, *, overwrite: bool) -> bool:
    """Write one entry; False: it is there by now, and may not be overwritten."""
    from kvnode._pb import kv_pb2
    from kvnode.client import Put, WriteResult

    match entry.value:
        case None:
            await client.delete(entry.key)
        case int():
            await client.counter(entry.key).increment(entry.value)
        case tuple():
            await client.set(entry.key).add(*entry.value)
        case bytes() if entry.kind == "document":
            request = kv_pb2.DocumentRequest(update=entry.value)
            await client.document(entry.key).send(request)
        case bytes():
            put = Put(
                entry.key,
                entry.value,
                entry.metadata,
                expires_at=entry.expires_at,
                if_absent=not overwrite,
            )
            (result,) = await client.batch([put])
            return not isinstance(result, WriteResult) or result.applied
    return True


def _summarize(
    call: Call,
    file: Path,
    done: Counter[str],
    elsewhere: Counter[str],
    *,
    dry_run: bool,
) -> None:
    failed = done.pop("failed", 0)
    left = sum(count for what, count in done.items() if what.startswith("left"))
    written = done.total() - left
    done["failed"] = failed
    if call.json:
        print_json(
            {
                "file": str(file),
                "dry_run": dry_run,
                "written": written,
                "left": left,
                "failed": failed,
                "other_namespaces": dict(elsewhere),
            }
        )
        return
    would = "would write" if dry_run else "wrote"
    note(f"{would} {written} entries of {file}, left {left}, and {failed} failed")
    for namespace, count in sorted(elsewhere.items()):
        note(
            f"left {count} of namespace {namespace}: for them, add -n {namespace}, and"
            " create it if need be"
        )
