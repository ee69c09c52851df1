"""
`jepsen_like check`: read a history in any format, and judge it.

What was found of the run itself, if the history has it, is shown and counts: a run
whose faults never came to be is `unknown` whatever its operations are judged by.
What the exit code says: jepsen_like.cli.exit_codes.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from jepsen_like.cli.exit_codes import (
    EXIT_CODES_TOLD,
    failing_apart,
    foreseen,
    leave,
)
from jepsen_like.cli.verdict_json import document
from kvnode.cli.output import console, print_json

if TYPE_CHECKING:
    from jepsen_like.history.history import Header, History
    from jepsen_like.history.operation import Value
    from jepsen_like.verdict import Judgement, Verdict

__all__ = [
    "Checked",
    "FormatName",
    "check",
    "document",
    "initial_value",
    "register",
]

_LIMIT_S: Final = 120.0
_STANDARD_INPUT: Final = "-"


class FormatName(Enum):
    """`jepsen_like.readers.Format` by name, without importing the readers."""

    JSON_LINES = "json-lines"
    JEPSEN_LOG = "jepsen-log"
    KV_LINES = "kv-lines"
    EDN = "edn"
    PLUME = "plume"
    AWDIT = "awdit"


class Asked(NamedTuple):
    """
    How the user wants a history judged.

    Attributes:
        model: By which model; "" for what the history says.
        level: At which level, if the model has levels; "" for its own.
        limit_s: For how long at most.
    """

    model: str
    level: str
    limit_s: float


class Checked(NamedTuple):
    """
    A history and what was found of it.

    Attributes:
        title: The file as the user named it, or which run it was.
        format: What the file was read as; "" if there was none.
        model: What its operations were taken to mean.
        history: What was read.
        judgements: One a checker.
        verdict: What they amount to.
        seconds: How long reading and judging took.
    """

    title: str
    format: str
    model: str
    history: "History"
    judgements: "Sequence[Judgement]"
    verdict: "Verdict"
    seconds: float


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("check", epilog=EXIT_CODES_TOLD)(failing_apart(check))


def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A history; - for standard input.")
    ],
    format_: Annotated[
        FormatName | None,
        typer.Option(
            "--format",
            "-f",
            help="How FILE is written; by default, what it looks like.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="What the operations mean, such as cas-register, key-value,"
            " list-append, transactions; by default, what they look like."
            " A wrong one lists all.",
            show_default=False,
        ),
    ] = "",
    initial: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="What every key holds in the beginning: JSON, nil, or text;"
            " by default, what the format takes for granted.",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="What was promised, if the model has levels: rc, ra, cc for"
            " transactions; strict-serializable, snapshot-isolation and so on for"
            " list-append and rw-register.",
            show_default=False,
        ),
    ] = "",
    limit_seconds: Annotated[
        float,
        typer.Option(
            min=0.001, metavar="S", help="Judge so long at most, then say unknown."
        ),
    ] = _LIMIT_S,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one line of JSON.")
    ] = False,
) -> None:
    """
    Judge a history: is what clients saw possible in a store that keeps its promise?

    Formats: json-lines (our own); jepsen-log (lines of Jepsen's log); kv-lines
    (porcupine's get, put, append); edn (Jepsen, Knossos, Elle); plume; awdit.
    """
    with foreseen():
        began = time.monotonic()
        found, history = _read(file, format_, model, initial)
        judgements, verdict = _judged(
            file, history, asked=Asked(model, level, limit_seconds)
        )
        model = model or history.header.model
        seconds = time.monotonic() - began
        checked = Checked(file, found, model, history, judgements, verdict, seconds)
    if as_json:
        print_json(document(checked))
    else:
        from jepsen_like.cli.verdict_text import show

        show(checked)
    raise leave(verdict)


def _read(
    path: str, format_: FormatName | None, model: str, initial: str | None
) -> "tuple[str, History]":
    from pathlib import Path

    from jepsen_like.readers import Format, Initial, read
    from kvnode.cli.transfer.progress import ByteProgress

    is_file = path != _STANDARD_INPUT
    total = Path(path).stat().st_size if is_file else None
    with ByteProgress("reading", total) as bar:
        found, history = read(
            path,
            format_=None if format_ is None else Format(format_.value),
            model=model,
            initial=None if initial is None else Initial(initial_value(initial)),
            progress=bar.move_to,
        )
    return found.value, history


def _judged(
    path: str, history: "History", asked: Asked
) -> "tuple[Sequence[Judgement], Verdict]":
    """
    Judge by the model that is asked for, or else as the history's header says.

    A history of one of our workloads is judged by all that this workload promises.
    """
    from jepsen_like.checkers.budget import Budget
    from jepsen_like.history.malformed import MalformedHistoryError
    from jepsen_like.judging import judge, overall
    from jepsen_like.verdict import combined

    header = history.header
    with _status(f"judging {len(history.operations):,} operations"):
        if header.workload and not asked.model and not asked.level:
            from jepsen_like.workloads import WORKLOADS

            if header.workload in WORKLOADS:
                judgements = WORKLOADS[header.workload].judge(history)
                return _with_run(judgements, combined(judgements), history.run)
        model = asked.model or _model_of(header, asked.level)
        if not model:
            msg = "its header names no model: give one with --model"
            raise MalformedHistoryError(path, None, msg)
        budget = Budget(asked.limit_s)
        judgements = judge(history, model, level=asked.level, budget=budget)
    verdict = overall(judgements, model, asked.level)
    return _with_run(judgements, verdict, history.run)


def _model_of(header: "Header", level: str) -> str:
    """
    Return the model that *header* names; it may be none.

    Raises:
        UnknownModelError: There are no levels of what it names.
    """
    from jepsen_like.judging import LEVELED, MODELS, UnknownModelError

    if header.workload and level and header.model not in MODELS:
        msg = (
            f"a history of the workload {header.workload!r} is judged by all that it"
            f" promises, which has no level {level!r}: give --model, too"
            f" ({', '.join(LEVELED)})"
        )
        raise UnknownModelError(msg)
    return header.model


def _with_run(
    judgements: "Sequence[Judgement]", verdict: "Verdict", run: "Judgement | None"
) -> "tuple[Sequence[Judgement], Verdict]":
    """Return the same with what was found of the *run* itself, if that is known."""
    from jepsen_like.verdict import worst

    if run is None:
        return judgements, verdict
    return (*judgements, run), worst((verdict, run.verdict))


@contextmanager
def _status(title: str) -> Iterator[None]:
    """Show on a terminal that something goes on."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(title):
        yield


def initial_value(text: str) -> "Value":
    """
    Return what *text* on the command line stands for: JSON, nil, or itself.

    Raises:
        typer.BadParameter: It is a list or an object.
    """
    if text == "nil":
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, list | dict):
        msg = f"--initial is a number, text, true, false or nil, not {text!r}"
        raise typer.BadParameter(msg)
    scalar: Value = value
    return scalar
