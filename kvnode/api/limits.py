"""
Checking requests: everything that can be judged without looking at the store.

Every message names the limit and what was found, because the caller sees
nothing else.
"""

import json

from kvnode.core.node.commands import Replicas
from kvnode.core.versions.version import NEVER
from kvnode.errors import InvalidArgumentError
from kvnode.limits import (
    COUNTER_ABS_MAX,
    DOCUMENT_BYTES_MAX,
    KEY_BYTES_MAX,
    LIST_PAGE_MAX,
    METADATA_BYTES_MAX,
    NAMESPACE_CHARS_MAX,
    SET_MEMBER_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis, Namespace

_NAMESPACE_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)
_FAR_FUTURE = 1 << 48
"""Milliseconds: the year 10,889, and the most a timestamp's 48 bits hold."""

DEADLINE_MILLIS_DEFAULT = 5000
DEADLINE_MILLIS_MAX = 3_600_000
REPLICAS_MAX = 1000


def checked_key(namespace: str, key: bytes) -> EntryKey:
    """Return the place of *key*; an empty namespace is the default one."""
    if not key:
        msg = "the key is empty; a key has 1 to 512 bytes"
        raise InvalidArgumentError(msg)
    if len(key) > KEY_BYTES_MAX:
        msg = f"the key has {len(key)} bytes; at most {KEY_BYTES_MAX} are allowed"
        raise InvalidArgumentError(msg)
    return EntryKey(Namespace(namespace or DEFAULT_NAMESPACE), key)


def checked_namespace(name: str) -> Namespace:
    """Return *name* if a user may create or delete that namespace."""
    if not 1 <= len(name) <= NAMESPACE_CHARS_MAX or set(name) - _NAMESPACE_CHARACTERS:
        shown = name[: NAMESPACE_CHARS_MAX + 1]
        msg = (
            f"{shown!r} cannot name a namespace: use 1 to {NAMESPACE_CHARS_MAX}"
            " characters of a-z A-Z 0-9 . _ -"
        )
        raise InvalidArgumentError(msg)
    if name.startswith("_"):
        msg = f"namespace {name!r}: names that start with _ are kvnode's own"
        raise InvalidArgumentError(msg)
    return Namespace(name)


def checked_value(value: bytes) -> bytes:
    """Return *value* if it is not too large."""
    if len(value) > VALUE_BYTES_MAX:
        msg = f"the value has {len(value)} bytes; at most {VALUE_BYTES_MAX} are allowed"
        raise InvalidArgumentError(msg)
    return value


def checked_metadata(metadata: str) -> str:
    """Return *metadata* if it is JSON and not too large; empty means none."""
    if not metadata:
        return metadata
    size = len(metadata.encode())
    if size > METADATA_BYTES_MAX:
        msg = f"the metadata has {size} bytes; at most {METADATA_BYTES_MAX} are allowed"
        raise InvalidArgumentError(msg)
    try:
        json.loads(metadata, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        msg = f"the metadata is not JSON: {error}"
        raise InvalidArgumentError(msg) from error
    return metadata


def no_constant(name: str) -> None:
    """
    Refuse what Python takes for JSON and nobody else does; for `json.loads`.

    Raises:
        ValueError: Always.
    """
    msg = f"{name} is no JSON value"
    raise ValueError(msg)


def checked_deadline(ttl_ms: int, expires_at_ms: int, now: Millis) -> Millis:
    """Return the absolute deadline that a put asks for, or NEVER."""
    if ttl_ms and expires_at_ms:
        msg = "give ttl_ms or expires_at_ms, not both"
        raise InvalidArgumentError(msg)
    if not ttl_ms and not expires_at_ms:
        return NEVER
    deadline = now + ttl_ms if ttl_ms else expires_at_ms
    if deadline <= now:
        msg = f"expires_at_ms {expires_at_ms} is not after now, which is {now}"
        raise InvalidArgumentError(msg)
    if deadline >= _FAR_FUTURE:
        msg = f"the deadline {deadline} is at or beyond {_FAR_FUTURE} ms since 1970"
        raise InvalidArgumentError(msg)
    return Millis(deadline)


def checked_page_size(limit: int) -> int:
    """Return how many items a page may have; 0 asks for the most."""
    if limit > LIST_PAGE_MAX:
        msg = f"limit is {limit}; a page has at most {LIST_PAGE_MAX} items"
        raise InvalidArgumentError(msg)
    return limit or LIST_PAGE_MAX


def checked_prefix(prefix: bytes, what: str = "prefix") -> bytes:
    """Return *prefix* if any key could have it."""
    if len(prefix) > KEY_BYTES_MAX:
        msg = f"the {what} has {len(prefix)} bytes; keys have at most {KEY_BYTES_MAX}"
        raise InvalidArgumentError(msg)
    return prefix


def checked_amount(amount: int) -> int:
    """Return a counter's change if it is not too large."""
    if abs(amount) > COUNTER_ABS_MAX:
        msg = f"the change is {amount}; at most {COUNTER_ABS_MAX} either way is allowed"
        raise InvalidArgumentError(msg)
    return amount


def checked_members(members: list[bytes]) -> tuple[bytes, ...]:
    """Return set members if none is empty or too large."""
    for member in members:
        if not 1 <= len(member) <= SET_MEMBER_BYTES_MAX:
            msg = (
                f"a set member has {len(member)} bytes;"
                f" 1 to {SET_MEMBER_BYTES_MAX} are allowed"
            )
            raise InvalidArgumentError(msg)
    return tuple(members)


def checked_update(update: bytes) -> bytes:
    """Return a document update if it is not too large."""
    if len(update) > DOCUMENT_BYTES_MAX:
        msg = (
            f"the document update has {len(update)} bytes;"
            f" at most {DOCUMENT_BYTES_MAX} are allowed"
        )
        raise InvalidArgumentError(msg)
    return update


def checked_patience(deadline_ms: int) -> Millis:
    """Return how long a request may wait at the node."""
    if deadline_ms > DEADLINE_MILLIS_MAX:
        msg = f"deadline_ms is {deadline_ms}; at most {DEADLINE_MILLIS_MAX} is allowed"
        raise InvalidArgumentError(msg)
    return Millis(deadline_ms or DEADLINE_MILLIS_DEFAULT)


def checked_replicas(w: int, *, each_region: bool, patience: Millis) -> Replicas:
    """Return what a write waits for before its reply."""
    if w > REPLICAS_MAX:
        msg = f"w is {w}; at most {REPLICAS_MAX} is allowed"
        raise InvalidArgumentError(msg)
    if w > 1 and each_region:
        msg = "give w or w_each_region, not both"
        raise InvalidArgumentError(msg)
    return Replicas(max(w, 1), each_region, patience)
