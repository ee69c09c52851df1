"""
Checks of arguments, where they save a round trip and cannot disagree.

Only what follows from kvnode.limits and from Python's types is checked here; all
else, such as which namespaces there are, is for the node to say.
"""

import json

from kvnode._pb import kv_pb2
from kvnode.client.values import JsonValue, Key
from kvnode.errors import InvalidArgumentError
from kvnode.limits import (
    COUNTER_ABS_MAX,
    KEY_BYTES_MAX,
    LIST_PAGE_MAX,
    METADATA_BYTES_MAX,
    SET_MEMBER_BYTES_MAX,
    VALUE_BYTES_MAX,
)

_UINT32_MAX = 2**32 - 1
_UINT64_MAX = 2**64 - 1


def key_bytes(key: Key) -> bytes:
    """
    Return *key* as it is stored, 1 to 512 bytes.

    Raises:
        InvalidArgumentError: It is empty, too long, or neither str nor bytes.
    """
    encoded = key if type(key) is bytes else _encoded(key, "key")
    if not 0 < len(encoded) <= KEY_BYTES_MAX:
        msg = f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(encoded)}"
        raise InvalidArgumentError(msg)
    return encoded


def prefix_bytes(prefix: Key) -> bytes:
    """
    Return *prefix* as bytes, 0 to 512 of them.

    Raises:
        InvalidArgumentError: It is too long, or neither str nor bytes.
    """
    encoded = _encoded(prefix, "prefix")
    if len(encoded) > KEY_BYTES_MAX:
        msg = f"a prefix has at most {KEY_BYTES_MAX} bytes, not {len(encoded)}"
        raise InvalidArgumentError(msg)
    return encoded


def member_bytes(member: Key) -> bytes:
    """
    Return a member of a set as bytes, 1 to 512 of them.

    Raises:
        InvalidArgumentError: It is empty, too long, or neither str nor bytes.
    """
    encoded = _encoded(member, "member")
    if not 0 < len(encoded) <= SET_MEMBER_BYTES_MAX:
        msg = (
            f"a member of a set has 1 to {SET_MEMBER_BYTES_MAX} bytes,"
            f" not {len(encoded)}"
        )
        raise InvalidArgumentError(msg)
    return encoded


def value_bytes(value: bytes | str) -> bytes:
    """
    Return *value* as bytes, at most 25 MiB.

    Raises:
        InvalidArgumentError: It is too long, or neither str nor bytes.
    """
    encoded = _encoded(value, "value")
    if len(encoded) > VALUE_BYTES_MAX:
        msg = (
            f"a value has at most {VALUE_BYTES_MAX} bytes, not {len(encoded)}:"
            " split it over several keys"
        )
        raise InvalidArgumentError(msg)
    return encoded


def metadata_text(metadata: JsonValue) -> str:
    """
    Return *metadata* as JSON text of at most 1,024 bytes; None gives "".

    Raises:
        InvalidArgumentError: It is too long or cannot be put as JSON.
    """
    if metadata is None:
        return ""
    try:
        text = json.dumps(
            metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        size_bytes = len(text.encode())
    except (TypeError, ValueError) as error:
        msg = f"metadata cannot be put as JSON: {error}"
        raise InvalidArgumentError(msg) from error
    if size_bytes > METADATA_BYTES_MAX:
        msg = (
            f"metadata has at most {METADATA_BYTES_MAX} bytes of JSON, not {size_bytes}"
        )
        raise InvalidArgumentError(msg)
    return text


def millis(seconds: float, what: str, *, most: int = _UINT64_MAX) -> int:
    """
    Return *seconds* in whole milliseconds, at least 1, rounded down.

    Raises:
        InvalidArgumentError: Below 1 ms, above *most* ms, or not a number.
    """
    if not 0.001 <= seconds <= most / 1000:  # noqa: PLR2004 - a millisecond
        msg = f"{what} is {seconds} s: it must be 0.001 to {most // 1000} s"
        raise InvalidArgumentError(msg)
    return int(seconds * 1000)


def deadline_seconds(seconds: float) -> float:
    """
    Return *seconds* if a deadline may be so far away.

    Raises:
        InvalidArgumentError: Below 1 ms, above 49 days, or not a number.
    """
    millis(seconds, "deadline", most=_UINT32_MAX)
    return seconds


def set_expiry(
    request: kv_pb2.PutRequest, ttl: float | None, expires_at: float | None
) -> None:
    """
    Set when the written value expires: *ttl* s from now, or at *expires_at*.

    Raises:
        InvalidArgumentError: Both are given, or one is out of range.
    """
    if ttl is not None and expires_at is not None:
        msg = "ttl and expires_at are two ways to say the same: give one of them"
        raise InvalidArgumentError(msg)
    if ttl is not None:
        request.ttl_ms = millis(ttl, "ttl")
    if expires_at is not None:
        request.expires_at_ms = millis(expires_at, "expires_at")


def set_read_options(
    options: kv_pb2.Options, *, stale_ok: bool, max_staleness: float | None
) -> None:
    """
    Say how stale a read may be (S2, S3).

    Raises:
        InvalidArgumentError: *max_staleness* is out of range.
    """
    if stale_ok:
        options.stale_ok = True
    if max_staleness is not None:
        options.max_staleness_ms = millis(
            max_staleness, "max_staleness", most=_UINT32_MAX
        )


def set_write_options(options: kv_pb2.Options, *, w: int, w_each_region: bool) -> None:
    """
    Say who must have a write before its reply (S4).

    Raises:
        InvalidArgumentError: *w* is out of range, or given together with
            *w_each_region*.
    """
    if not 1 <= w <= _UINT32_MAX:
        msg = f"w is {w}: at least one replica, this one, has the write"
        raise InvalidArgumentError(msg)
    if w > 1 and w_each_region:
        msg = "w and w_each_region exclude each other: give one of them"
        raise InvalidArgumentError(msg)
    if w > 1:
        options.w = w
    if w_each_region:
        options.w_each_region = True


def page_limit(limit: int) -> int:
    """
    Return *limit* if a page may be so long.

    Raises:
        InvalidArgumentError: It is not within 1 to 1,000.
    """
    if not 1 <= limit <= LIST_PAGE_MAX:
        msg = f"limit is {limit}: a page has 1 to {LIST_PAGE_MAX} keys"
        raise InvalidArgumentError(msg)
    return limit


def counter_delta(delta: int) -> int:
    """
    Return *delta* if a counter can move by so much.

    Raises:
        InvalidArgumentError: Its absolute value is above 2**62.
    """
    if abs(delta) > COUNTER_ABS_MAX:
        msg = f"a counter moves by at most {COUNTER_ABS_MAX} at once, not {delta}"
        raise InvalidArgumentError(msg)
    return delta


def _encoded(text: str | bytes, what: str) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        msg = f"a {what} is str or bytes, not {type(text).__name__}"
        raise InvalidArgumentError(msg)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        msg = f"a {what} given as str must have a UTF-8 form: {error}"
        raise InvalidArgumentError(msg) from error
