"""
Our own format on disk: JSON, one object a line.

    {"jepsen_like":1,"workload":"register","model":"cas-register",...}
    {"fault":"partition","began":5,"ended":9,"nodes":["n1"],"detail":"halves"}
    {"process":0,"f":"write","key":"x","argument":3,"called":1,"returned":4,"outcome":"ok"}
    {"run":{"verdict":"valid","figures":{"operations":200,...}}}

The first line is the header, with all its fields.  Then come the faults, then
the operations in order of their calls, and last, if it is known, what was found of
the run itself: whether it could have shown anything, which operations do not tell.
In an operation or fault a field that
has its default is left out: `null` for key, argument and result, "" for node,
version, error and detail, no nodes; `returned` is left out if it is FOREVER.
Lists stand for tuples.

The bytes are canonical: equal histories are equal files, whatever wrote them.
Unknown fields are refused, so that a slip of the pen is not a default.

The *digest* of a history is the SHA-256 of all its lines but the run's: it says what
was asked, what happened and what was answered, not what somebody made of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from jepsen_like.history.fields import (
    Json,
    WrongError,
    names_of,
    only_known,
    text_of,
    value_of,
    whole_of,
)
from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.malformed import MalformedHistoryError
from jepsen_like.history.operation import Operation, Value
from jepsen_like.history.operation_line import operation_json, operation_of
from jepsen_like.history.run_line import CHECKER, run_json, run_of
from jepsen_like.verdict import Judgement

FORMAT_VERSION: Final = 1
"""Raised when older readers would misunderstand."""

_HEADER_FIELDS: Final = frozenset(
    ("jepsen_like", "workload", "model", "system", "seed", "nodes", "timed", "initial")
)
_FAULT_FIELDS: Final = frozenset(("fault", "began", "ended", "nodes", "detail"))
_RUN_LINE: Final = f'{{"{CHECKER}":'.encode()
"""How the line that no digest counts begins, as `encode` writes it."""


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
    if history.run is not None:
        yield _line(run_json(history.run))


def digest(lines: Iterable[bytes]) -> str:
    """Return the digest of a history by its *lines*, each with its newline."""
    hashed = sha256()
    for line in lines:
        if not line.startswith(_RUN_LINE):
            hashed.update(line)
    return hashed.hexdigest()


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
    run: Judgement | None = None
    for number, line in enumerate(source, 1):
        try:
            if header is None:
                header = _header(_parsed(line))
            elif line.strip():
                document = _parsed(line)
                if "fault" in document:
                    faults.append(_fault(document))
                elif CHECKER in document:
                    run = _only_run(document, run)
                else:
                    operations.append(operation_of(document))
        except WrongError as wrong:
            raise MalformedHistoryError(name, number, str(wrong)) from None
    if header is None:
        msg = 'empty: the first line is a header, {"jepsen_like":1,...}'
        raise MalformedHistoryError(name, None, msg)
    return replace(History.of(operations, faults, header), run=run)


def _only_run(document: Json, known: Judgement | None) -> Judgement:
    if known is not None:
        msg = "a second line about the run: a history has one at most"
        raise WrongError(msg)
    return run_of(document)


def _line(document: Mapping[str, object]) -> bytes:
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


def _parsed(line: bytes) -> Json:
    try:
        document = json.loads(line)
    except ValueError as error:
        msg = f"not JSON: {error}"
        raise WrongError(msg) from None
    except RecursionError:
        msg = "nested too deeply"
        raise WrongError(msg) from None
    if not isinstance(document, dict):
        msg = f"expected an object, found {type(document).__name__}"
        raise WrongError(msg)
    return document


def _header(document: Json) -> Header:
    version = document.get("jepsen_like")
    if version is None:
        msg = 'not a header: the first line begins {"jepsen_like":1,...}'
        raise WrongError(msg)
    if version != FORMAT_VERSION:
        msg = f"format version {version!r}: this program reads {FORMAT_VERSION}"
        raise WrongError(msg)
    only_known(document, _HEADER_FIELDS)
    seed = document.get("seed")
    timed = document.get("timed", True)
    if not isinstance(timed, bool):
        msg = f"`timed` is true or false, not {timed!r}"
        raise WrongError(msg)
    return Header(
        workload=text_of(document, "workload"),
        model=text_of(document, "model"),
        system=text_of(document, "system"),
        seed=None if seed is None else whole_of(document, "seed"),
        nodes=names_of(document),
        timed=timed,
        initial=value_of(document.get("initial")),
    )


def _fault(document: Json) -> FaultSpan:
    only_known(document, _FAULT_FIELDS)
    span = FaultSpan(
        kind=text_of(document, "fault"),
        began=whole_of(document, "began"),
        ended=whole_of(document, "ended"),
        nodes=names_of(document),
        detail=text_of(document, "detail"),
    )
    if span.ended < span.began:
        msg = f"the fault ended at {span.ended}, before it began at {span.began}"
        raise WrongError(msg)
    return span
