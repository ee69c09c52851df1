"""
The small cases of session guarantees and causality among the public histories.

    {"name": ..., "ops": [[process, "w" or "r", key, value], ...],
     "violates": [...], "ok_for": [...]}

or, with `"txn": true`, operations `[process, [["r", key, value], ...]]`.  Null is
what a key holds in the beginning.  Each operation is over before the next begins.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jepsen_like.history import Header, History, Operation, Outcome


class SessionCase(NamedTuple):
    """
    One case.

    Attributes:
        name: What it shows.
        history: What was seen.
        violates: What it breaks, by the names that the file uses.
        satisfies: What it is said to keep, by the same.
    """

    name: str
    history: History
    violates: frozenset[str]
    satisfies: frozenset[str]


def read_cases(path: Path) -> list[SessionCase]:
    """Return the cases in the file at *path*."""
    document = json.loads(path.read_text("utf-8"))
    return [_case(case) for case in document["cases"]]


def _case(case: dict[str, Any]) -> SessionCase:
    operations = [
        _operation(told, position) for position, told in enumerate(case["ops"])
    ]
    return SessionCase(
        case["name"],
        History.of(operations, header=Header(timed=False)),
        frozenset(case["violates"]),
        frozenset(case.get("ok_for", ())),
    )


def _operation(told: list[Any], position: int) -> Operation:
    times = (2 * position, 2 * position + 1)
    match told:
        case [process, list(micro)]:
            done = tuple((f, key, value) for f, key, value in micro)
            asked = tuple((f, k, None if f == "r" else v) for f, k, v in done)
            return Operation(process, "txn", None, asked, done, *times, Outcome.OK)
        case [process, "w", key, value]:
            return Operation(process, "write", key, value, None, *times, Outcome.OK)
        case [process, "r", key, value]:
            return Operation(process, "read", key, None, value, *times, Outcome.OK)
        case _:
            msg = f"no operation of a case: {told}"
            raise ValueError(msg)
