"""Scripts about requests that one object sends to another."""

import json
from typing import Any, Final

from tests.differential.script import Calls, Script, Step, alone

OTHER: Final = "another"
_BYTES: Final = {"$bytes": [0, 255]}


def asked(path: str, **options: object) -> Step:
    """Return the step that sends a request."""
    return ["fetch", OTHER, f"http://it{path}", options]


def told(path: str, value: object, **options: object) -> Step:
    """Return the step that sends a request whose body says *value* in JSON."""
    return asked(path, method="POST", body=json.dumps(value), **options)


def answered(body: object, status: int = 200, headers: Any = ()) -> Step:  # noqa: ANN401 -- pairs, or a map
    """Return the step that is answered with a response of these."""
    return told("/answer", [body, status, headers])


FETCHES: Final = (
    Script(
        "a request comes as it was sent",
        alone(
            asked("/a/b?x=1&y=%20z"),
            asked(""),
            asked("?x"),
            asked("/a#fragment"),
            asked("/a", method="POST", body="ü"),
            asked("/a", method="PUT", body=_BYTES),
            asked("/a", method="DELETE"),
            asked("/a", method="PATCH", body=""),
            asked("/a", method="put"),
            asked("/a", method="patch"),
            asked("/a", method="OPTIONS"),
        ),
    ),
    Script(
        "headers of a request come in lower case and in order",
        alone(
            asked("/a", headers={"X-B": "1", "x-a": " 2 ", "accept": "a, b"}),
            asked("/a", headers=[["x-a", "1"], ["X-A", "2"], ["x-b", ""]]),
            asked("/a", method="POST", body="x", headers={"Content-Type": "a/b"}),
            asked("/a", headers={"x-a": 1}),
            asked("/a", headers={"x-a": "ü→"}),
        ),
    ),
    Script(
        "a response comes back as it was made",
        alone(
            answered("text"),
            answered(""),
            answered(None),
            answered(_BYTES),
            answered("x", 201, {"X-Seen": "1", "content-type": "a/b"}),
            answered("x", 404),
            answered("x", 599),
            answered({"$bytes": []}, 205),
            answered(None, 204),
            answered("", 204),
            answered(None, 304, {"etag": '"a"'}),
            answered("x", 200, [["a", "1"], ["A", "2"]]),
            answered("x", 200, [["set-cookie", "a=1, b"], ["Set-Cookie", "c=2"]]),
        ),
    ),
    Script(
        "JSON says what it is, unless something else is said",
        alone(
            told("/json", [{"a": [1, None, "ü"]}, 200, {}]),
            told("/json", [[], 201, {"content-type": "application/problem+json"}]),
        ),
    ),
    Script(
        "a redirect is made by its own name",
        alone(asked("/move", redirect="manual")),
    ),
    Script(
        "an answer to HEAD has no body",
        alone(
            asked("/text", method="HEAD"),
            asked("/move", method="HEAD", redirect="manual"),
        ),
    ),
    Script(
        "what no HTTP could carry is an error",
        alone(
            asked("/a", body="x"),
            asked("/a", method="HEAD", body="x"),
            ["fetch", OTHER, "/relative"],
            ["fetch", OTHER, "nothing"],
            ["fetch", OTHER, "http://"],
            asked("/a", method="a b"),
            asked("/a", headers={"a b": "1"}),
            asked("/a", headers={"a": "1\n2"}),
            asked("/a", headers=[["a"]]),
            asked("/a", redirect="odd"),
            answered("x", 101),
            answered("x", 199),
            answered("x", 600),
            answered("x", 204),
            asked("/nothing"),
            asked("/a"),
        ),
    ),
    Script(
        "a body is read once, and a clone once more",
        alone(
            asked("/twice", method="POST", body="x"),
            asked("/text", method="POST", body={"$bytes": [0xEF, 0xBB, 0xBF, 65, 255]}),
            asked("/twice", method="POST"),
            asked("/clone", method="POST", body="x"),
            asked("/a", times=2),
            [*answered("x")[:3], {**answered("x")[3], "times": 2}],
            [*answered(None)[:3], {**answered(None)[3], "times": 2}],
        ),
    ),
    Script(
        "a request is passed on",
        alone(
            ["call", "the last", [["put", "$last", 1]]],
            asked("/on", method="POST", body="x", headers={"x-a": "1"}),
            asked("/on", method="DELETE"),
        ),
    ),
    Script(
        "what a fetch writes is stored, and what it raises is an error",
        (
            Calls([[told("/run", [["put", "a", 1], ["list"]])]]),
            Calls([[told("/run", [["put", "b", 1], ["throw", "no"]])]]),
            Calls([[told("/run", [["put", "c", 1], ["abort", "no"]])]]),
            Calls([[told("/run", [["list"], ["notes"]])]]),
        ),
    ),
)
