"""
Plume's text: one read or write a line.

    w(4283,1,0,7)       key, value, session, transaction
    r(9119,0,0,7)

Transactions are numbered; those of a session come in the order in which it did
them.  Number -1 marks what a transaction did that was aborted.  Each key holds 0
in the beginning.  Other values than whole numbers are taken as text.

References:
    Liu, Gu, Wei & Basin, 2024.  Plume: efficient and complete black-box checking
        of weak isolation levels.
    Gu et al., 2024.  IsoVista: black-box checking database isolation guarantees.
"""

import re
from typing import Final

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Value
from jepsen_like.readers.events.transactions import Transactions
from jepsen_like.readers.source import Source

INITIAL: Final = 0
ABORTED: Final = -1

_LINE: Final = re.compile(
    r"([rw])\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\)",
    re.ASCII,
)
_COMMENTS: Final = ("#", "//", ";")
_WHOLE: Final = re.compile(r"-?\d{1,18}", re.ASCII)


def is_line(line: str) -> bool:
    """Tell whether *line* is a read or write of this format."""
    return _LINE.fullmatch(line.strip()) is not None


def read(source: Source, model: str = "") -> History:
    """
    Return the history in *source*.

    Raises:
        MalformedHistoryError: A line is no read, write or comment, or is empty
            of what it must say.
    """
    told = Transactions()
    for line in source.lines():
        match = _LINE.fullmatch(line)
        if match is None:
            if not line or line.startswith(_COMMENTS):
                continue
            msg = f"expected w(key,value,session,transaction), not {line[:60]!r}"
            raise source.malformed(msg)
        f, key, value, session, number = match.groups()
        micro = (f, _scalar(key), _value(value))
        if int(number) == ABORTED:
            told.add_aborted(int(session), *micro)
        else:
            told.add(int(session), int(number), *micro)
    return told.history(model, INITIAL)


def _scalar(text: str) -> Key:
    return int(text) if _WHOLE.fullmatch(text) else text


def _value(text: str) -> Value:
    return None if text in ("null", "nil") else _scalar(text)
