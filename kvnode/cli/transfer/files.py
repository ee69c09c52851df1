"""
Files that survive a crash: state on the side, whole files under the right name.

Blocking calls run in threads, as all file work in an event loop should.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import typer

from kvnode import durable_file
from kvnode.errors import RejectedError


def beside(file: Path, suffix: str) -> Path:
    """Return the path of *file* with *suffix* added to its name."""
    return file.with_name(file.name + suffix)


def refuse_to_overwrite(file: Path, *, overwrite: bool) -> None:
    """
    Raise unless *file* may be written.

    Raises:
        typer.BadParameter: It is there already, or is a directory.
    """
    if file.is_dir():
        msg = f"{file} is a directory: name a file in it"
        raise typer.BadParameter(msg)
    if file.exists() and not overwrite:
        msg = f"{file} is there already: give --overwrite to replace it"
        raise typer.BadParameter(msg)


async def save_state(path: Path, state: Mapping[str, object]) -> None:
    """Replace the state file *path* as a whole."""

    def save() -> None:
        partial = beside(path, ".new")
        partial.write_text(json.dumps(state), encoding="utf-8")
        partial.replace(path)

    await asyncio.to_thread(save)


async def load_state(path: Path) -> dict[str, object]:
    """
    Return the state in *path*; empty if there is no such file.

    Raises:
        RejectedError: The file is damaged.
    """

    def load() -> dict[str, object]:
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            state = None
        if not isinstance(state, dict):
            msg = f"{path} is damaged: delete it and start without --resume"
            raise RejectedError(msg)
        return state

    return await asyncio.to_thread(load)


def whole_number(state: Mapping[str, object], name: str) -> int:
    """
    Return a number of a state file.

    Raises:
        RejectedError: It is missing or is something else.
    """
    number = state.get(name)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        msg = f"the state file lacks a number {name!r}: start without --resume"
        raise RejectedError(msg)
    return number


async def remove(path: Path) -> None:
    """Remove *path* if it is there."""
    await asyncio.to_thread(path.unlink, missing_ok=True)


async def truncate(path: Path, size_bytes: int) -> None:
    """
    Cut *path* to *size_bytes*; make it if it is not there and that is 0.

    Raises:
        RejectedError: It is shorter than that.
    """

    def cut() -> None:
        with path.open("ab") as target:
            if target.tell() < size_bytes:
                msg = f"{path} is shorter than it was: start without --resume"
                raise RejectedError(msg)
            target.truncate(size_bytes)

    await asyncio.to_thread(cut)


async def publish(partial: Path, file: Path) -> None:
    """Give *partial*, made durable, the name *file* in one step."""
    await asyncio.to_thread(durable_file.publish, partial, file)
