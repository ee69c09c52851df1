"""
The text of AWDIT's own tests: blocks of reads and writes.

    w 0 1           key, value
    r 1 0
    -----           the next transaction of the same session
    w 0 2
    =====           the next session

A line of one or more of these signs separates; any number of separators is one.
Nothing is written in the beginning.

Reference:
    Møldrup & Pavlogiannis, 2025.  AWDIT: an optimal weak database isolation
        tester.
"""

import re
from typing import Final

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key
from jepsen_like.readers.events.transactions import Transactions
from jepsen_like.readers.source import Source

_LINE: Final = re.compile(r"([rw])\s+(\S+)\s+(\S+)")
_SEPARATOR: Final = re.compile(r"-+|=+")
_COMMENTS: Final = ("#", "//", ";")
_WHOLE: Final = re.compile(r"-?\d{1,18}", re.ASCII)


def is_line(line: str) -> bool:
    """Tell whether *line* is a read, a write or a separator of this format."""
    line = line.strip()
    return bool(_LINE.fullmatch(line) or _SEPARATOR.fullmatch(line))


def read(source: Source, model: str = "") -> History:
    """
    Return the history in *source*.

    Raises:
        MalformedHistoryError: A line is no read, write, separator or comment.
    """
    told = Transactions()
    session = number = 0
    for line in source.lines():
        if match := _LINE.fullmatch(line):
            f, key, value = match.groups()
            told.add(session, number, f, _scalar(key), _scalar(value))
        elif _SEPARATOR.fullmatch(line):
            number += 1
            session += line[0] == "="
        elif line and not line.startswith(_COMMENTS):
            msg = (
                f"expected `r key value`, `w key value`, ----- or =====: {line[:60]!r}"
            )
            raise source.malformed(msg)
    return told.history(model, None)


def _scalar(text: str) -> Key:
    if text in ("null", "nil"):
        return None
    return int(text) if _WHOLE.fullmatch(text) else text
