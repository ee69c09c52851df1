"""Our own format: nothing is lost, equal histories are equal bytes, slips are found."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from jepsen_like.history import (
    FOREVER,
    FaultSpan,
    Header,
    History,
    MalformedHistoryError,
    Operation,
    Outcome,
    json_lines,
)
from tests.jepsen_like.history.drawn_histories import histories

HEADER = b'{"jepsen_like":1,"workload":"","model":"register"}'
OPERATION = b'{"process":0,"f":"read","called":1,"returned":2,"outcome":"ok"}'

EXAMPLE = History.of(
    [
        Operation(0, "write", "x", 3, None, 1, 4, Outcome.OK, "n1", "7"),
        Operation(1, "cas", "x", (3, 4), None, 2, FOREVER, Outcome.INFO),
    ],
    [FaultSpan("partition", 5, 9, ("n1",), "halves")],
    Header("register", "cas-register", "ours", 7, ("n1", "n2"), initial=None),
)


@given(history=histories)
def test_history_survives_the_disk(history: History) -> None:
    """What was written is what is read, to the last tuple."""
    assert json_lines.read(json_lines.encode(history)) == history


@given(history=histories)
def test_equal_histories_are_equal_bytes(history: History) -> None:
    """Writing what was read gives the very bytes that were read."""
    first = list(json_lines.encode(history))

    assert list(json_lines.encode(json_lines.read(first))) == first


def test_bytes_are_those_of_the_documentation() -> None:
    """The format is a promise to other programs, so one example is spelled out."""
    assert b"".join(json_lines.encode(EXAMPLE)).decode().splitlines() == [
        (
            '{"jepsen_like":1,"workload":"register","model":"cas-register",'
            '"system":"ours","seed":7,"nodes":["n1","n2"],"timed":true,"initial":null}'
        ),
        '{"fault":"partition","began":5,"ended":9,"nodes":["n1"],"detail":"halves"}',
        (
            '{"process":0,"f":"write","key":"x","argument":3,"called":1,"returned":4,'
            '"outcome":"ok","node":"n1","version":"7"}'
        ),
        (
            '{"process":1,"f":"cas","key":"x","argument":[3,4],"called":2,'
            '"outcome":"info"}'
        ),
    ]


def test_written_file_is_read_back(tmp_path: Path) -> None:
    """A path goes in, the same history comes out."""
    json_lines.write(EXAMPLE, tmp_path / "h.jsonl")

    assert json_lines.read(tmp_path / "h.jsonl") == EXAMPLE


def test_operations_in_any_order_are_put_in_order_of_their_calls() -> None:
    """Others may write as answers come in."""
    later = OPERATION.replace(b'"called":1', b'"called":2')

    history = json_lines.read([HEADER, later, OPERATION])

    assert [operation.called for operation in history.operations] == [1, 2]


def test_infinite_value_is_refused_at_writing() -> None:
    """JSON has no such number, and a file that nobody can read is no file."""
    operation = Operation(0, "write", None, float("inf"), None, 1, 2, Outcome.OK)

    with pytest.raises(ValueError, match="JSON"):
        list(json_lines.encode(History((operation,))))


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ([], "h", "empty"),
        ([b"{}"], "h:1", "not a header"),
        ([b'{"jepsen_like":2}'], "h:1", "version 2"),
        ([b'{"jepsen_like":1,"nodes":[1]}'], "h:1", "list of names"),
        ([b'{"jepsen_like":1,"timed":1}'], "h:1", "true or false"),
        ([HEADER, b"{"], "h:2", "not JSON"),
        ([HEADER, b"[" * 100_000], "h:2", "nested|not JSON"),
        ([HEADER, b"3"], "h:2", "expected an object"),
        ([HEADER, OPERATION, b"", b'{"process":"a"}'], "h:4", "outcome"),
        ([HEADER, OPERATION.replace(b"ok", b"yes")], "h:2", "ok, fail or info"),
        ([HEADER, OPERATION.replace(b":0,", b":true,")], "h:2", "`process`"),
        ([HEADER, OPERATION.replace(b"read", b"")], "h:2", "`f`"),
        ([HEADER, OPERATION.replace(b":2,", b":0,")], "h:2", "before it was called"),
        ([HEADER, OPERATION.replace(b'"returned":2,', b"")], "h:2", "`returned`"),
        ([HEADER, OPERATION[:-1] + b',"key":1.5}'], "h:2", "`key`"),
        ([HEADER, OPERATION[:-1] + b',"result":{}}'], "h:2", "not an object"),
        ([HEADER, OPERATION[:-1] + b',"reslt":1}'], "h:2", "unknown field 'reslt'"),
        ([HEADER, b'{"fault":"cut","began":2,"ended":1}'], "h:2", "before it began"),
        ([HEADER, b'{"fault":"cut","began":2}'], "h:2", "`ended`"),
    ],
)
def test_malformed_line_is_named(lines: list[bytes], place: str, message: str) -> None:
    """Whoever wrote it by hand or by program is told where and what."""
    with pytest.raises(MalformedHistoryError, match=message) as caught:
        json_lines.read(lines, "h")

    assert str(caught.value).startswith(f"{place}: ")


def test_defaults_are_left_out_of_operations() -> None:
    """A million operations should not say a million times that there was no error."""
    (_, line) = json_lines.encode(
        History((Operation(0, "read", None, None, None, 1, 2, Outcome.OK),))
    )

    assert json.loads(line).keys() == {"process", "f", "called", "returned", "outcome"}
