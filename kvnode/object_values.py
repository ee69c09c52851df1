"""
What an object stores and passes on, as bytes: CBOR (RFC 8949).

    None, bool, int, float, str, bytes, list, dict, set, datetime with a time zone

Tuples come back as lists.  What comes back is always a new value: changing it does
not change what is stored.
"""

from datetime import datetime
from typing import Final, Never

import cbor2

from kvnode.errors import CorruptRecordError, InvalidArgumentError

VALUE_BYTES_MAX: Final = 128 * 1024  # as in a Durable Object
DEPTH_MAX: Final = 64  # deeper is a mistake, and a recursion that ends badly

DECODED_DEPTH_MAX: Final = 2 * DEPTH_MAX
"""A tag counts as well, and what wraps a value."""

Value = object
"""Any of the above."""

PLAIN_TYPES: Final = frozenset({type(None), bool, int, float, str, bytes})
"""Types of which every value can be stored, and none can be changed."""


def encode_value(
    value: Value, subject: str, *names: object, bytes_max: int = VALUE_BYTES_MAX
) -> bytes:
    """
    Return *value* as bytes; the inverse of `decode_value`.

    Args:
        value: What to encode.
        subject: What it is, for the error; with % for each of *names*.
        *names: Put in there, should it come to an error.
        bytes_max: How long it may be.

    Raises:
        InvalidArgumentError: It is too large, or of a type that cannot be stored.
    """
    if type(value) not in PLAIN_TYPES:
        _check(value, _with_names(subject, names), DEPTH_MAX)
    try:
        data = cbor2.dumps(value)
    except UnicodeEncodeError as error:
        msg = f"{_with_names(subject, names)} holds text that is none: {error}"
        raise InvalidArgumentError(msg) from error
    if len(data) > bytes_max:
        whole = _with_names(subject, names)
        msg = f"{whole} takes {len(data)} bytes; at most {bytes_max} are allowed"
        raise InvalidArgumentError(msg)
    return data


def decode_value(data: bytes) -> Value:
    """
    Return the value of *data*.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    try:
        found: Value = cbor2.loads(
            data,
            max_depth=DECODED_DEPTH_MAX,
            semantic_decoders=_REFUSED,
            tag_hook=_refuse,
        )
    except (cbor2.CBORDecodeError, ValueError) as error:
        msg = f"a stored value of {len(data)} bytes is damaged: {error}"
        raise CorruptRecordError(msg) from error
    return found


def _with_names(subject: str, names: tuple[object, ...]) -> str:
    return subject % names if names else subject


def _refuse(*_: object) -> Never:
    msg = "it holds a tag that no value has"
    raise ValueError(msg)


# What cbor2 would make something else of: shared references above all, with which few
# bytes say more than any machine can hold.
_REFUSED = dict.fromkeys(
    (4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 260, 261, 1004, 43000, 55799), _refuse
)


def _check(value: Value, subject: str, depth: int) -> None:
    """Refuse what would come back as something else, or not at all."""
    if depth == 0:
        msg = f"{subject} is nested more than {DEPTH_MAX} deep"
        raise InvalidArgumentError(msg)
    match value:
        case None | bool() | int() | float() | str() | bytes():
            pass
        case datetime():
            if value.tzinfo is None:
                msg = f"{subject} holds a datetime without a time zone: give it one"
                raise InvalidArgumentError(msg)
        case list() | tuple() | set() | frozenset():
            for each in value:
                _check(each, subject, depth - 1)
        case dict():
            for key, each in value.items():
                _check(key, subject, depth - 1)
                _check(each, subject, depth - 1)
        case _:
            msg = (
                f"{subject} holds a {type(value).__name__}; None, bool, int, float,"
                " str, bytes, list, dict, set and datetime can be stored"
            )
            raise InvalidArgumentError(msg)
