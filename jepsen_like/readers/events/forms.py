r"""
EDN, read form by form.

EDN is the notation of Clojure: `{:type :ok, :f :read, :value [1 "x" nil]}`.  This
reader serves histories, so it keeps what judges need and no more:

    nil true false 42 42N 1.5 1.5M    as Python has them
    "text" \c :keyword :ns/keyword symbol    text; a keyword without its colon
    [...] (...)                       tuples
    #{...}                            a tuple, sorted
    {...}                             a dict if it is a form of its own, else a
                                      tuple of (key, value), sorted
    #tag form, ^meta form             the form alone
    ; comment   #_ form   ,           nothing

The elements of a list or vector that is the whole file are forms of their own,
so a history that is one vector streams as one of a map a line does.

Text is cut into tokens a piece at a time by one regular expression.  A token that
touches the end of a piece waits for the next piece: it might go on there.

Reference:
    Hickey, 2012.  Extensible data notation.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from io import BytesIO
from operator import length_hint
from typing import Any, Final, TypeAlias

from jepsen_like.history.malformed import MalformedHistoryError
from jepsen_like.history.operation import Value
from jepsen_like.readers.events.atoms import NotAnAtomError, atom
from jepsen_like.readers.source import LINE_BYTES_MAX, Source

Form: TypeAlias = "Value | dict[Value, Value]"

DEPTH_MAX: Final = 100
"""Of brackets in brackets; a history needs six."""

_KNOWN_COUNT_MAX: Final = 50_000
"""Atoms remembered, so that each is understood once: processes, times, keys."""

_TOKEN: Final = re.compile(
    r'"[^"\\]*(?:\\.?[^"\\]*)*"?'  # text, perhaps not all of it
    r"|;[^\n]*"
    r"|\#_|\#\{"
    r"|[\[\](){}^]"
    r"|\\.?[^\s,;\"()\[\]{}^\\]*"  # a character, which may be a bracket
    r"|[^\s,;\"()\[\]{}^\\]+",
    re.DOTALL,
)


class _Mark(Enum):
    """What a token is that is no value."""

    OPENS = "opens"
    CLOSES = "closes"
    DISCARDS = "discards"
    SKIPPED = "skipped"
    NEW = "new"


_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_WHOLE_FILE: Final = {"[": "]", "(": ")"}

_Item: TypeAlias = "Value | _Mark"
_Known: TypeAlias = "dict[str, _Item]"
_START: Final[_Known] = {
    **dict.fromkeys(_CLOSING, _Mark.OPENS),
    **dict.fromkeys(("]", ")", "}"), _Mark.CLOSES),
    **dict.fromkeys(("#_", "^"), _Mark.DISCARDS),
    "nil": None,
    "true": True,
    "false": False,
}


class Forms:
    """The forms of a source, each read when it is asked for."""

    def __init__(self, source: Source) -> None:
        """Begin before the first form of *source*."""
        self._source = source
        self._known = dict(_START)
        self._text = ""
        self._lines_before = 0
        self._tokens: Iterator[str] = iter(())
        self._top: list[Form] = []  # forms that are complete
        self._items: list[Any] = self._top  # of the innermost open bracket
        self._stack: list[tuple[str, list[Any]]] = []  # brackets, and what is around
        self._whole = ""  # the bracket that closes the list that is the file
        self._to_discard = 0  # forms of their own to come
        self._discards = False  # something is to be discarded in an open bracket

    @property
    def line(self) -> int:
        """The line, from 1, where the last form or the last token ended."""
        left = length_hint(self._tokens)
        ends = [match.end() for match in _TOKEN.finditer(self._text)]
        end = ends[-1 - left] if left < len(ends) else 0
        return self._lines_before + self._text.count("\n", 0, end) + 1

    def malformed(self, message: str) -> MalformedHistoryError:
        """Return the error that says *message* of where reading is now."""
        return self._source.malformed(message, self.line)

    def __iter__(self) -> Iterator[Form]:
        """
        Yield all forms; call once.

        Raises:
            MalformedHistoryError: The text is not EDN.
        """
        known, top, items = self._known, self._top, self._items
        for tokens in self._batches():
            for token in tokens:
                value = known.get(token, _Mark.NEW)
                if value.__class__ is not _Mark:
                    items.append(value)
                    continue
                if value is _Mark.NEW:
                    value = self._learned(token)
                    if value is not _Mark.SKIPPED:
                        items.append(value)
                    continue
                if items is top:
                    yield from self._complete()
                self._nest(token, value)
                items = self._items
                if items is top:
                    yield from self._complete()
            if items is top:
                yield from self._complete()
        if self._stack or self._whole:
            expected = _CLOSING[self._stack[-1][0]] if self._stack else self._whole
            msg = f"the file ends where {expected!r} was expected: cut off?"
            raise self.malformed(msg)

    def _complete(self) -> Iterator[Form]:
        """Yield the forms of their own that are complete and not discarded."""
        for form in self._top:
            if self._to_discard:
                self._to_discard -= 1
            else:
                yield form
        self._top.clear()

    def _learned(self, token: str) -> _Item:
        """Return what *token* is, which was not known yet."""
        if token[0] in ";#" and not token.startswith("##"):
            return _Mark.SKIPPED
        try:
            value = atom(token)
        except NotAnAtomError as error:
            raise self.malformed(str(error)) from None
        if len(self._known) >= _KNOWN_COUNT_MAX:
            self._known.clear()
            self._known.update(_START)
        self._known[token] = value
        return value

    def _nest(self, token: str, mark: _Item) -> None:
        """Do what a bracket, or the sign of what is to be discarded, asks for."""
        if mark is _Mark.CLOSES:
            if self._stack or token != self._whole:
                self._close(token)
            else:
                self._whole = ""
        elif mark is _Mark.OPENS:
            self._open(token)
        elif self._stack:
            self._items.append(mark)
            self._discards = True
        else:
            self._to_discard += 1

    def _open(self, token: str) -> None:
        if not self._stack and not self._whole and not self._to_discard:
            self._whole = _WHOLE_FILE.get(token, "")
            if self._whole:
                return
        if len(self._stack) >= DEPTH_MAX:
            msg = f"more than {DEPTH_MAX} brackets in each other: not a history?"
            raise self.malformed(msg)
        self._stack.append((token, self._items))
        self._items = []

    def _close(self, token: str) -> None:
        """Append what the bracket *token* completes to what is around it."""
        if not self._stack:
            msg = f"{token!r} closes nothing that was opened"
            raise self.malformed(msg)
        opening, around = self._stack.pop()
        if token != _CLOSING[opening]:
            msg = f"expected {_CLOSING[opening]!r} to close {opening!r}, not {token!r}"
            raise self.malformed(msg)
        items, self._items = self._items, around
        if self._discards:
            items = _kept(items)
            self._discards = bool(self._stack)
        if opening == "{":
            if len(items) % 2:
                msg = "a map has a value for each key; one is missing"
                raise self.malformed(msg)
            pairs = dict(zip(items[::2], items[1::2], strict=True))
            around.append(
                tuple(sorted(pairs.items(), key=_order)) if self._stack else pairs
            )
        elif opening == "#{":
            around.append(tuple(sorted(items, key=_order)))
        else:
            around.append(tuple(items))

    def _batches(self) -> Iterator[Iterator[str]]:
        """Yield the tokens of each piece, none of which the next piece goes on."""
        decoder = getincrementaldecoder("utf-8")()
        rest: list[str] = []
        rest_chars = 0
        for piece in self._source.pieces():
            try:
                text = decoder.decode(piece)
            except UnicodeDecodeError:
                msg = "not UTF-8 in what follows"
                raise self.malformed(msg) from None
            # A long token is joined once, when its end may have come.
            if rest_chars > len(text) and '"' not in text and "\n" not in text:
                rest.append(text)
                rest_chars += len(text)
            else:
                rest = [self._cut("".join((*rest, text)))]
                rest_chars = len(rest[0])
                yield self._tokens
            if rest_chars > LINE_BYTES_MAX:
                msg = f"a token of more than {LINE_BYTES_MAX} characters"
                raise self.malformed(msg)
        self._cut("".join(rest), last=True)
        yield self._tokens

    def _cut(self, text: str, *, last: bool = False) -> str:
        """Cut *text* into the next tokens; return what must wait for more text."""
        self._lines_before += self._text.count("\n")
        tokens = _TOKEN.findall(text)
        rest = ""
        if not last and tokens and text.endswith(tokens[-1]):
            rest = tokens.pop()
            text = text[: -len(rest)]
        self._text, self._tokens = text, iter(tokens)
        return rest


@lru_cache(maxsize=10_000)
def values_of(text: str) -> tuple[Value, ...]:
    """
    Return the values, one at least, that *text* is in EDN.

    Raises:
        ValueError: It is not EDN, or there are none.
    """
    (values,) = Forms(Source(BytesIO(b"((" + text.encode() + b"\n))"), repr(text)))
    if not isinstance(values, tuple) or not values:
        msg = f"expected values, found {text!r}"
        raise ValueError(msg)
    return values


def value_of(text: str) -> Value:
    """
    Return the first value that *text* is in EDN.

    Raises:
        ValueError: It is not EDN, or there is none.
    """
    return values_of(text)[0]


def _kept(items: list[Any]) -> list[Any]:
    """Return *items* without what the marks among them discard."""
    kept: list[Any] = []
    to_discard = 0
    for item in items:
        if isinstance(item, _Mark):
            to_discard += 1
        elif to_discard:
            to_discard -= 1
        else:
            kept.append(item)
    return kept


def _order(value: Value) -> tuple[int, tuple[object, ...]]:
    """Return what to sort values of any kinds by."""
    match value:
        case None:
            return (0, ())
        case bool():
            return (1, (value,))
        case int() | float():
            return (2, (value,))
        case str():
            return (3, (value,))
        case tuple():
            return (4, tuple(map(_order, value)))
