"""
Values of objects on the command line: text or JSON in, text or JSON out.

What JSON cannot say is read and written as in kvnode.object_json.
"""

import json
from typing import TYPE_CHECKING

import typer

from kvnode.cli.output import bytes_json, print_bytes, print_line
from kvnode.errors import InvalidArgumentError
from kvnode.object_json import Json, from_json, json_text, near_json

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
        return from_json(json.loads(text), hint)
    except InvalidArgumentError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None
    except ValueError as error:
        msg = (
            f"{text!r} is not JSON ({error}); text needs quotes of its own: '\"text\"'"
        )
        raise typer.BadParameter(msg, param_hint=hint) from None


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
