"""
Values of objects in JSON, for people and programs that have nothing else.

What JSON cannot say is written in its nearest form:

    bytes               {"base64": "aGk="}      and back
    a time              "2024-02-29T12:00:00+00:00", text from then on
    a set               a list, sorted
    a number that is none, such as infinity     its name, as text
    a key that is no text                       the text of its JSON

So bytes, and only they, come back as what they were.  A map whose only key is `base64`
and holds text means bytes wherever it is read; it has to be given another key beside it
if it is to be a map.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import DEPTH_MAX, Value

BASE64: Final = "base64"

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def json_text(document: Json) -> str:
    """Return *document* as JSON on one line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def near_json(value: Value) -> Json:
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


def from_json(document: Any, subject: str, *, depth: int = DEPTH_MAX) -> Value:  # noqa: ANN401 -- what `json` has read
    """
    Return the value that *document* stands for.

    Args:
        document: As `json` reads it.
        subject: What it is, for the error.
        depth: How deep it may be nested.

    Raises:
        InvalidArgumentError: It is nested deeper, or what should be bytes is no base64.
    """
    if depth == 0:
        msg = f"{subject} is nested more than {DEPTH_MAX} deep"
        raise InvalidArgumentError(msg)
    match document:
        case {"base64": str(text)} if len(document) == 1:
            return _bytes(text, subject)
        case dict():
            return {
                key: from_json(each, subject, depth=depth - 1)
                for key, each in document.items()
            }
        case list():
            return [from_json(each, subject, depth=depth - 1) for each in document]
        case _:
            found: Value = document
            return found


def _bytes(text: str, subject: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = (
            f'{subject} holds {{"{BASE64}": ...}}, which stands for bytes, and what it'
            f" says is no base64: {error}"
        )
        raise InvalidArgumentError(msg) from error


def _said(value: Value) -> Json:
    if isinstance(value, bytes):
        return {BASE64: base64.b64encode(value).decode()}
    assert isinstance(value, datetime), f"no object stores a {type(value).__name__}"
    return value.isoformat()


def _key(key: Value) -> str:
    return key if isinstance(key, str) else json_text(near_json(key))
