"""
Errors as one line on stderr, and as an exit code that scripts can act on.

    0    it happened
    1    not found, or a condition did not hold
    2    the request or a setting is wrong; sending it again cannot help
    3    did not happen, may work later: unreachable, overloaded, no room
    4    a write whose fate is unknown: it may have happened
    130  ended by Ctrl-C

Code 4 is for writes alone: a read that got no answer did nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from kvnode.cli.output import complain
from kvnode.errors import (
    CorruptRecordError,
    KvError,
    Outcome,
    RejectedError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """How a command ended; the module's table says what each means."""

    OK = 0
    NOT_FOUND = 1
    USAGE = 2
    UNAVAILABLE = 3
    INDETERMINATE = 4
    INTERRUPTED = 130


MAY_HAVE_HAPPENED = (
    "It is not known whether the write happened: read the key before you repeat it."
)


@contextmanager
def reported(*, writes: bool, advice: str = MAY_HAVE_HAPPENED) -> Iterator[None]:
    """
    Turn what is raised inside into a line on stderr and an exit code.

    Args:
        writes: Whether what runs inside changes anything at a node.
        advice: What to tell if it is not known whether it did.

    Raises:
        typer.Exit: With the exit code, in place of the error.
    """
    try:
        yield
    except KvError as error:
        code = exit_code(error, writes=writes)
        complain(str(error) or type(error).__name__)
        if code is ExitCode.INDETERMINATE:
            complain(advice, label="may have happened")
        raise typer.Exit(code) from None
    except BrokenPipeError:
        raise  # the reader of our output has gone; typer ends quietly
    except OSError as error:
        complain(_file_complaint(error))
        missing = isinstance(error, FileNotFoundError | IsADirectoryError)
        refused = isinstance(error, PermissionError | NotADirectoryError)
        code = ExitCode.USAGE if missing or refused else ExitCode.UNAVAILABLE
        raise typer.Exit(code) from None
    except KeyboardInterrupt:
        if writes:
            complain(advice, label="interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def exit_code(error: KvError, *, writes: bool) -> ExitCode:
    """Return the exit code that says what *error* says."""
    match error:
        case RejectedError():
            return ExitCode.USAGE
        case UnavailableError() | CorruptRecordError():
            return ExitCode.UNAVAILABLE
        case _ if writes and error.outcome is Outcome.INDETERMINATE:
            return ExitCode.INDETERMINATE
        case _:
            return ExitCode.UNAVAILABLE


def _file_complaint(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


__all__ = ["ExitCode", "exit_code", "reported"]
