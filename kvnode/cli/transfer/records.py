"""
One entry as a line of text: NDJSON or CSV.

NDJSON: one object a line, `{"key", "value", "metadata", "expires_at"}`; the last two
may be missing.  Bytes that are not UTF-8 go into `key_base64` and `value_base64`.

CSV: the columns of the same names, in any order, with a header; metadata is JSON.
CSV has no way to say bytes, so what is not UTF-8 needs NDJSON.

`expires_at` is in seconds since 1970.

References:
    https://github.com/ndjson/ndjson-spec
    RFC 4180, Common Format and MIME Type for CSV Files.
"""

import base64
import binascii
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from kvnode.cli.output import bytes_json, shown
from kvnode.errors import InvalidArgumentError, RejectedError
from kvnode.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.object_json import json_text

if TYPE_CHECKING:
    from kvnode.client import JsonValue

COLUMNS: Final = ("key", "value", "metadata", "expires_at")
RECORD_BYTES_MAX: Final = 6 * VALUE_BYTES_MAX + 64 * 1024
"""A value of which JSON escapes every byte as \\u00XX, and all the rest."""

_JSON_FIELDS: Final = frozenset({*COLUMNS, "key_base64", "value_base64"})
_YEAR_10000: Final = 253_402_300_800  # in seconds; milliseconds are beyond it


class Format(Enum):
    """How a file holds entries."""

    NDJSON = "ndjson"
    CSV = "csv"

    @classmethod
    def of(cls, file: Path, chosen: str | None) -> "Format":
        """
        Return the format *chosen*, or the one that the name of *file* tells.

        Raises:
            typer.BadParameter: Neither tells it.
        """
        by_suffix = {
            ".ndjson": cls.NDJSON,
            ".jsonl": cls.NDJSON,
            ".json": cls.NDJSON,
            ".csv": cls.CSV,
        }
        try:
            return cls(chosen) if chosen else by_suffix[file.suffix.lower()]
        except (KeyError, ValueError):
            msg = (
                f"{chosen or file.name!r} tells no format: give --format ndjson or csv,"
                " or a name that ends in .ndjson, .jsonl or .csv"
            )
            raise typer.BadParameter(msg, param_hint="--format") from None


class Record(NamedTuple):
    """An entry in a file."""

    key: bytes
    value: bytes
    metadata: "JsonValue"
    expires_at: float | None


class BadRecordError(RejectedError):
    """A line that is no entry; the message says why."""


def parse_ndjson(line: bytes) -> Record:
    """
    Return the entry on *line*.

    Raises:
        BadRecordError: It is none, or breaks a limit.
    """
    try:
        document = json.loads(line)
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 at byte {error.start + 1}"
        raise BadRecordError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise BadRecordError(msg) from None
    if not isinstance(document, dict):
        msg = f"a JSON {type(document).__name__}, not an object"
        raise BadRecordError(msg)
    if unknown := sorted(document.keys() - _JSON_FIELDS):
        msg = f"unknown field {unknown[0]!r}; known are {', '.join(COLUMNS)}"
        raise BadRecordError(msg)
    return _checked(
        _json_bytes(document, "key"),
        _json_bytes(document, "value"),
        document.get("metadata"),
        document.get("expires_at"),
    )


def csv_parser(header: bytes) -> Callable[[bytes], Record]:
    """
    Return the parser for rows under *header*.

    Raises:
        BadRecordError: It names no columns `key` and `value`, or unknown ones.
    """
    names = [name.strip() for name in _row(header.removeprefix(b"\xef\xbb\xbf"))]
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in ("key", "value") if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        msg = (
            f"the first line must name the columns key and value, and may name"
            f" metadata and expires_at; it is {shown(header)!r}"
        )
        raise BadRecordError(msg)

    def parse(line: bytes) -> Record:
        cells = _row(line)
        if len(cells) != len(names):
            msg = f"{len(cells)} columns under a header of {len(names)}"
            raise BadRecordError(msg)
        return _csv_record(dict(zip(names, cells, strict=True)))

    return parse


def write_ndjson(record: Record) -> bytes:
    """Return *record* as a line."""
    document = {**bytes_json("key", record.key), **bytes_json("value", record.value)}
    if record.metadata is not None:
        document["metadata"] = record.metadata
    if record.expires_at is not None:
        document["expires_at"] = record.expires_at
    return json_text(document).encode() + b"\n"


def write_csv(record: Record) -> bytes:
    """
    Return *record* as a row.

    Raises:
        BadRecordError: It is not UTF-8.
    """
    try:
        key, value = record.key.decode(), record.value.decode()
    except UnicodeDecodeError:
        msg = (
            f"the entry under {shown(record.key)} is not UTF-8, which CSV cannot hold:"
            " export to NDJSON"
        )
        raise BadRecordError(msg) from None
    metadata = "" if record.metadata is None else json_text(record.metadata)
    return csv_row((key, value, metadata, _number_text(record.expires_at)))


def csv_row(cells: Sequence[str]) -> bytes:
    """Return *cells* as a row, ended as RFC 4180 wants it."""
    text = io.StringIO()
    # The writer quotes only line ends that its own terminator has.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def _number_text(number: float | None) -> str:
    return "" if number is None else repr(number)


def _json_bytes(document: Mapping[str, object], name: str) -> bytes:
    text, encoded = document.get(name), document.get(f"{name}_base64")
    if (text is None) == (encoded is None):
        msg = f"needs either {name!r} or '{name}_base64'"
        raise BadRecordError(msg)
    given = text if encoded is None else encoded
    if not isinstance(given, str):
        msg = f"{name!r} is {_brief(given)}: it must be a string"
        raise BadRecordError(msg)
    try:
        return (
            given.encode()
            if encoded is None
            else base64.b64decode(given, validate=True)
        )
    except UnicodeEncodeError:
        msg = f"{name!r} holds half of a surrogate pair: give '{name}_base64'"
        raise BadRecordError(msg) from None
    except (binascii.Error, ValueError):
        msg = f"'{name}_base64' is not base64"
        raise BadRecordError(msg) from None


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "..."  # noqa: PLR2004 - half a line


def _row(line: bytes) -> list[str]:
    try:
        rows = list(csv.reader([line.decode()], strict=True))
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 at byte {error.start + 1}"
        raise BadRecordError(msg) from None
    except csv.Error as error:
        msg = f"not CSV: {error}"
        raise BadRecordError(msg) from None
    return rows[0] if rows else []


def _csv_record(cells: Mapping[str, str]) -> Record:
    metadata_cell = cells.get("metadata", "")
    expiry_text = cells.get("expires_at", "")
    try:
        metadata = json.loads(metadata_cell) if metadata_cell else None
    except ValueError:
        msg = f"metadata {_brief(metadata_cell)} is not JSON"
        raise BadRecordError(msg) from None
    expires_at: object
    try:
        expires_at = float(expiry_text) if expiry_text else None
    except ValueError:
        expires_at = expiry_text  # what is wrong with it is said by _checked
    return _checked(
        cells["key"].encode(), cells["value"].encode(), metadata, expires_at
    )


def _checked(
    key: bytes, value: bytes, metadata: "JsonValue", expires_at: object
) -> Record:
    """Check what would make a node reject the whole batch."""
    from kvnode.client.arguments import metadata_text

    if not 0 < len(key) <= KEY_BYTES_MAX:
        msg = f"the key has {len(key)} bytes: it must have 1 to {KEY_BYTES_MAX}"
        raise BadRecordError(msg)
    if len(value) > VALUE_BYTES_MAX:
        msg = f"the value has {len(value)} bytes: it may have {VALUE_BYTES_MAX}"
        raise BadRecordError(msg)
    try:
        metadata_text(metadata)
    except InvalidArgumentError as error:
        raise BadRecordError(str(error)) from None
    if expires_at is None:
        return Record(key, value, metadata, None)
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        seconds = 0.0
    else:
        seconds = float(expires_at) if expires_at < _YEAR_10000 else 0.0
    if not seconds > 0:
        msg = (
            f"expires_at is {_brief(expires_at)}: it must be seconds since 1970,"
            " before the year 10000"
        )
        raise BadRecordError(msg)
    return Record(key, value, metadata, seconds)
