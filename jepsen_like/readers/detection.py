"""
Which format a file is in, and reading it.

The beginning of a file tells: each format has a first line like no other's.  What
the operations mean, if nobody has said, follows from the operations themselves
(`jepsen_like.readers.events.meaning`), or is said in the file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from pathlib import PurePath
from typing import Final, NamedTuple

from jepsen_like.history import json_lines
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.readers import awdit, edn_history, jepsen_log, plume
from jepsen_like.readers.source import Source, opened

_KEY_VALUE: Final = "key-value"
_KEYED: Final = re.compile(r":f\s+:(?:get|put|append)\b.*\s:key\s")
_PLAN: Final = re.compile(r'\{\s*"format"\s*:\s*"jepsen_like plan"')
"""How our plans begin (jepsen_like.plan_file): beside a history there often is one."""

_LINES_MAX: Final = 400
"""A log may begin with other lines; Jepsen's preamble has some hundred."""


class Format(Enum):
    """How a history is written down; the values are what users call it."""

    JSON_LINES = "json-lines"
    JEPSEN_LOG = "jepsen-log"
    KV_LINES = "kv-lines"
    EDN = "edn"
    PLUME = "plume"
    AWDIT = "awdit"


class Initial(NamedTuple):
    """What every key holds in the beginning, said by the user."""

    value: Value


def read(
    path: str,
    *,
    format_: Format | None = None,
    model: str = "",
    initial: Initial | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Format, History]:
    """
    Return the format of a file, and the history in it.

    Args:
        path: Of the file; "-" for standard input.
        format_: What it is in; by default what its beginning looks like.
        model: What its operations mean; by default what it says, or what its
            operations look like.  In the header of what is returned.
        initial: What each key holds in the beginning; by default what the
            format takes for granted.
        progress: Is told how many bytes were read so far, now and then.

    Raises:
        MalformedHistoryError: It is not of that format, or of none that we know.
        OSError: It cannot be read.
    """
    with opened(path, progress) as source:
        found = format_ or detect(source)
        history = _READERS[found](source, model)
    header = history.header
    if initial is not None:
        header = replace(header, initial=initial.value)
    if model:
        header = replace(header, model=model)
    return found, replace(history, header=header)


def detect(source: Source) -> Format:
    """
    Return the format that the beginning of *source* looks like; reads nothing.

    A file that says nothing is in the format that its name goes with, else EDN.

    Raises:
        MalformedHistoryError: It looks like none, or is a plan.
    """
    lines = list(_lines(source.head))
    if lines and _PLAN.match(lines[0]):
        msg = f"a plan, no history: `jepsen_like replay {source.name}` runs it"
        raise source.malformed(msg)
    for line in lines:
        if line.startswith('{"'):
            return Format.JSON_LINES
        if line.startswith(("{", "[", "(", "#")):
            keyed = any(_KEYED.search(each) for each in lines)
            return Format.KV_LINES if keyed else Format.EDN
        if plume.is_line(line):
            return Format.PLUME
        if awdit.is_line(line):
            return Format.AWDIT
        if not line.startswith("//"):
            break
    if any(jepsen_log.is_line(line) for line in lines):
        return Format.JEPSEN_LOG
    is_log = PurePath(source.name).suffix == ".log"
    if is_log or not lines:
        return Format.JEPSEN_LOG if is_log else Format.EDN
    msg = (
        f"no history in any format that we know, beginning {lines[0][:60]!r}:"
        f" give one with --format ({', '.join(each.value for each in Format)})"
    )
    raise source.malformed(msg)


def _lines(head: bytes) -> Iterator[str]:
    """Yield the first lines of *head* that are neither empty nor EDN comments."""
    lines = head.decode(errors="replace").split("\n")
    for line in lines[:_LINES_MAX]:
        stripped = line.strip()
        if stripped and not stripped.startswith(";"):
            yield stripped


def _read_json_lines(source: Source, model: str) -> History:
    del model  # the header says it, unless the caller replaces that
    return json_lines.read(source.raw_lines(), source.name)


def _read_kv_lines(source: Source, model: str) -> History:
    return edn_history.read(source, model or _KEY_VALUE)


_READERS: Final[dict[Format, Callable[[Source, str], History]]] = {
    Format.JSON_LINES: _read_json_lines,
    Format.JEPSEN_LOG: jepsen_log.read,
    Format.KV_LINES: _read_kv_lines,
    Format.EDN: edn_history.read,
    Format.PLUME: plume.read,
    Format.AWDIT: awdit.read,
}
