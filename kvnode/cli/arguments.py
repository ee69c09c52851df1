"""Text from the command line to values; what is wrong is said in usage errors."""

import base64
import binascii
import json
import os
import re
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from kvnode.client import JsonValue

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|)", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class KeyForm(Enum):
    """How keys are written on the command line and in plain output."""

    TEXT = "text"
    HEX = "hex"
    BASE64 = "base64"

    @classmethod
    def chosen(cls, *, in_hex: bool, in_base64: bool) -> "KeyForm":
        """
        Return the form that the options choose.

        Raises:
            typer.BadParameter: Both are given.
        """
        if in_hex and in_base64:
            msg = "--hex and --base64 exclude each other: give one of them"
            raise typer.BadParameter(msg)
        return cls.HEX if in_hex else cls.BASE64 if in_base64 else cls.TEXT

    def key(self, text: str) -> bytes:
        """
        Return the key that *text* stands for.

        Raises:
            typer.BadParameter: *text* is not of this form.
        """
        match self:
            case KeyForm.TEXT:
                return os.fsencode(text)  # the very bytes that the shell gave
            case KeyForm.HEX:
                try:
                    return bytes.fromhex(text)
                except ValueError:
                    msg = f"{text!r} is not hex: give an even number of 0-9 a-f"
                    raise typer.BadParameter(msg) from None
            case KeyForm.BASE64:
                return base64_bytes(text)

    def text(self, key: bytes) -> str:
        """Return *key* in this form."""
        match self:
            case KeyForm.TEXT:
                return os.fsdecode(key)
            case KeyForm.HEX:
                return key.hex()
            case KeyForm.BASE64:
                return base64.b64encode(key).decode()


def base64_bytes(text: str) -> bytes:
    """
    Return the bytes of standard base64, padded.

    Raises:
        typer.BadParameter: *text* is something else.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        msg = f"{text!r} is not base64"
        raise typer.BadParameter(msg) from None


def duration_seconds(text: str) -> float:
    """
    Return the seconds of "250ms", "60s", "5m", "2h", "7d", or of a bare number.

    Raises:
        typer.BadParameter: *text* is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        msg = f"{text!r} is no span of time: write 250ms, 60s, 5m, 2h or 7d"
        raise typer.BadParameter(msg)
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def duration_option(text: str, name: str) -> float:
    """
    Return the seconds that the option *name* stands for.

    Raises:
        typer.BadParameter: See `duration_seconds`; it names the option.
    """
    try:
        return duration_seconds(text)
    except typer.BadParameter as error:
        error.param_hint = name
        raise


def time_option(text: str, name: str) -> datetime:
    """
    Return the time that the option *name* stands for.

    Raises:
        typer.BadParameter: It is no time, or one without a zone.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        msg = f"{text!r} is no time with a zone, such as 2024-02-29T12:00:00Z"
        raise typer.BadParameter(msg, param_hint=name)
    return when


def metadata_json(text: str | None) -> "JsonValue":
    """
    Return the value that JSON *text* stands for; None gives None.

    Raises:
        typer.BadParameter: *text* is not JSON.
    """
    if text is None:
        return None
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        msg = f"is not JSON ({error}); text needs quotes of its own: '\"text\"'"
        raise typer.BadParameter(msg, param_hint="--metadata") from None
    return value


def endpoint_list(text: str) -> tuple[str, ...]:
    """
    Split "host:port,host:port", and check each.

    Raises:
        typer.BadParameter: One is not host:port, or there is none.
    """
    from kvnode.address import split_address

    endpoints = tuple(part.strip() for part in text.split(",") if part.strip())
    for endpoint in endpoints:
        try:
            split_address(endpoint)
        except ValueError as error:
            msg = f"{endpoint!r} {error}"
            raise typer.BadParameter(msg) from None
    if not endpoints:
        msg = "is empty: give host:port of at least one node"
        raise typer.BadParameter(msg)
    return endpoints
