"""What a method of an object has raised, told to people."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kvnode.cli.failures import ExitCode
from kvnode.cli.output import complain
from kvnode.errors import ObjectRaisedError


@contextmanager
def raising_told() -> Iterator[None]:
    """
    Tell what a method has raised: it ran, so that nothing is unknown.

    Raises:
        typer.Exit: With code 1, in place of the error.
    """
    try:
        yield
    except ObjectRaisedError as error:
        complain(f"{error.type_name}: {error}", label="the method raised")
        raise typer.Exit(ExitCode.NOT_FOUND) from None
