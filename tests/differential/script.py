"""
What a script is: calls of an object, each a list of steps, and what comes of them.

Steps are JSON, so that interpreters in two languages can do them: interpreter.py and
interpreter.js.  Calls of one event begin in their order, and are under way together.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Step: TypeAlias = list[Any]
"""The name of a step, and its arguments."""


class Calls(NamedTuple):
    """
    Calls of an object that begin one after the other, and then run together.

    Attributes:
        scripts: The steps of each.
    """

    scripts: list[list[Step]]


class Rung(NamedTuple):
    """
    Wait until the object's alarm has run so many times, since it is in memory.

    Attributes:
        times: How many.
    """

    times: int


Event: TypeAlias = Calls | Rung


class Script(NamedTuple):
    """
    Something to do with one object, which has nothing before.

    Attributes:
        name: What it shows; a sentence.
        events: What happens, one after the other.
    """

    name: str
    events: tuple[Event, ...]


def alone(*steps: Step) -> tuple[Event, ...]:
    """Return one call, alone."""
    return (Calls([[*steps]]),)


class Side(Protocol):
    """Something that runs scripts."""

    async def at_once(self, name: str, scripts: Sequence[list[Step]]) -> list[Any]:
        """Begin calls of an object in order; return the traces, or `raised` for one."""


def normal(value: Any) -> Any:  # noqa: ANN401 -- anything that JSON can say
    """Return *value* with what two languages write differently written the same."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case {"$set": held}:
            return {"$set": sorted(map(json.dumps, map(normal, held)))}
        case dict():
            return {key: normal(each) for key, each in sorted(value.items())}
        case list() | tuple():
            return [normal(each) for each in value]
        case _:
            return value
