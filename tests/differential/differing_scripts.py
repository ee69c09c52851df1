"""
Scripts of which workerd and kvnode say different things: what each says, exactly.

Whatever is here has its row, with the reason, in docs/workers.md.
"""

from typing import Any, Final, NamedTuple

from tests.differential.fetch_scripts import asked
from tests.differential.script import Calls, Event, Rung, Step, alone


class Difference(NamedTuple):
    """
    A script, and what comes of its last event.

    Attributes:
        name: What differs.
        events: What happens, one after the other.
        theirs: The traces of the last calls in workerd.
        ours: The same here.
    """

    name: str
    events: tuple[Event, ...]
    theirs: list[Any]
    ours: list[Any]


def _echo(method: str, url: str, headers: Any = (), body: str = "") -> list[Any]:  # noqa: ANN401 -- pairs
    """Return what comes of a request that is told back."""
    seen = [method, url, list(headers), body]
    return [200, True, [["content-type", "application/json"]], False, seen, True]


def _steps(name: str, *steps: tuple[Step, Any, Any]) -> Difference:
    """Return a difference in one call: its steps, and what they give there and here."""
    return Difference(
        name,
        alone(*(step for step, _, _ in steps)),
        [[theirs for _, theirs, _ in steps]],
        [[ours for _, _, ours in steps]],
    )


_LONG_KEY: Final = {"$text": ["k", 2049]}
_LONG_TEXT: Final = {"$text": ["v", 140_000]}
_MANY: Final = [f"k{number:03}" for number in range(129)]
_ALARM_IN_TRANSACTION: Final[Step] = [
    "transaction",
    [["of storage", ["setAlarm", 100_000]], ["of storage", ["deleteAlarm"]]],
]
_INSERT: Final[Step] = ["sql", "INSERT INTO t VALUES (1)"]
_WRONG_LENGTH: Final = {"content-length": "5"}
_TEXT: Final = ["content-type", "text/plain;charset=UTF-8"]
_READ_EMPTY: Final[list[Any]] = [False, {"$bytes": []}, True]
_ROWS: Final[Step] = ["rows", "SELECT count(*) AS n FROM t"]

DIFFERENCES: Final = (
    Difference(
        "a task of the object goes on while storage is awaited",
        (
            Calls(
                [
                    [["wait", "x"], ["note", "a"]],
                    [["open", "x"], ["note", "b1"], ["get", "k"], ["note", "b2"]],
                ]
            ),
            Calls([[["notes"]]]),
        ),
        [[["b1", "a", "b2"]]],
        [[["b1", "b2", "a"]]],
    ),
    Difference(
        "the alarm that is tried again is told as the next, not as the one before",
        (
            Calls([[["put", "$alarm", [["throw", "no"]]], ["setAlarm", 0]]]),
            Rung(1),
            Calls([[["sleep", 100], ["alarm is ahead"]]]),
        ),
        [[None, False]],
        [[None, True]],
    ),
    Difference(
        "all is deleted at once, whatever comes after",
        (
            Calls([[["sql", "CREATE TABLE t (x)"], ["put", "a", 1]]]),
            Calls([[["deleteAll"], ["abort", "enough"]]]),
            Calls([[["sql", "SELECT * FROM t"], ["list"]]]),
        ),
        [["error", []]],
        [[[["x"], []], [["a", 1]]]],
    ),
    _steps(
        "alarms cannot be set in a transaction",
        (_ALARM_IN_TRANSACTION, [None, None], ["error", "error"]),
    ),
    _steps(
        "a transaction cannot be in another",
        (
            [
                "transaction",
                [["put", "a", 1], ["transaction", [["put", "b", 1], ["rollback"]]]],
            ],
            [None, [None, None]],
            [None, "error"],
        ),
        (["list"], [["a", 1]], [["a", 1]]),
    ),
    _steps(
        "what follows a rollback in a transaction is not stored either",
        (["sql", "CREATE TABLE t (x)"], [[], []], [[], []]),
        (
            [
                "transaction",
                [["rollback"], _INSERT, ["of storage", ["put", "a", 1]]],
            ],
            [None, [[], []], None],
            [None, [[], []], "error"],
        ),
        (_ROWS, [{"n": 1}], [{"n": 0}]),
    ),
    _steps(
        "keys are not empty",
        (["put", "", 1], None, "error"),
        (["get", ""], 1, "error"),
    ),
    _steps(
        "limits of keys and values are kept",
        (["put", _LONG_KEY, 1], None, "error"),
        (["put", "v", _LONG_TEXT], None, "error"),
        (["put", dict.fromkeys(_MANY, 1)], None, "error"),
        (["get", _MANY[:2]], [["k000", 1], ["k001", 1]], []),
        (["delete", _MANY], 129, "error"),
    ),
    _steps(
        "values are nested less deeply",
        (["put", "a", {"$nested": 70}], None, "error"),
    ),
    _steps(
        "there is no undefined beside null",
        (["put", "a", {"$nothing": 1}], "error", None),
    ),
    _steps(
        "half a character is no text",
        (["put", "a", "\ud800"], None, "error"),
    ),
    _steps(
        "integers are exact",
        (["put", "a", 2**53 + 1], None, None),
        (["get", "a"], 2**53, 2**53 + 1),
        (
            ["sql", f"SELECT {2**53 + 1} AS n"],
            [["n"], [[2**53]]],
            [["n"], [[2**53 + 1]]],
        ),
    ),
    _steps(
        "integers and booleans are bound as such",
        (
            ["sql", "SELECT typeof(?) AS x", 3],
            [["x"], [["real"]]],
            [["x"], [["integer"]]],
        ),
        (["sql", "SELECT ? AS x", True], [["x"], [["true"]]], [["x"], [[1]]]),
        (["sql", "SELECT ? AS x", {"$int": "5"}], "error", [["x"], [[5]]]),
        (["sql", "SELECT ? AS x", [1]], [["x"], [["1"]]], "error"),
    ),
    _steps(
        "several statements happen together",
        (["sql", "CREATE TABLE t (x PRIMARY KEY)"], [[], []], [[], []]),
        (
            ["sql", "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)"],
            "error",
            "error",
        ),
        (_ROWS, [{"n": 1}], [{"n": 0}]),
    ),
    _steps(
        "rows of indexes are not counted as written",
        (["sql", "CREATE TABLE t (x PRIMARY KEY)"], [[], []], [[], []]),
        (["written", "INSERT INTO t VALUES (1)"], 2, 1),
    ),
    _steps(
        "more of SQLite may be asked for",
        (["sql", "PRAGMA user_version"], "error", [["user_version"], [[0]]]),
        (["sql", "SELECT sqlite_version() > '3' AS x"], "error", [["x"], [[1]]]),
    ),
    _steps(
        "unknown options are refused",
        (["list", {"start_after": "a"}], [], "error"),
        (["list", {"limit": 1.5}], [], "error"),
        (asked("/a", odd=1), _echo("GET", "http://it/a"), "error"),
    ),
    _steps(
        "redirects are not followed",
        (
            asked("/move"),
            _echo("GET", "http://else/where"),
            [307, False, [["location", "http://else/where"]], *_READ_EMPTY],
        ),
    ),
    _steps(
        "URLs are taken as they are",
        (asked("/a b"), _echo("GET", "http://it/a%20b"), "error"),
        (
            asked("/ü/../b"),
            _echo("GET", "http://it/b"),
            _echo("GET", "http://it/ü/../b"),
        ),
    ),
    _steps(
        "any method of HTTP is passed on",
        (asked("/a", method="FOO"), "error", _echo("FOO", "http://it/a")),
    ),
    _steps(
        "the length of a body is what it is",
        (
            asked("/a", method="POST", body="x", headers=_WRONG_LENGTH),
            _echo("POST", "http://it/a", [["content-length", "5"], _TEXT], "x"),
            _echo("POST", "http://it/a", [["content-length", "1"], _TEXT], "x"),
        ),
    ),
)
