"""Entries as lines: what is written is what is read."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.cli.transfer.records import (
    COLUMNS,
    BadRecordError,
    Record,
    csv_parser,
    csv_row,
    parse_ndjson,
    write_csv,
    write_ndjson,
)
from kvnode.limits import KEY_BYTES_MAX, METADATA_BYTES_MAX

METADATA = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**53), 2**53),
    st.dictionaries(st.text("ab", max_size=3), st.booleans(), max_size=3),
)
EXPIRY = st.none() | st.floats(0.001, 2e11, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def records(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[Record]:
    """Entries whose key and value are drawn from *content*."""
    keys = content.filter(lambda key: 0 < len(key) <= KEY_BYTES_MAX)
    return st.builds(Record, keys, content, METADATA, EXPIRY)


@given(record=records(st.binary(max_size=30) | TEXT.map(str.encode)))
def test_ndjson_holds_every_entry(record: Record) -> None:
    """Bytes that are no text included; an entry is one line."""
    line = write_ndjson(record)

    assert parse_ndjson(line) == record
    assert line.count(b"\n") == 1


@given(record=records(TEXT.map(str.encode)))
def test_csv_holds_every_entry_that_is_text(record: Record) -> None:
    """Quotes, commas and newlines included."""
    parse = csv_parser(csv_row(COLUMNS).rstrip(b"\r\n"))

    assert parse(write_csv(record).rstrip(b"\r\n")) == record


@given(record=records(TEXT.map(str.encode)))
def test_csv_is_what_others_read(record: Record) -> None:
    """The csv module, told nothing, finds the same four cells."""
    (cells,) = csv.reader(io.StringIO(write_csv(record).decode(), newline=""))

    assert cells[:2] == [record.key.decode(), record.value.decode()]


def test_csv_cannot_hold_bytes_and_says_so() -> None:
    """Silently replaced bytes would be lost data."""
    with pytest.raises(BadRecordError, match="NDJSON"):
        write_csv(Record(b"a", b"\xff", None, None))


@given(line=st.binary(max_size=60))
def test_any_line_is_an_entry_or_refused(line: bytes) -> None:
    """No bytes make the reader fail otherwise."""
    for parse in (parse_ndjson, csv_parser(b"key,value")):
        try:
            assert parse(line).key
        except BadRecordError as error:
            assert str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": "", "value": "x"}, "1 to 512"),
        ({"key": "k" * 513, "value": "x"}, "513 bytes"),
        ({"key": "a"}, "'value'"),
        ({"value": "a"}, "'key'"),
        ({"key": "a", "key_base64": "YQ==", "value": "x"}, "either"),
        ({"key": 1, "value": "x"}, "must be a string"),
        ({"key_base64": "$", "value": "x"}, "not base64"),
        ({"key": "\ud800", "value": "x"}, "surrogate"),
        ({"key": "a", "value": "x", "metdata": 1}, "unknown field 'metdata'"),
        ({"key": "a", "value": "x", "metadata": "m" * METADATA_BYTES_MAX}, "1024"),
        ({"key": "a", "value": "x", "metadata": float("nan")}, "metadata"),
        ({"key": "a", "value": "x", "metadata": "\ud800"}, "metadata"),
        ({"key": "a", "value": "x", "expires_at": "soon"}, "seconds since 1970"),
        ({"key": "a", "value": "x", "expires_at": True}, "seconds since 1970"),
        ({"key": "a", "value": "x", "expires_at": 0}, "seconds since 1970"),
        ({"key": "a", "value": "x", "expires_at": 1.7e12}, "seconds since 1970"),
        ({"key": "a", "value": "x", "expires_at": 10**400}, "seconds since 1970"),
    ],
)
def test_reason_names_what_is_wrong(fields: dict[str, object], reason: str) -> None:
    """A person can mend the line without reading our code."""
    with pytest.raises(BadRecordError, match=reason):
        parse_ndjson(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "header", [b"", b"value", b"key,value,colour", b"key,value,key", b"a;b"]
)
def test_header_must_name_the_columns(header: bytes) -> None:
    """A file without a header would lose its first entry."""
    with pytest.raises(BadRecordError, match="first line"):
        csv_parser(header)


def test_columns_may_come_in_any_order_after_a_byte_order_mark() -> None:
    """As spreadsheets write them."""
    parse = csv_parser(b"\xef\xbb\xbfvalue,key")

    assert parse(b"v,k") == Record(b"k", b"v", None, None)


@pytest.mark.parametrize("row", [b"a", b"a,b,c", b'a,"b', b"a,\xff"])
def test_row_that_does_not_fit_the_header_is_refused(row: bytes) -> None:
    """Too few, too many, an open quotation, no text."""
    with pytest.raises(BadRecordError):
        csv_parser(b"key,value")(row)
