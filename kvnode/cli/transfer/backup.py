"""
`kvnode backup` and `restore`: everything a node holds, as of one instant.

A backup carries no identity: what is restored is a new replica, which its peers
tell what it missed.
"""

import asyncio
import secrets
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from kvnode.cli.failures import reported
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json, print_line, size_text
from kvnode.cli.transfer.files import beside, publish, refuse_to_overwrite, remove
from kvnode.cli.transfer.progress import ByteProgress
from kvnode.types import ReplicaId


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    client_command(app, "backup", panel=panel, keys=False)(backup)
    app.command("restore", rich_help_panel=panel)(restore)


async def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", metavar="", help="Replace FILE if it is there."),
    ] = False,
) -> None:
    """
    Write all that a node holds, as of one instant, to FILE, while it serves.

    FILE gets its name when it is whole and on disk.

    Example:
      kvnode backup monday.kvnode
    """
    import aiofiles

    refuse_to_overwrite(file, overwrite=overwrite)
    status = await call.client.status()
    partial, size_bytes = beside(file, ".partial"), 0
    try:
        async with aiofiles.open(partial, "wb") as target:
            with ByteProgress(file.name, status.disk_bytes) as bar:
                async with aclosing(call.client.backup()) as chunks:
                    async for chunk in chunks:
                        size_bytes += await target.write(chunk)
                        bar.move_to(size_bytes)
        await publish(partial, file)
    finally:
        await remove(partial)
    if call.json:
        print_json({"file": str(file), "size_bytes": size_bytes, "node": status.name})
    else:
        note(f"backed up {status.name} to {file}: {size_text(size_bytes)}")


def restore(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="What `kvnode backup` wrote.",
            exists=True,
            dir_okay=False,
        ),
    ],
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIRECTORY", help="New data directory; must be empty."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON instead of text.")
    ] = False,
) -> None:
    """
    Make a data directory from a backup; needs no node, and prints the identity.

    The result is a new node, not the old one: an identity used twice would lose
    writes.

    Example:
      kvnode restore monday.kvnode ./new-data

      kvnode serve --data-directory ./new-data --seeds 10.0.0.3:7400
    """
    from kvnode.storage.backup import restore as make_store

    with reported(writes=False):
        state = asyncio.run(make_store(file, directory, random_replica=_new_identity))
    identity = f"{state.replica:016x}"
    if as_json:
        print_json({"replica": identity, "directory": str(directory)})
    else:
        print_line(identity)
        note(f"restored {file} to {directory} as replica {identity}")


def _new_identity() -> ReplicaId:
    return ReplicaId(secrets.randbits(64) or 1)
