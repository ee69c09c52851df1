"""
`kvnode import`: entries of a file into the store, a chunk a batch.

Several batches are in flight.  A key that is in flight already makes the next chunk
wait, so that of a key that stands in the file twice, the last one wins.

The state file holds the end of the longest prefix of which every batch has been
acknowledged.  After it, some may have been written; writing them again stores the
same values, so going on from there is right whatever happened.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json
from kvnode.cli.transfer.chunks import Chunk, Position, Rejected, read_chunks
from kvnode.cli.transfer.files import (
    beside,
    load_state,
    remove,
    save_state,
    truncate,
    whole_number,
)
from kvnode.cli.transfer.progress import ByteProgress
from kvnode.cli.transfer.records import BadRecordError, Format
from kvnode.errors import KvError, RejectedError

IN_FLIGHT_MAX: Final = 4  # 16 MiB at most, of the client's and the node's memory
_FINGERPRINT_BYTES: Final = 1024  # less than a chunk: mending a later line keeps it
_ADVICE: Final = (
    "Some entries after the last acknowledged one may have been written. Importing them"
    " again stores the same values, so it is safe: run the command with --resume."
)


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the command to *app*."""
    client_command(app, "import", panel=panel, writes=True, keys=False, advice=_ADVICE)(
        import_entries
    )


async def import_entries(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON or CSV.")],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="ndjson|csv", help="By default, as the name ends."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", metavar="", help="Go on where an earlier import ended."
        ),
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            metavar="",
            help="Put bad lines into FILE.rejected, and go on.",
        ),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Note progress here. (default: FILE.import-state)"
        ),
    ] = None,
) -> None:
    """
    Store the entries of FILE; keys that are there already are overwritten.

    NDJSON has one object a line: {"key": "a", "value": "b"}, and if need be "metadata"
    (JSON), "expires_at" (seconds since 1970), and "key_base64" or "value_base64" for
    bytes that are no text. CSV has a header and the columns key, value, metadata and
    expires_at.

    A bad line ends the import, and says where. What was imported before it stays;
    mend the line and use --resume, or use --skip-bad.

    Examples:
      kvnode import flags.ndjson

      kvnode import users.csv --namespace users --skip-bad
    """
    import aiofiles

    form = Format.of(file, format_name)
    regular = file.is_file()
    state_file = state or beside(file, ".import-state")
    if not regular and (resume or state):
        msg = "only a regular file can be resumed"
        raise typer.BadParameter(msg, param_hint="--resume")
    job = await _Import.prepare(
        call,
        file,
        state_file=state_file if regular else None,
        rejects=beside(file, ".rejected") if skip_bad else None,
        resume=resume,
    )
    try:
        async with aiofiles.open(file, "rb") as source:
            chunks = read_chunks(source, form, job.done)
            with ByteProgress(file.name, job.size_bytes, job.done.offset) as bar:
                await job.run(chunks, bar)
    except KvError:
        if job.done.line and regular:
            note(f"imported up to line {job.done.line}; --resume goes on from there")
        raise
    await job.finish()


@dataclass(slots=True)
class _Flight:
    """A chunk on its way."""

    chunk: Chunk
    keys: frozenset[bytes]
    expired: int
    task: "asyncio.Task[Any] | None"


@dataclass(slots=True)
class _Import:
    """An import under way; `done` is the end of the acknowledged prefix."""

    call: Call
    file: Path
    state_file: Path | None
    rejects: Path | None
    size_bytes: int | None
    fingerprint: str
    done: Position = field(default_factory=Position)
    imported: int = 0
    expired: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    flights: deque[_Flight] = field(default_factory=deque)

    @classmethod
    async def prepare(
        cls,
        call: Call,
        file: Path,
        *,
        state_file: Path | None,
        rejects: Path | None,
        resume: bool,
    ) -> "_Import":
        """Return the import as it begins, or as it was left."""
        job = cls(call, file, state_file, rejects, None, "")
        if state_file is not None:
            job.size_bytes, job.fingerprint = await asyncio.to_thread(_identity, file)
            found = await load_state(state_file)
            if resume and found:
                job._take_up(found)
            elif found:
                note("an earlier import of this file was cut short; starting over")
            elif resume:
                note("no earlier import was cut short; starting at the beginning")
        if rejects is not None:
            await truncate(rejects, job.rejects_bytes)
        return job

    def _take_up(self, state: dict[str, object]) -> None:
        done = Position(whole_number(state, "offset"), whole_number(state, "line"))
        same = state.get("fingerprint") == self.fingerprint
        longer = self.size_bytes is not None and done.offset <= self.size_bytes
        if not same or not longer:
            msg = (
                f"{self.file} is not the file that was being imported (it begins"
                " otherwise or is shorter): import it without --resume"
            )
            raise RejectedError(msg)
        if state.get("namespace") != self.call.target.namespace:
            msg = (
                f"the earlier import was into namespace {state.get('namespace')!r}:"
                " give the same --namespace, or import without --resume"
            )
            raise RejectedError(msg)
        self.done = done
        self.imported = whole_number(state, "imported")
        self.expired = whole_number(state, "expired")
        self.rejected = whole_number(state, "rejected")
        self.rejects_bytes = whole_number(state, "rejects_bytes")
        note(f"going on after line {done.line}")

    async def run(self, chunks: AsyncGenerator[Chunk, None], bar: ByteProgress) -> None:
        """Send all chunks; at an error, finish or drop what is in flight."""
        try:
            async with aclosing(chunks) as open_chunks:
                async for chunk in open_chunks:
                    await self._make_room_for(chunk, bar)
                    self.flights.append(self._start(chunk))
                    if chunk.rejected and self.rejects is None:
                        break
            while self.flights:
                await self._land(bar)
        finally:
            for flight in self.flights:
                if flight.task is not None:
                    flight.task.cancel()
            tasks = [flight.task for flight in self.flights if flight.task is not None]
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _make_room_for(self, chunk: Chunk, bar: ByteProgress) -> None:
        keys = {record.key for record in chunk.records}
        while len(self.flights) >= IN_FLIGHT_MAX or any(
            not keys.isdisjoint(flight.keys) for flight in self.flights
        ):
            await self._land(bar)

    def _start(self, chunk: Chunk) -> _Flight:
        from kvnode.client import Put

        records = chunk.records
        if chunk.rejected and self.rejects is None:
            records = []  # the chunk is retried as a whole once the line is mended
        now = time.time()
        steps = [
            Put(each.key, each.value, each.metadata, expires_at=each.expires_at)
            for each in records
            if each.expires_at is None or each.expires_at > now
        ]
        task = asyncio.create_task(self.call.client.batch(steps)) if steps else None
        keys = frozenset(step.key for step in steps if isinstance(step.key, bytes))
        return _Flight(chunk, keys, len(records) - len(steps), task)

    async def _land(self, bar: ByteProgress) -> None:
        """Wait for the oldest chunk in flight, and note that it is done."""
        flight = self.flights[0]
        if flight.chunk.rejected and self.rejects is None:
            raise _complaint(self.file, flight.chunk.rejected[0])
        if flight.task is not None:
            await flight.task
        self.flights.popleft()
        chunk = flight.chunk
        if self.rejects is not None and chunk.rejected:
            await self._put_aside(self.rejects, chunk.rejected)
        self.imported += len(chunk.records) - flight.expired
        self.expired += flight.expired
        self.done = chunk.end
        bar.move_to(chunk.end.offset)
        if self.state_file is not None:
            await save_state(self.state_file, self._state())

    async def _put_aside(self, rejects: Path, lines: list[Rejected]) -> None:
        import aiofiles

        raw = b"".join(line.raw.rstrip(b"\r\n") + b"\n" for line in lines)
        async with aiofiles.open(rejects, "ab") as target:
            await target.write(raw)
        self.rejects_bytes += len(raw)
        self.rejected += len(lines)

    def _state(self) -> dict[str, object]:
        return {
            "offset": self.done.offset,
            "line": self.done.line,
            "fingerprint": self.fingerprint,
            "namespace": self.call.target.namespace,
            "imported": self.imported,
            "expired": self.expired,
            "rejected": self.rejected,
            "rejects_bytes": self.rejects_bytes,
        }

    async def finish(self) -> None:
        """Tell what happened, and tidy up."""
        if self.state_file is not None:
            await remove(self.state_file)
        if self.rejects is not None and not self.rejected:
            await remove(self.rejects)
        if self.call.json:
            print_json(
                {
                    "imported": self.imported,
                    "expired": self.expired,
                    "rejected": self.rejected,
                }
            )
            return
        note(f"imported {self.imported:,} entries from {self.file}")
        if self.expired:
            note(f"left out {self.expired:,} that have expired")
        if self.rejected:
            note(f"put {self.rejected:,} bad lines into {self.rejects}")


def _complaint(file: Path, bad: Rejected) -> BadRecordError:
    return BadRecordError(
        f"{file}, line {bad.line}: {bad.reason}\nMend it and use --resume, or use"
        " --skip-bad"
    )


def _identity(file: Path) -> tuple[int, str]:
    """Return size and a fingerprint that tells this file from others."""
    with file.open("rb") as source:
        start = source.read(_FINGERPRINT_BYTES)
    return file.stat().st_size, hashlib.sha256(start).hexdigest()
