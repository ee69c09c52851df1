"""
A file of entries, cut into chunks that can be acknowledged one by one.

A chunk ends where an entry ends, so its end is an offset from which to go on after
a crash.  Chunks are bounded in entries and in bytes.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from kvnode.cli.transfer.records import (
    RECORD_BYTES_MAX,
    BadRecordError,
    Format,
    Record,
    csv_parser,
    parse_ndjson,
)

CHUNK_RECORDS_MAX: Final = 1_000
CHUNK_BYTES_MAX: Final = 4 * 1024 * 1024  # some in flight fit a node's inbox


class Source(Protocol):
    """A file, opened for reading bytes."""

    async def readline(self, limit: int, /) -> bytes:
        """Return the next line, or its first *limit* bytes; empty at the end."""

    async def seek(self, offset: int, /) -> int:
        """Go to *offset*."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far into a file: bytes and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no entry."""

    line: int  # counts from 1
    reason: str
    raw: bytes


@dataclass(slots=True)
class Chunk:
    """Some entries that stand together, and the lines among them that are none."""

    start: Position
    end: Position
    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether it should be sent as it is."""
        count = len(self.records) + len(self.rejected)
        size_bytes = self.end.offset - self.start.offset
        return count >= CHUNK_RECORDS_MAX or size_bytes >= CHUNK_BYTES_MAX


async def read_chunks(
    source: Source, form: Format, start: Position
) -> AsyncGenerator[Chunk, None]:
    """
    Yield the rest of *source*, from *start*, in order.

    Raises:
        BadRecordError: The header of a CSV file is wrong, or a line has no end:
            this is no such file.
    """
    position = Position()
    parse: Callable[[bytes], Record] = parse_ndjson
    if form is Format.CSV:
        header, position = await _next_line(source, position)
        parse = csv_parser(header.rstrip(b"\r\n"))
    if start.offset > position.offset:
        await source.seek(start.offset)
        position = start
    chunk = Chunk(position, position)
    while True:
        raw, after = await _next_record(source, form, position)
        if not raw:
            break
        if raw.strip():
            try:
                chunk.records.append(parse(raw.rstrip(b"\r\n")))
            except BadRecordError as error:
                bad = Rejected(position.line + 1, str(error), raw)
                chunk.rejected.append(bad)
        position = chunk.end = after
        if chunk.is_full:
            yield chunk
            chunk = Chunk(position, position)
    if chunk.end.offset > chunk.start.offset:
        yield chunk


async def _next_line(source: Source, position: Position) -> tuple[bytes, Position]:
    line = await source.readline(RECORD_BYTES_MAX + 1)
    if len(line) > RECORD_BYTES_MAX:
        msg = (
            f"line {position.line + 1} has more than {RECORD_BYTES_MAX} bytes, more"
            " than any entry: is this the right file, and the right --format?"
        )
        raise BadRecordError(msg)
    return line, Position(position.offset + len(line), position.line + 1)


async def _next_record(
    source: Source, form: Format, position: Position
) -> tuple[bytes, Position]:
    """Return a line; in CSV, as many lines as an open quotation goes on for."""
    raw, after = await _next_line(source, position)
    if form is Format.CSV and raw.count(b'"') % 2:
        parts, size_bytes = [raw], len(raw)
        while raw:
            raw, after = await _next_line(source, after)
            parts.append(raw)
            size_bytes += len(raw)
            if raw.count(b'"') % 2:
                break
            if size_bytes > RECORD_BYTES_MAX:
                msg = f"line {position.line + 1}: a quotation is never closed"
                raise BadRecordError(msg)
        raw = b"".join(parts)
    return raw, after
