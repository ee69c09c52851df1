"""
Values to text and JSON: data to stdout, words about it to stderr.

JSON has one shape everywhere.  Bytes that are UTF-8 go under the field's name,
others under the name with `_base64`: exactly one of the two is there.  Times are
seconds since 1970.
"""

import base64
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from kvnode.cli.arguments import KeyForm
from kvnode.object_json import Json, json_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

    from kvnode.client import Item, Value

_LONGEST_TEXT = 60
_WIDEST_TABLE = 400


def complain(message: str, *, label: str = "error") -> None:
    """Print *message* to stderr, for people."""
    from rich.text import Text

    colour = "red" if label == "error" else "yellow"
    text = Text.assemble((f"{label}: ", f"bold {colour}"), message)
    console(stderr=True).print(text, soft_wrap=True)


def note(message: str) -> None:
    """Print *message* to stderr: something went well, or wants to be known."""
    console(stderr=True).print(message, soft_wrap=True, markup=False)


def console(*, stderr: bool = False) -> "Console":
    """Return a console on the stream as it is now."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_table(table: "Table") -> None:
    """Print *table* in its full width: identities must not be cut."""
    out = console()
    out.width = max(out.width, out.measure(table, options=_wide(out)).maximum)
    out.print(table, crop=False)


def _wide(out: "Console") -> "ConsoleOptions":
    return out.options.update(max_width=_WIDEST_TABLE)


def print_line(text: str) -> None:
    """Print one line to stdout, as UTF-8 whatever the locale."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def print_json(document: Json) -> None:
    """Print one JSON document on one line to stdout."""
    print_line(json_text(document))


def print_bytes(value: bytes) -> None:
    """Print exactly *value* to stdout; a terminal gets a newline, too."""
    sys.stdout.buffer.write(value)
    if sys.stdout.isatty() and not value.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def bytes_json(name: str, value: bytes) -> dict[str, Json]:
    """Return `{name: text}`, or `{name_base64: ...}` if *value* is not UTF-8."""
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def value_json(key: bytes, value: "Value") -> dict[str, Json]:
    """Return what a read found."""
    return {
        **bytes_json("key", key),
        "kind": value.kind.value,
        **bytes_json("value", value.value),
        "metadata": value.metadata,
        "version": value.version,
        "expires_at": value.expires_at,
        "hlc": value.hlc,
        "stale": value.stale,
    }


def item_json(item: "Item") -> dict[str, Json]:
    """Return one key of a listing."""
    return {
        **bytes_json("key", item.key),
        "kind": item.kind.value,
        **(bytes_json("value", item.value) if item.value is not None else {}),
        "metadata": item.metadata,
        "version": item.version,
        "expires_at": item.expires_at,
    }


def plain_json(value: object) -> Json:
    """Return a dataclass or named tuple of plain values as JSON would have it."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return {name: plain_json(getattr(value, name)) for name in names}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain_json(each) for name, each in value._asdict().items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_json(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return plain_json(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{type(value).__name__} has no plain form"
    raise TypeError(msg)


def shown(value: bytes, form: KeyForm = KeyForm.TEXT) -> str:
    """Return *value* on one line, control characters and odd bytes escaped."""
    if form is not KeyForm.TEXT:
        return form.text(value)
    text = value.decode("utf-8", "backslashreplace")
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def brief(value: bytes) -> str:
    """Return the beginning of *value* on one line, and how long it is if cut."""
    text = shown(value[: 4 * _LONGEST_TEXT])
    if len(value) <= 4 * _LONGEST_TEXT and len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]}... ({size_text(len(value))})"


def size_text(size_bytes: int) -> str:
    """Return *size_bytes* with a unit, such as "1.5 MiB"."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - the step between units
            return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def span_text(seconds: float) -> str:
    """Return a span of time in one unit, such as "3 hours"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def time_text(seconds: float | None) -> str:
    """Return a time since 1970 as UTC, or "never"."""
    if seconds is None:
        return "never"
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return "after the year 9999"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
