"""`kvnode object`: calls, the map that needs no class, and status."""

import json

import pytest

from kvnode.client import Location, StoredValue
from kvnode.errors import (
    DeadlineError,
    IndeterminateError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    RejectedError,
)
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.object_values import Value
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode

CALL = ("object", "call", "Counter", "c", "increment")


# -- calls ----------------------------------------------------------------------------


def test_arguments_are_text_by_default(run: Run, node: FakeNode) -> None:
    """Also those that look like options or numbers."""
    run(*CALL, "3", "-4", "--named", "by=a=b")

    assert node.objects.calls == [
        ("Counter", "c", "", "increment", ("3", "-4"), {"by": "a=b"})
    ]


def test_arguments_are_json_on_demand(run: Run, node: FakeNode) -> None:
    """Those by name, too."""
    run(*CALL, "3", '{"a":[null]}', "--json-args", "--named", "by=true")

    assert node.objects.calls[0][4:] == ((3, {"a": [None]}), {"by": True})


def test_object_can_be_named_by_its_id(run: Run, node: FakeNode) -> None:
    """And the key goes along."""
    run(*CALL, "--id", "--idempotency-key", "k1")

    assert node.objects.calls[0][:3] == ("Counter", "", "c")
    assert node.objects.options == [{"idempotency_key": "k1"}]


def test_hint_goes_along(run: Run, node: FakeNode) -> None:
    """With a call, and with what is stored first."""
    run(*CALL, "--location-hint", "europe")
    run("object", "put", "m", "k", "v", "--location-hint", "asia")
    run("object", "get", "m", "k")

    assert node.objects.hints == ["europe", "asia", ""]


def test_place_of_an_object_is_told(run: Run, node: FakeNode) -> None:
    """In words, and for programs."""
    done = run("object", "where", "Counter", "c")
    assert done.stdout == "no region, shard s003, led by nobody, just now\n"
    assert "a location hint may still place it" in done.stderr

    node.objects.location = Location("r.eu.003", "eu", "paris", is_settled=True)
    done = run("object", "where", "Counter", "c")
    assert done.stdout == "region eu, shard r.eu.003, led by paris\n"
    assert done.stderr == ""
    done = run("object", "where", "Counter", "c", "--json")
    assert json.loads(done.stdout) == {
        "region": "eu",
        "shard": "r.eu.003",
        "leader": "paris",
        "settled": True,
    }


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        (7, b"7\n"),
        ("hello", b"hello"),
        (b"\xff\x00", b"\xff\x00"),
        ({"a": [1, b"\xff"]}, b'{"a":[1,{"base64":"/w=="}]}\n'),
        (None, b""),
    ],
)
def test_result_is_printed_for_people(
    run: Run, node: FakeNode, result: Value, printed: bytes
) -> None:
    """Text and bytes as they are, all else as JSON."""
    node.objects.result = result

    assert run(*CALL).stdout_bytes == printed


def test_method_that_returned_nothing_is_told_on_stderr(run: Run) -> None:
    """So that people see that it ran, and scripts see nothing."""
    result = run(*CALL)

    assert "Counter.increment has run" in result.stderr
    assert json.loads(run(*CALL, "--json").stdout) == {"result": None}


def test_argument_in_bytes_is_base64_in_json(run: Run, node: FakeNode) -> None:
    """As bytes within a result are."""
    run(*CALL, '[{"base64": "/w=="}]', "--json-args")

    assert node.objects.calls[0][4] == ([b"\xff"],)


def test_result_in_bytes_is_base64_in_json(run: Run, node: FakeNode) -> None:
    """By the rule of all JSON that is printed."""
    node.objects.result = b"\xff"

    assert json.loads(run(*CALL, "--json").stdout) == {"result_base64": "/w=="}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "--json-args"), "'x' is not JSON"),
        (("--named", "=x"), "is not NAME=ARG"),
        (("--named", "x"), "is not NAME=ARG"),
        (("--named", "a=x", "--json-args"), "'x' is not JSON"),
        (('{"base64": "!"}', "--json-args"), "is no base64"),
    ],
)
def test_argument_that_is_malformed_ends_with_2(
    run: Run, node: FakeNode, arguments: tuple[str, ...], message: str
) -> None:
    """Nothing is called."""
    result = run(*CALL, *arguments)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert node.objects.calls == []


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        (
            ObjectRaisedError("no apples", type_name="ValueError"),
            1,
            "the method raised: ValueError: no apples",
        ),
        (RejectedError("it serves no objects"), 2, "error: it serves no objects"),
        (NotLeaderError("not here", leader="paris"), 3, "error: not here"),
        (ObjectEndedError("the Cart has ended"), 3, "error: the Cart has ended"),
        (IndeterminateError("the lead was lost"), 4, "--idempotency-key"),
        (DeadlineError("too late"), 4, "look before you call it again"),
    ],
)
def test_failure_of_a_call_says_whether_it_happened(
    run: Run, node: FakeNode, failure: KvError, code: int, told: str
) -> None:
    """In one line, and as an exit code."""
    node.objects.failure = failure

    result = run(*CALL)

    assert result.exit_code == code
    assert told in result.stderr
    assert result.stdout == ""


# -- the map --------------------------------------------------------------------------


def test_value_comes_back_as_it_was_put(run: Run, node: FakeNode) -> None:
    """Text as text, and JSON as what it says."""
    assert "stored a, version 1" in run("object", "put", "m", "a", "3").stderr
    run("object", "put", "m", "b", "3", "--json-value")

    assert node.objects.maps["m"] == {"a": StoredValue("3", 1), "b": StoredValue(3, 2)}
    assert run("object", "get", "m", "a").stdout_bytes == b"3"
    assert run("object", "get", "m", "b").stdout_bytes == b"3\n"
    assert json.loads(run("object", "get", "m", "b", "--json").stdout) == {
        "key": "b",
        "value": 3,
        "version": 2,
    }


def test_value_is_read_from_standard_input(run: Run, node: FakeNode) -> None:
    """If it is text, and fits."""
    run("object", "put", "m", "a", "-", stdin="ü\n".encode())
    refused = run("object", "put", "m", "b", "-", stdin=b"\xff")

    assert node.objects.maps["m"] == {"a": StoredValue("ü\n", 1)}
    assert refused.exit_code == 2
    assert "no UTF-8 text" in refused.stderr


def test_endless_standard_input_is_not_read_to_its_end(
    run: Run, node: FakeNode
) -> None:
    """One byte more than can be sent is enough to be refused by."""
    run("object", "put", "m", "a", "-", stdin=b"x" * (CALL_BYTES_MAX + 9))

    assert len(str(node.objects.maps["m"]["a"].value)) == CALL_BYTES_MAX + 1


def test_get_of_nothing_ends_with_1(run: Run) -> None:
    """With --json there is always one document."""
    result = run("object", "get", "m", "a")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "there is no key a in m" in result.stderr
    assert json.loads(run("object", "get", "m", "a", "--json").stdout) is None


def test_condition_that_does_not_hold_ends_with_1(run: Run, node: FakeNode) -> None:
    """And says which version stood in the way."""
    assert run("object", "put", "m", "a", "1", "--if-version", "0").exit_code == 0
    put = run("object", "put", "m", "a", "2", "--if-version", "7", "--json")
    delete = run("object", "delete", "m", "b", "--if-version", "7")

    assert (put.exit_code, delete.exit_code) == (1, 1)
    assert json.loads(put.stdout) == {"key": "a", "applied": False, "version": 1}
    assert "its version is 1" in put.stderr
    assert "there is no such key" in delete.stderr
    assert node.objects.maps["m"]["a"].value == "1"


def test_delete_removes_and_tells(run: Run, node: FakeNode) -> None:
    """That it was not there is no error; the key goes along."""
    node.objects.maps["m"] = {"a": StoredValue("x", 1)}

    for _ in range(2):
        result = run("object", "delete", "m", "a", "--idempotency-key", "k")
        assert result.exit_code == 0
        assert "deleted a" in result.stderr

    assert node.objects.maps["m"] == {}
    assert node.objects.options[-1] == {"idempotency_key": "k"}


def test_list_prints_one_key_a_line_whatever_is_in_it(run: Run, node: FakeNode) -> None:
    """Escapes do not reach the terminal; the bounds reach the node."""
    node.objects.maps["m"] = {"a\nb": StoredValue("x\ny", 1), "c": StoredValue(b"z", 2)}

    result = run("object", "list", "m", "--start", "a", "--end", "d", "--reverse")
    document = json.loads(run("object", "list", "m", "c", "--json").stdout)

    assert result.stdout.splitlines() == [
        'a\\nb\t1\t"x\\ny"',
        'c\t2\t{"base64":"eg=="}',
    ]
    assert node.objects.ranges[0] == {
        "start": "a",
        "end": "d",
        "reverse": True,
        "limit": 1000,
    }
    assert document == {"items": [{"key": "c", "value": "z", "version": 2}]}


def test_list_that_its_limit_may_have_cut_says_so(run: Run, node: FakeNode) -> None:
    """And one that it has not does not."""
    node.objects.maps["m"] = {"a": StoredValue("x", 1)}

    assert "there may be more" in run("object", "list", "m", "--limit", "1").stderr
    assert run("object", "list", "m", "--limit", "2").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("get", "m", "a"), 3), (("list", "m"), 3), (("put", "m", "a", "x"), 4)],
)
def test_doubt_is_one_about_changes_alone(
    run: Run, node: FakeNode, arguments: tuple[str, ...], code: int
) -> None:
    """A read that got no answer did nothing."""
    node.objects.failure = IndeterminateError("the lead was lost")

    assert run("object", *arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments", [("get", "m", "a"), ("list", "m"), ("put", "m", "a", "x")]
)
def test_what_storage_raises_is_told_as_such(
    run: Run, node: FakeNode, arguments: tuple[str, ...]
) -> None:
    """It ran, so that nothing is in doubt."""
    node.objects.failure = ObjectRaisedError(
        "a key has 3000 bytes", type_name="InvalidArgumentError"
    )

    result = run("object", *arguments)

    assert result.exit_code == 1
    assert "InvalidArgumentError: a key has 3000 bytes" in result.stderr


# -- status ---------------------------------------------------------------------------


def test_status_shows_classes_and_shards(run: Run) -> None:
    """Who leads what, and how far the log is."""
    lines = run("-e", "a:1", "object", "status").stdout.splitlines()

    assert lines[:3] == [
        "a:1",
        "classes  Counter, Storage",
        "shards   1 of 2 are led here",
    ]
    assert lines[4].split() == ["s000", "tokyo", "7", "1,400", "1,399", "2"]
    assert lines[5].split() == ["s001", "not", "known", "0", "0", "0", "0"]
    assert lines[6] == "s001  its file is gone"


def test_status_asks_all_and_ends_with_3_if_one_is_silent(run: Run) -> None:
    """The others are shown."""
    result = run("-e", "a:1,down:1", "object", "status", "--json")

    up, down = json.loads(result.stdout)["nodes"]
    assert result.exit_code == 3
    assert up["shards"][0]["is_led_here"] is True
    assert down == {"endpoint": "down:1", "reachable": False, "error": "nobody listens"}


def test_every_command_of_objects_has_help_with_no_internals(run: Run) -> None:
    """Parameter names of Python do not leak into options."""
    for name in ("call", "get", "put", "delete", "list", "status", "alarm"):
        text = run("object", name, "--help").stdout
        assert "Usage" in text
        assert "as-json" not in text
        assert "by-id" not in text
        assert "end-key" not in text
