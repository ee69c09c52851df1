"""`kvnode get`, `put` and `delete`."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    InvalidArgumentError,
    KvError,
    NamespaceNotFoundError,
    OverloadedError,
    ReplicasTimeoutError,
)
from kvnode.limits import VALUE_BYTES_MAX
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode, a_value


def test_get_prints_exactly_the_value(run: Run, node: FakeNode) -> None:
    """No newline is added where the output is no terminal."""
    node.values[b"a"] = a_value(b"\xff\x00\r\n")

    result = run("get", "a")

    assert result.stdout_bytes == b"\xff\x00\r\n"
    assert result.exit_code == 0


def test_get_of_nothing_prints_nothing_and_ends_with_1(run: Run) -> None:
    """An empty value and no value differ."""
    result = run("get", "a")

    assert result.exit_code == 1
    assert result.stdout_bytes == b""
    assert "there is no key a" in result.stderr


def test_get_of_nothing_in_json_is_null(run: Run) -> None:
    """With --json there is always one document."""
    result = run("get", "a", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) is None


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=20,
    deadline=None,  # each example runs two commands
)
@given(key=st.binary(min_size=1, max_size=40), value=st.binary(max_size=40))
def test_any_bytes_go_in_and_come_out(
    run: Run, node: FakeNode, key: bytes, value: bytes
) -> None:
    """Keys in hex and values on standard input hold every byte there is."""
    stored = run("put", "--hex", key.hex(), "-", stdin=value)
    read = run("get", "--hex", key.hex())

    assert stored.exit_code == 0
    assert node.values[key].value == value
    assert read.stdout_bytes == value


def test_json_holds_bytes_that_are_no_text_as_base64(run: Run, node: FakeNode) -> None:
    """Exactly one of `value` and `value_base64` is there."""
    node.values[b"\xff"] = a_value(b"\xfe", metadata={"type": "x"})

    document = json.loads(run("get", "--base64", "/w==", "--json").stdout)

    assert document["key_base64"] == "/w=="
    assert document["value_base64"] == "/g=="
    assert document["metadata"] == {"type": "x"}
    assert "value" not in document


def test_put_takes_a_file(run: Run, node: FakeNode, tmp_path: Path) -> None:
    """--file stores the bytes of the file."""
    file = tmp_path / "value"
    file.write_bytes(b"\x00\xff")

    assert run("put", "a", "--file", str(file)).exit_code == 0
    assert node.values[b"a"].value == b"\x00\xff"


def test_put_hands_over_every_option(run: Run, node: FakeNode) -> None:
    """Spans become seconds, metadata becomes a value."""
    result = run(
        "put", "a", "on", "--ttl", "5m", "--metadata", '{"x":1}', "--w", "2", "--json"
    )

    assert json.loads(result.stdout)["applied"] is True
    assert node.values[b"a"].metadata == {"x": 1}
    assert node.writes == [{"ttl": 300.0, "w": 2, "w_each_region": False}]


@pytest.mark.parametrize(
    "arguments",
    [("put", "a", "new", "--if-absent"), ("put", "a", "new", "--if-version", "v0")],
)
def test_condition_that_does_not_hold_ends_with_1(
    run: Run, node: FakeNode, arguments: tuple[str, ...]
) -> None:
    """And says which version stood in the way."""
    node.values[b"a"] = a_value(b"old")

    result = run(*arguments)

    assert result.exit_code == 1
    assert "v1" in result.stderr
    assert node.values[b"a"].value == b"old"


def test_delete_removes_and_respects_its_condition(run: Run, node: FakeNode) -> None:
    """Deleting what is not there is no error; a wrong version is."""
    node.values[b"a"] = a_value()

    assert run("delete", "a", "--if-version", "v0").exit_code == 1
    assert run("delete", "a").exit_code == 0
    assert run("delete", "a").exit_code == 0
    assert node.values == {}


def test_value_above_the_limit_is_refused_before_it_is_sent(
    run: Run, node: FakeNode
) -> None:
    """The line names the limit and what to do."""
    result = run("put", "a", "-", stdin=bytes(VALUE_BYTES_MAX + 1))

    assert result.exit_code == 2
    assert "25 MiB" in result.stderr
    assert node.values == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("put", "a"),
        ("put", "a", "b", "--file", "c"),
        ("put", "a", "b", "--ttl", "soon"),
        ("put", "a", "b", "--metadata", "{"),
        ("put", "a", "b", "--w", "0"),
        ("put", "a", "b", "--file", "/nowhere/at/all"),
        ("get", "--hex", "xyz"),
        ("get", "--base64", "$"),
        ("get", "--hex", "--base64", "00"),
        ("get", "a", "--endpoint", "nowhere"),
        ("get", "a", "--deadline", "never"),
    ],
)
def test_wrong_usage_ends_with_2_and_no_traceback(
    run: Run, arguments: tuple[str, ...]
) -> None:
    """What is wrong with the command line is said on stderr."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("failure", "read_code", "write_code"),
    [
        (InvalidArgumentError("too long"), 2, 2),
        (NamespaceNotFoundError("x"), 2, 2),
        (OverloadedError("busy"), 3, 3),
        (DeadlineError("late"), 3, 4),
        (ConnectionLostError("cut"), 3, 4),
        (ReplicasTimeoutError("1 of 2", acknowledged=1, needed=2), 3, 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_says_whether_it_may_have_happened(
    run: Run, node: FakeNode, failure: KvError, read_code: int, write_code: int
) -> None:
    """Only a write can have happened without our knowing."""
    node.failure = failure

    read, write = run("get", "a"), run("put", "a", "b")

    assert (read.exit_code, write.exit_code) == (read_code, write_code)
    assert str(failure) in write.stderr
    assert ("may have happened" in write.stderr) is (write_code == 4)
    assert "may have happened" not in read.stderr


def test_options_before_and_after_the_command_mean_the_same(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one nearer to the command wins."""
    monkeypatch.delenv("KVNODE_ENDPOINTS", raising=False)
    run("-e", "a:1", "-n", "x", "get", "k", "-e", "b:2, c:3", "--deadline", "250ms")

    (target,) = node.targets
    assert target.endpoints == ("b:2", "c:3")
    assert (target.namespace, target.deadline) == ("x", 0.25)
