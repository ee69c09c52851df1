"""Files in chunks: each ends where an entry ends."""

import asyncio
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.cli.transfer import chunks
from kvnode.cli.transfer.chunks import Chunk, Position, read_chunks
from kvnode.cli.transfer.records import (
    COLUMNS,
    BadRecordError,
    Format,
    Record,
    csv_row,
    write_csv,
    write_ndjson,
)

RECORDS = st.lists(
    st.builds(
        Record,
        st.text('ab\n",', min_size=1, max_size=5).map(str.encode),
        st.text('xy\n\r",', max_size=8).map(str.encode),
        st.none(),
        st.none(),
    ),
    max_size=20,
)


class Memory:
    """Bytes that are read as a file is."""

    def __init__(self, content: bytes) -> None:
        self._file = BytesIO(content)

    async def readline(self, limit: int, /) -> bytes:
        """Return a line."""
        return self._file.readline(limit)

    async def seek(self, offset: int, /) -> int:
        """Go to *offset*."""
        return self._file.seek(offset)


def read(content: bytes, form: Format, start: Position | None = None) -> list[Chunk]:
    """Return all chunks of *content*."""

    async def collect() -> list[Chunk]:
        source = Memory(content)
        return [each async for each in read_chunks(source, form, start or Position())]

    return asyncio.run(collect())


def written(records: list[Record], form: Format) -> bytes:
    """Return a file with *records*."""
    if form is Format.CSV:
        return csv_row(COLUMNS) + b"".join(map(write_csv, records))
    return b"".join(map(write_ndjson, records))


@pytest.mark.parametrize("form", Format)
@settings(max_examples=50, deadline=None)  # each example starts many event loops
@given(records=RECORDS, size=st.integers(1, 5))
def test_every_end_of_a_chunk_is_a_place_to_go_on_from(
    form: Format, records: list[Record], size: int
) -> None:
    """What comes before an end and what is read from it make the whole."""
    content = written(records, form)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_RECORDS_MAX", size)
        found = read(content, form)
        assert [each for chunk in found for each in chunk.records] == records
        seen = 0
        for chunk in found:
            seen += len(chunk.records)
            rest = read(content, form, chunk.end)
            assert [each for one in rest for each in one.records] == records[seen:]
        assert all(len(chunk.records) <= size for chunk in found)


def test_bad_line_is_named_by_its_number() -> None:
    """Empty lines count, as editors count them."""
    (chunk,) = read(b'{"key":"a","value":""}\n\nnonsense\r\n', Format.NDJSON)

    (bad,) = chunk.rejected
    assert (bad.line, bad.raw) == (3, b"nonsense\r\n")
    assert len(chunk.records) == 1


def test_file_without_a_last_newline_is_read_to_its_end() -> None:
    """Many programs leave it out."""
    (chunk,) = read(b"key,value\na,b", Format.CSV)

    assert chunk.records == [Record(b"a", b"b", None, None)]


@pytest.mark.parametrize("content", [b"x" * 50, b'key,value\na,"' + b"x\n" * 50])
def test_endless_line_or_quotation_ends_with_a_message(content: bytes) -> None:
    """A file of another kind must not be read into memory as one line."""
    form = Format.CSV if content.startswith(b"key") else Format.NDJSON
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "RECORD_BYTES_MAX", 20)
        with pytest.raises(BadRecordError, match=r"line [12]"):
            read(content, form)
