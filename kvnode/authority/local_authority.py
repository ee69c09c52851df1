"""
An authority for a node that has its shards to itself: a file.

It is replaced as a whole: written beside, synced, renamed, and the directory synced.
So it holds what it held before a change or after it, whenever the power fails.
"""

import asyncio
import json
from pathlib import Path
from typing import Final

from kvnode.completion import completed
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.configuration_codec import (
    configuration_document,
    configuration_of,
)
from kvnode.durable_file import publish
from kvnode.errors import CorruptRecordError, IndeterminateError, RejectedError

FORMAT: Final = 1


class LocalAuthority:
    """See kvnode.authority.port.Authority; for one process alone."""

    def __init__(self, path: Path) -> None:
        """
        Open the file *path*, which may not be there yet; blocks.

        Raises:
            CorruptRecordError: It holds something else.
            RejectedError: A later version wrote it.
            OSError: It cannot be read.
        """
        self._path = path
        self._held = _read(path)
        self._changing = asyncio.Lock()

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held of *shard*."""
        return self._held.get(shard)

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Hold *desired* if *expected* is held; return what is held."""
        async with self._changing:
            held = self._held.get(shard)
            if held == expected:
                after = {**self._held, shard: desired}
                await self._change_to(after)
                return desired
            assert held is not None, "what was expected was not held"
            return held

    async def _change_to(self, after: dict[str, Configuration]) -> None:
        """Write the file, and to the end: the next change must not overlap."""
        writing = asyncio.ensure_future(asyncio.to_thread(_write, self._path, after))
        try:
            await completed(writing)
        except OSError as error:
            msg = f"{self._path} cannot be written: {error}"
            raise IndeterminateError(msg) from error
        self._held = after

    async def close(self) -> None:
        """Do nothing: the file is closed after each change."""


def _read(path: Path) -> dict[str, Configuration]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        document = json.loads(data)
        form, shards = document["format"], dict(document["shards"].items())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is no file of configurations of shards: {error!r}"
        raise CorruptRecordError(msg) from error
    if form != FORMAT:
        msg = (
            f"{path} has format {form} and this version reads {FORMAT}: run the version"
            " that wrote it"
        )
        raise RejectedError(msg)
    return {name: configuration_of(held) for name, held in shards.items()}


def _write(path: Path, held: dict[str, Configuration]) -> None:
    shards = {name: configuration_document(each) for name, each in held.items()}
    document = {"format": FORMAT, "shards": shards}
    beside = path.with_suffix(".new")
    beside.write_bytes(json.dumps(document, indent=1).encode() + b"\n")
    publish(beside, path)
