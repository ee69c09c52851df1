"""
Values of objects on the command line: text or JSON in, text or JSON out.

What JSON cannot say is written in its nearest form: times as ISO 8601, sets as lists,
bytes within a value as `{"base64": ...}`, keys that are no text as the text of their
JSON, and numbers that are none as text.
"""

import base64
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from kvnode.cli.output import Json, bytes_json, json_text, print_bytes, print_line

if TYPE_CHECKING:
    from kvnode.object_values import Value


def value_of(text: str, *, as_json: bool, hint: str) -> "Value":
    """
    Return what *text* stands for: itself, or the value that it says in JSON.

    Raises:
        typer.BadParameter: It is not JSON; names *hint*.
    """
    if not as_json:
        return text
    try:
        value: Value = json.loads(text)
    except ValueError as error:
        msg = (
            f"{text!r} is not JSON ({error}); text needs quotes of its own: '\"text\"'"
        )
        raise typer.BadParameter(msg, param_hint=hint) from None
    return value


def print_value(value: "Value") -> None:
    """Print a value: text and bytes as they are, all else as a line of JSON."""
    match value:
        case bytes():
            print_bytes(value)
        case str():
            print_bytes(value.encode())
        case _:
            print_line(json_text(near_json(value)))


def named_json(name: str, value: "Value") -> dict[str, Json]:
    """Return a value under its name, by the rules of all JSON that is printed."""
    if isinstance(value, bytes):
        return bytes_json(name, value)
    return {name: near_json(value)}


def near_json(value: "Value") -> Json:
    """Return what comes nearest to a value in JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {_key(key): near_json(each) for key, each in value.items()}
        case list() | tuple():
            return [near_json(each) for each in value]
        case set() | frozenset():
            return sorted(map(near_json, value), key=json_text)
        case _:
            return _said(value)


def _said(value: "Value") -> Json:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    assert isinstance(value, datetime), f"no object stores a {type(value).__name__}"
    return value.isoformat()


def _key(key: "Value") -> str:
    return key if isinstance(key, str) else json_text(near_json(key))
