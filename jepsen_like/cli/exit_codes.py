"""
How commands end: verdicts have exit codes of their own, which no failure shares.

    0    valid
    1    invalid; a witness is printed
    2    the request is wrong, or a file cannot be read as what it should be
    3    unknown: a limit was met, or the history or run does not tell enough
    70   an error of the program itself, with a traceback
    130  ended by Ctrl-C
    141  whoever read the output has gone

So a script may take 1 for a contradiction that was found, and for nothing else.
Python ends with 1 what nobody catches, and typer what cannot be written; therefore
every command is run by `failing_apart`.

Reference:
    BSD, 1987.  sysexits(3): 70, an internal software error.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec

import typer

from kvnode.cli.output import complain

if TYPE_CHECKING:
    from jepsen_like.verdict import Verdict

_P = ParamSpec("_P")


class ExitCode(IntEnum):
    """How a command ended; the module's table says what each means."""

    VALID = 0
    INVALID = 1
    USAGE = 2
    UNKNOWN = 3
    INTERNAL = 70
    INTERRUPTED = 130
    READER_GONE = 141


EXIT_CODES_TOLD: Final = (
    "Exit codes: 0 valid; 1 invalid; 2 wrong request or unreadable file;"
    " 3 unknown, which is no success; 70 an error of this program."
)
_OF_VERDICTS: Final = {
    "valid": ExitCode.VALID,
    "invalid": ExitCode.INVALID,
    "unknown": ExitCode.UNKNOWN,
}


def leave(verdict: "Verdict") -> typer.Exit:
    """Return what ends the program with the code of *verdict*."""
    return typer.Exit(_OF_VERDICTS[verdict.value])


@contextmanager
def foreseen() -> Iterator[None]:
    """
    Turn what is wrong with a request or file into a line on stderr and exit code 2.

    Raises:
        typer.Exit: In place of the error.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has gone: nothing of ours is wrong
    except OSError as error:
        reason = error.strerror or str(error)
        complain(f"{error.filename}: {reason}" if error.filename else reason)
        raise typer.Exit(ExitCode.USAGE) from None
    except ValueError as error:  # malformed files, unknown names and the like
        complain(str(error))
        raise typer.Exit(ExitCode.USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def failing_apart(command: Callable[_P, None]) -> Callable[_P, None]:
    """Return *command* such that nothing unforeseen ends it with a verdict's code."""

    @wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except BrokenPipeError:
            _write_nowhere()
            raise typer.Exit(ExitCode.READER_GONE) from None
        except Exception as error:
            traceback.print_exc()
            complain("this is a mistake in jepsen_like or in an adapter, no verdict")
            raise typer.Exit(ExitCode.INTERNAL) from error

    return run


def _write_nowhere() -> None:
    """Let what is still to be flushed go nowhere, so that Python does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
