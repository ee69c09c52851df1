"""
Lines of a recovery file: entries that a node had to give up.

The format is that of kvnode.storage.rescue, which writes them: one JSON object a line.
A crash while it was written may have torn the last line, and may have put entries there
twice.

Reference:
    https://github.com/ndjson/ndjson-spec
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kvnode.cli.arguments import base64_bytes
from kvnode.cli.output import brief
from kvnode.cli.transfer.records import RECORD_BYTES_MAX, BadRecordError
from kvnode.errors import RejectedError

if TYPE_CHECKING:
    from kvnode.client import JsonValue

TYPES: Final = ("register", "counter", "set", "document", "tombstone")
SUFFIX: Final = ".jsonl"
DIRECTORY: Final = "recovery"

RescuedValue = bytes | int | tuple[bytes, ...] | None
"""Of a register or document, a counter, a set; and of a deletion."""


class Rescued(NamedTuple):
    """An entry in a recovery file; times are seconds since 1970."""

    namespace: str
    kind: str
    key: bytes
    value: RescuedValue
    metadata: "JsonValue"
    expires_at: float | None
    written_at: float

    def value_text(self) -> str:
        """Return the value on one line."""
        match self.value:
            case None:
                return "(a deletion)"
            case int():
                return str(self.value)
            case bytes():
                return brief(self.value) if self.kind == "register" else "(a document)"
            case _:
                return ", ".join(map(brief, self.value))


class BadLine(NamedTuple):
    """A line that is no entry."""

    line: int  # counts from 1
    reason: str


def recovery_files(place: Path) -> list[Path]:
    """
    Return the recovery files at *place*: itself, or those in it.

    Args:
        place: A file, a directory of them, or a data directory.

    Raises:
        RejectedError: There are none.
    """
    if place.is_file():
        return [place]
    inner = place / DIRECTORY
    found = sorted((inner if inner.is_dir() else place).glob(f"*{SUFFIX}"))
    if not found:
        msg = f"{place} has no recovery file: this node has given up nothing"
        raise RejectedError(msg)
    return found


def read_rescued(file: Path) -> Iterator[tuple[int, Rescued | BadLine]]:
    """Yield the entries of *file*, each with the number of its line."""
    with file.open("rb") as source:
        number = 0
        while line := source.readline(RECORD_BYTES_MAX):
            number += 1
            if not line.strip():
                continue
            try:
                yield number, parse_rescued(line)
            except BadRecordError as error:
                yield number, BadLine(number, str(error))


def parse_rescued(line: bytes) -> Rescued:
    """
    Return the entry on *line*.

    Raises:
        BadRecordError: It is none.
    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise BadRecordError(msg) from None
    if not isinstance(document, dict):
        msg = f"a JSON {type(document).__name__}, not an object"
        raise BadRecordError(msg)
    kind, namespace = document.get("type"), document.get("namespace")
    if kind not in TYPES or not isinstance(namespace, str):
        msg = f"type is {kind!r}, which is none of {', '.join(TYPES)}"
        raise BadRecordError(msg)
    return Rescued(
        namespace,
        kind,
        _bytes(document, "key"),
        _value(kind, document),
        document.get("metadata"),
        _seconds(document.get("expires_at")),
        _seconds(document.get("written_at")) or 0.0,
    )


def _value(kind: str, document: dict[str, object]) -> RescuedValue:
    value = document.get("value")
    if kind == "tombstone":
        return None
    if kind == "counter":
        if isinstance(value, bool) or not isinstance(value, int):
            msg = "a counter's value must be a whole number"
            raise BadRecordError(msg)
        return value
    if kind == "set":
        if not isinstance(value, list) or not all(isinstance(m, dict) for m in value):
            msg = "a set's value must be a list of members"
            raise BadRecordError(msg)
        return tuple(_bytes(member, "member") for member in value)
    return _bytes(document, "value")


def _bytes(document: dict[str, object], name: str) -> bytes:
    import typer

    text, encoded = document.get(name), document.get(f"{name}_base64")
    given = text if encoded is None else encoded
    if not isinstance(given, str):
        msg = f"needs {name!r} or '{name}_base64', a text"
        raise BadRecordError(msg)
    try:
        return given.encode() if encoded is None else base64_bytes(given)
    except (UnicodeEncodeError, typer.BadParameter) as error:
        msg = f"{name!r} cannot be read: {error}"
        raise BadRecordError(msg) from None


def _seconds(number: object) -> float | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float):
        msg = f"{number!r} is no time: it must be seconds since 1970"
        raise BadRecordError(msg)
    return float(number)
