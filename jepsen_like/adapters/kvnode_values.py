"""
How kvnode holds the values of histories, and how its answers read there.

Values are stored as JSON.  A version is the entry's timestamp and then the
store's own text, so that the order of versions as texts is the order in which
the store ranks them (R1).
"""

import json

from jepsen_like.history.operation import Key, Value
from jepsen_like.system import Answer
from kvnode.client import Change, WriteResult
from kvnode.client import Value as Stored
from kvnode.types import HlcTimestamp

HLC_DIGITS = 20
"""A timestamp has 64 bits, so at most 20 digits."""


def encode(value: Value) -> bytes:
    """Return *value* as it is stored."""
    return json.dumps(value, separators=(",", ":")).encode()


def decode(stored: bytes) -> Value:
    """
    Return the value that was stored as *stored*, objects as pairs in order.

    Raises:
        ValueError: It is no JSON.
    """
    return _frozen(json.loads(stored))


def _frozen(document: object) -> Value:
    if isinstance(document, list):
        return tuple(map(_frozen, document))
    if isinstance(document, dict):
        return tuple((name, _frozen(document[name])) for name in sorted(document))
    if document is None or isinstance(document, bool | int | float | str):
        return document
    msg = f"{document!r} is no value of a history"
    raise ValueError(msg)


def ranked(hlc: HlcTimestamp, version: str) -> str:
    """
    Return a version as histories have it: in the order in which the store ranks.

    Of two writes with one timestamp, that of the larger replica wins (R1).
    """
    seq, _, replica = version.partition("@")
    return f"{hlc:0{HLC_DIGITS}d}-{replica}-{seq}"


def answer(found: Stored | None) -> Answer:
    """Return the answer of a read."""
    if found is None:
        return Answer()
    return Answer(decode(found.value), ranked(found.hlc, found.version))


def written(result: WriteResult) -> Answer:
    """Return the answer of a write: its version, if it was applied."""
    version = ranked(result.hlc, result.version) if result.applied else ""
    return Answer(version=version)


def change_of(change: Change) -> Value:
    """Return a step of a watch as (key, value, version)."""
    value, version = answer(change.value)
    return change.key.decode(), value, version


def micro_operation(step: Value) -> tuple[str, Key, Value]:
    """
    Return a checked step of a transaction.

    Raises:
        ValueError: It is none.
    """
    match step:
        case ("r" | "w" as f, str() | int() as key, value):
            return f, key, value
        case _:
            msg = f"a step is ('r' or 'w', key, value), not {step!r}"
            raise ValueError(msg)


def member_order(member: Value) -> tuple[str, float, str]:
    """Return a key to sort members by: numbers among numbers, texts among texts."""
    if isinstance(member, int | float):
        return "number", member, ""
    return type(member).__name__, 0, str(member)


def wrong(argument: Value, f: str) -> ValueError:
    """Return the error that says that *f* takes no such argument."""
    return ValueError(f"{f} takes no argument like {argument!r}")
