"""The atoms of EDN: numbers, text, characters, keywords and symbols."""

import re
from typing import Final

from jepsen_like.history.operation import Scalar

_WHOLE: Final = re.compile(r"[+-]?\d+N?", re.ASCII)
_FRACTION: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?M?", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"} | {
    each: each for each in "\"\\'/"
}
_CHARACTERS: Final = {
    "newline": "\n",
    "space": " ",
    "tab": "\t",
    "return": "\r",
    "backspace": "\b",
    "formfeed": "\f",
}
_SPECIAL: Final = {
    "##Inf": float("inf"),
    "##-Inf": float("-inf"),
    "##NaN": float("nan"),
}
_DIGITS_MAX: Final = 4000
"""Of a whole number; Python refuses to read slightly more."""


class NotAnAtomError(ValueError):
    """The token is nothing that EDN knows; the message says what is wrong."""


def atom(token: str) -> Scalar:
    """
    Return what *token*, which is no bracket, stands for.

    Raises:
        NotAnAtomError: It stands for nothing.
    """
    first = token[0]
    if first == ":":
        return token[1:]
    if first == '"':
        return _text(token)
    if first == "\\":
        return _character(token[1:])
    if first.isdecimal() or (first in "+-" and token[1:2].isdecimal()):
        return _number(token)
    return _SPECIAL.get(token, token)


def _text(token: str) -> str:
    if "\\" not in token and token.endswith('"') and len(token) > 1:
        return token[1:-1]
    # A quote at the end that is escaped does not close the text.
    closed = re.fullmatch(r'"(?:[^"\\]|\\.)*"', token, re.DOTALL)
    if closed is None:
        msg = f"text that begins {token[:30]} has no closing quote"
        raise NotAnAtomError(msg)
    return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code: str = match[1]
    if code[0] == "u" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0].isdecimal():
        return chr(int(code, 8))
    if code not in _ESCAPED:
        msg = f"text has no escape \\{code}"
        raise NotAnAtomError(msg)
    return _ESCAPED[code]


def _character(name: str) -> str:
    if len(name) == 1:
        return name
    if re.fullmatch("u[0-9a-fA-F]{4}", name):
        return chr(int(name[1:], 16))
    if name not in _CHARACTERS:
        msg = f"there is no character \\{name[:30]}"
        raise NotAnAtomError(msg)
    return _CHARACTERS[name]


def _number(token: str) -> int | float:
    if _WHOLE.fullmatch(token) and len(token) <= _DIGITS_MAX:
        return int(token.rstrip("N"))
    if _FRACTION.fullmatch(token):
        return float(token.rstrip("M"))
    msg = f"{token[:30]!r} is not a number"
    raise NotAnAtomError(msg)
