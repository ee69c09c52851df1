"""Values of scripts as JSON can say them: what it lacks is an object with a `$` tag."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

LONG_TEXT: Final = 1000
"""Longer ones are written as their first letter and their length."""


def _nested(depth: int) -> list[Any]:
    inside: list[Any] = []
    for _ in range(depth - 1):
        inside = [inside]
    return inside


_MEANINGS: Final[dict[str, Callable[[Any], Any]]] = {
    "$bytes": bytes,
    "$date": lambda millis: datetime.fromtimestamp(millis / 1000, UTC),
    "$set": set,
    "$float": float,
    "$int": int,
    "$text": lambda held: held[0] * held[1],
    "$nothing": lambda _: None,
    "$nested": _nested,
}


def from_wire(value: Any) -> Any:  # noqa: ANN401 -- anything that JSON can say
    """Return what an argument of a step means."""
    match value:
        case dict():
            tag, held = next(iter(value.items()), ("", None))
            if tag in _MEANINGS:
                return _MEANINGS[tag](held)
            return {key: from_wire(each) for key, each in value.items()}
        case list():
            return [from_wire(each) for each in value]
        case _:
            return value


def to_wire(value: Any) -> Any:  # noqa: ANN401 -- the same
    """Return what came of a step, as JSON can say it."""
    match value:
        case dict():
            return {key: to_wire(each) for key, each in value.items()}
        case list() | tuple():
            return [to_wire(each) for each in value]
        case _:
            return _tagged(value)


def _tagged(value: Any) -> Any:  # noqa: ANN401 -- the same
    match value:
        case str() if len(value) > LONG_TEXT:
            return {"$text": [value[0], len(value)]}
        case float() if not math.isfinite(value):
            name = str(value).replace("inf", "Infinity").replace("nan", "NaN")
            return {"$float": name}
        case bytes():
            return {"$bytes": list(value)}
        case datetime():
            return {"$date": round(value.timestamp() * 1000)}
        case set():
            return {"$set": [to_wire(each) for each in value]}
        case _:
            return value
