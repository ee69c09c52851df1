"""
Our own format on disk: JSON, one object a line.

    {"jepsen_like":1,"workload":"register","model":"cas-register",...}
    {"fault":"partition","began":5,"ended":9,"nodes":["n1"],"detail":"halves"}
    {"process":0,"f":"write","key":"x","argument":3,"called":1,"returned":4,"outcome":"ok"}

The first line is the header, with all its fields.  Then come the faults, then
the operations in order of their calls.  In an operation or fault a field that
has its default is left out: `null` for key, argument and result, "" for node,
version, error and detail, no nodes; `returned` is left out if it is FOREVER.
Lists stand for tuples.

The bytes are canonical: equal histories are equal files, whatever wrote them.
Unknown fields are refused, so that a slip of the pen is not a default.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.malformed import MalformedHistoryError
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value

FORMAT_VERSION: Final = 1
"""Raised when older readers would misunderstand."""

_HEADER_FIELDS: Final = frozenset(
    ("jepsen_like", "workload", "model", "system", "seed", "nodes", "timed", "initial")
)
_FAULT_FIELDS: Final = frozenset(("fault", "began", "ended", "nodes", "detail"))
_OPERATION_FIELDS: Final = frozenset(Operation._fields)
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}

_Json = dict[str, object]


class _WrongError(Exception):
    """What is wrong with a line, before its place is known."""


def write(history: History, path: Path) -> None:
    """
    Write *history* to *path*, replacing what was there.

    Raises:
        ValueError: A value is a float that is not finite, which JSON cannot say.
        OSError: The file cannot be written.
    """
    with path.open("wb") as file:
        file.writelines(encode(history))


def encode(history: History) -> Iterator[bytes]:
    """
    Yield the lines of *history*, each with its newline.

    Raises:
        ValueError: A value is a float that is not finite, which JSON cannot say.
    """
    header = history.header
    yield _line(
        {
            "jepsen_like": FORMAT_VERSION,
            "workload": header.workload,
            "model": header.model,
            "system": header.system,
            "seed": header.seed,
            "nodes": header.nodes,
            "timed": header.timed,
            "initial": header.initial,
        }
    )
    for fault in history.faults:
        yield _line(_fault_json(fault))
    for operation in history.operations:
        yield _line(operation_json(operation))


def operation_json(operation: Operation) -> dict[str, Value]:
    """Return *operation* as its line says it, defaults left out."""
    document: dict[str, Value] = {"process": operation.process, "f": operation.f}
    if operation.key is not None:
        document["key"] = operation.key
    if operation.argument is not None:
        document["argument"] = operation.argument
    if operation.result is not None:
        document["result"] = operation.result
    document["called"] = operation.called
    if operation.returned != FOREVER:
        document["returned"] = operation.returned
    document["outcome"] = operation.outcome.value
    if operation.node:
        document["node"] = operation.node
    if operation.version:
        document["version"] = operation.version
    if operation.error:
        document["error"] = operation.error
    return document


def read(source: Path | Iterable[bytes], name: str = "history") -> History:
    """
    Return the history in a file, or in *source*'s lines.

    Args:
        source: A path, a binary file, or lines with or without their newlines.
        name: What to call it in errors, unless it is a path.

    Raises:
        MalformedHistoryError: With the line that is not of this format.
        OSError: The file cannot be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read(file, str(source))
    faults: list[FaultSpan] = []
    operations: list[Operation] = []
    header: Header | None = None
    for number, line in enumerate(source, 1):
        try:
            if header is None:
                header = _header(_parsed(line))
            elif line.strip():
                document = _parsed(line)
                if "fault" in document:
                    faults.append(_fault(document))
                else:
                    operations.append(_operation(document))
        except _WrongError as wrong:
            raise MalformedHistoryError(name, number, str(wrong)) from None
    if header is None:
        msg = 'empty: the first line is a header, {"jepsen_like":1,...}'
        raise MalformedHistoryError(name, None, msg)
    return History.of(operations, faults, header)


def _line(document: dict[str, Value]) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def _fault_json(fault: FaultSpan) -> dict[str, Value]:
    document: dict[str, Value] = {
        "fault": fault.kind,
        "began": fault.began,
        "ended": fault.ended,
    }
    if fault.nodes:
        document["nodes"] = fault.nodes
    if fault.detail:
        document["detail"] = fault.detail
    return document


def _parsed(line: bytes) -> _Json:
    try:
        document = json.loads(line)
    except ValueError as error:
        msg = f"not JSON: {error}"
        raise _WrongError(msg) from None
    except RecursionError:
        msg = "nested too deeply"
        raise _WrongError(msg) from None
    if not isinstance(document, dict):
        msg = f"expected an object, found {type(document).__name__}"
        raise _WrongError(msg)
    return document


def _header(document: _Json) -> Header:
    version = document.get("jepsen_like")
    if version is None:
        msg = 'not a header: the first line begins {"jepsen_like":1,...}'
        raise _WrongError(msg)
    if version != FORMAT_VERSION:
        msg = f"format version {version!r}: this program reads {FORMAT_VERSION}"
        raise _WrongError(msg)
    _only(document, _HEADER_FIELDS)
    seed = document.get("seed")
    timed = document.get("timed", True)
    if not isinstance(timed, bool):
        msg = f"`timed` is true or false, not {timed!r}"
        raise _WrongError(msg)
    return Header(
        workload=_text(document, "workload"),
        model=_text(document, "model"),
        system=_text(document, "system"),
        seed=None if seed is None else _whole(document, "seed"),
        nodes=_names(document),
        timed=timed,
        initial=_value(document.get("initial")),
    )


def _fault(document: _Json) -> FaultSpan:
    _only(document, _FAULT_FIELDS)
    span = FaultSpan(
        kind=_text(document, "fault"),
        began=_whole(document, "began"),
        ended=_whole(document, "ended"),
        nodes=_names(document),
        detail=_text(document, "detail"),
    )
    if span.ended < span.began:
        msg = f"the fault ended at {span.ended}, before it began at {span.began}"
        raise _WrongError(msg)
    return span


def _operation(document: _Json) -> Operation:
    if not document.keys() <= _OPERATION_FIELDS:
        _only(document, _OPERATION_FIELDS)
    outcome = _OUTCOMES.get(_text(document, "outcome"))
    if outcome is None:
        msg = f"`outcome` is ok, fail or info, not {document.get('outcome')!r}"
        raise _WrongError(msg)
    called = _whole(document, "called")
    if "returned" in document:
        returned = _whole(document, "returned")
    elif outcome is Outcome.INFO:
        returned = FOREVER
    else:
        msg = f"an operation that ended `{outcome.value}` says when it `returned`"
        raise _WrongError(msg)
    if returned < called:
        msg = f"returned at {returned}, before it was called at {called}"
        raise _WrongError(msg)
    name = _text(document, "f")
    if not name:
        msg = "`f` says what was asked: it is missing or empty"
        raise _WrongError(msg)
    return Operation(
        _whole(document, "process"),
        name,
        _key(document.get("key")),
        _value(document.get("argument")),
        _value(document.get("result")),
        called,
        returned,
        outcome,
        _text(document, "node"),
        _text(document, "version"),
        _text(document, "error"),
    )


def _only(document: _Json, known: frozenset[str]) -> None:
    if unknown := sorted(document.keys() - known):
        msg = f"unknown field {unknown[0]!r}: known are {', '.join(sorted(known))}"
        raise _WrongError(msg)


def _text(document: _Json, field: str) -> str:
    text = document.get(field, "")
    if not isinstance(text, str):
        msg = f"`{field}` is text, not {text!r}"
        raise _WrongError(msg)
    return text


def _whole(document: _Json, field: str) -> int:
    number = document.get(field)
    if type(number) is not int:
        msg = f"`{field}` is a whole number, not {number!r}"
        raise _WrongError(msg)
    return number


def _names(document: _Json) -> tuple[str, ...]:
    nodes = document.get("nodes", [])
    if not isinstance(nodes, list):
        msg = f"`nodes` is a list of names, not {nodes!r}"
        raise _WrongError(msg)
    names = tuple(node for node in nodes if isinstance(node, str))
    if len(names) < len(nodes):
        msg = f"`nodes` is a list of names, not {nodes!r}"
        raise _WrongError(msg)
    return names


def _key(key: object) -> Key:
    if key is None or type(key) is int or isinstance(key, str):
        return key
    msg = f"`key` is text, a whole number or null, not {key!r}"
    raise _WrongError(msg)


def _value(value: object) -> Value:
    if isinstance(value, list):
        return tuple(map(_value, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"a value is a scalar or a list, not an object: {value!r}"
    raise _WrongError(msg)
