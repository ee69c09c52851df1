"""
Headers as code for Python Workers has them: an http.client.HTTPMessage.

There it is filled from JavaScript's, which lists names in lower case and sorted, and
joins the values of one name by commas; save cookies that are set, in whose values
commas mean something else ("sort and combine" of the Fetch Standard).
"""

from collections.abc import Mapping
from email.message import Message
from http.client import HTTPMessage
from typing import Any, Final

from kvnode.errors import InvalidArgumentError
from kvnode.fetching import Headers

_NOT_JOINED: Final = "set-cookie"


class MessageHeaders(HTTPMessage):
    """Headers of one message; names in whatever case."""

    def has(self, name: str) -> bool:
        """Tell whether there is a header, as JavaScript asks."""
        return name in self


def headers_of(given: Any, *, content_type: str = "") -> MessageHeaders:  # noqa: ANN401 -- whose code has types is not known
    """
    Return headers.

    Args:
        given: A map, or a list of names and values; None for no headers.
        content_type: Of the body, if they do not say it; empty if it is not known.

    Raises:
        InvalidArgumentError: They are something else.
    """
    values: dict[str, list[str]] = {}
    for pair in _pairs(given):
        match pair:
            case [str(name), str() | int() as value]:
                text = str(value).strip(" \t\r\n")
                values.setdefault(name.lower(), []).append(text)
            case _:
                msg = f"a header is a name and a text, unlike {pair!r:.80}"
                raise InvalidArgumentError(msg)
    if content_type:
        values.setdefault("content-type", [content_type])
    found = MessageHeaders()
    for name, several in sorted(values.items()):
        for value in several if name == _NOT_JOINED else [", ".join(several)]:
            found[name] = value  # which adds one
    return found


def as_pairs(headers: MessageHeaders) -> Headers:
    """Return headers as kvnode.fetching has them; the inverse of `headers_of`."""
    return tuple((name, str(value)) for name, value in headers.items())


def _pairs(given: Any) -> list[Any]:  # noqa: ANN401 -- the same
    match given:
        case None:
            return []
        case Message() | Mapping():
            return list(given.items())
        case list() | tuple():
            return list(given)
        case _:
            kind = type(given).__name__
            msg = f"headers are a dict, or a list of names and values, not {kind}"
            raise InvalidArgumentError(msg)
