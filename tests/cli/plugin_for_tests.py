"""`kvnode extra`: a command that shouts."""

import typer


def command(word: str, *, loud: bool = False, times: int = 1) -> None:
    """Print WORD several times."""
    for _ in range(times):
        typer.echo(word.upper() if loud else word)
