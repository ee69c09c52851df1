"""
`jepsen_like check`: read a history in any format, and judge it.

    0    valid
    1    invalid; a witness is printed
    2    the request is wrong, or the file is not a history
    3    unknown: a limit was met, or the history does not tell enough
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from jepsen_like.cli.verdict_json import document
from kvnode.cli.output import complain, console, print_json

if TYPE_CHECKING:
    from jepsen_like.history.history import History
    from jepsen_like.history.operation import Value
    from jepsen_like.verdict import Judgement, Verdict

__all__ = [
    "Checked",
    "ExitCode",
    "FormatName",
    "check",
    "document",
    "initial_value",
    "register",
]

_LIMIT_S: Final = 120.0
_STANDARD_INPUT: Final = "-"


class ExitCode(IntEnum):
    """How a command ended; the module's table says what each means."""

    VALID = 0
    INVALID = 1
    USAGE = 2
    UNKNOWN = 3
    INTERRUPTED = 130


_EXIT_CODES: Final = {
    "valid": ExitCode.VALID,
    "invalid": ExitCode.INVALID,
    "unknown": ExitCode.UNKNOWN,
}


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
        path: As the user named it.
        format: What it was read as.
        model: What its operations were taken to mean.
        history: What was read.
        judgements: One a checker.
        verdict: What they amount to.
        seconds: How long reading and judging took.
    """

    path: str
    format: str
    model: str
    history: "History"
    judgements: "Sequence[Judgement]"
    verdict: "Verdict"
    seconds: float


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command(
        "check",
        epilog="Exit codes: 0 valid; 1 invalid; 2 wrong request or unreadable file;"
        " 3 unknown, which is no success.",
    )(check)


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
    with _complaints():
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
    raise typer.Exit(_EXIT_CODES[verdict.value])


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
                return judgements, combined(judgements)
        model = asked.model or header.model
        if not model:
            msg = "its header names no model: give one with --model"
            raise MalformedHistoryError(path, None, msg)
        budget = Budget(asked.limit_s)
        judgements = judge(history, model, level=asked.level, budget=budget)
    return judgements, overall(judgements, model, asked.level)


@contextmanager
def _status(title: str) -> Iterator[None]:
    """Show on a terminal that something goes on."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(title):
        yield


@contextmanager
def _complaints() -> Iterator[None]:
    """Turn what is wrong with a request or file into a line and an exit code."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has gone; typer ends quietly
    except OSError as error:
        reason = error.strerror or str(error)
        complain(f"{error.filename}: {reason}" if error.filename else reason)
        raise typer.Exit(ExitCode.USAGE) from None
    except ValueError as error:  # malformed files and unknown models are such
        complain(str(error))
        raise typer.Exit(ExitCode.USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


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
