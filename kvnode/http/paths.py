"""
Paths and queries as they stand on the wire.

Names of objects and keys may hold anything, a slash too.  So a path is split before it
is decoded, and each part is decoded once: `a%2Fb` is the name `a/b`, and `a%252Fb` is
`a%2Fb`.  In a path `+` stands for itself; in a query it is a space, as in forms.

References:
    RFC 3986, 2.1 percent-encoding; 2.4 "must not percent-encode or decode the same
        string more than once".
    WHATWG URL, application/x-www-form-urlencoded parsing.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from kvnode.errors import InvalidArgumentError

PARAMETERS_MAX: Final = 100  # far more than any route has; Python's own default bound

_ESCAPES: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_ORIGIN: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


class RawPath(NamedTuple):
    """
    Where a request goes, not decoded.

    Attributes:
        path: It begins with a slash, unless it is nothing that can be found.
        query: What follows the first question mark.
    """

    path: str
    query: str

    @classmethod
    def of(cls, target: str) -> "RawPath":
        """
        Return what a request's first line names; absolute URLs lose their origin.

        Raises:
            InvalidArgumentError: It is not UTF-8.
        """
        try:
            target.encode()
        except UnicodeEncodeError as error:
            msg = "the path holds bytes that are no UTF-8: write each as %XX"
            raise InvalidArgumentError(msg) from error
        origin = _ORIGIN.match(target)
        rest = target[origin.end() :] if origin else target
        path, _, query = rest.partition("?")
        return cls(path or "/", query)


def decoded(part: str) -> str:
    """
    Return what a part of a path stands for.

    Raises:
        InvalidArgumentError: It is not percent-encoded, or not UTF-8.
    """
    if _ESCAPES.search(part):
        msg = f"{part!r:.80} holds a % that begins no %XX: write it as %25"
        raise InvalidArgumentError(msg)
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        msg = f"{part!r:.80} does not decode to UTF-8"
        raise InvalidArgumentError(msg) from error


def parameters(query: str, known: Iterable[str]) -> Mapping[str, str]:
    """
    Return the parameters of *query*.

    Raises:
        InvalidArgumentError: One is not among *known*, is there twice, or is no UTF-8.
    """
    names = tuple(known)
    found: dict[str, str] = {}
    for field in query.split("&", PARAMETERS_MAX) if query else ():
        raw_name, _, raw_value = field.partition("=")
        try:
            name = unquote_plus(raw_name, errors="strict")
            value = unquote_plus(raw_value, errors="strict")
        except UnicodeDecodeError as error:
            msg = f"{field!r:.80} in the query does not decode to UTF-8"
            raise InvalidArgumentError(msg) from error
        if name not in names:
            msg = f"there is no parameter {name!r:.80}; there are {', '.join(names)}"
            raise InvalidArgumentError(msg)
        if name in found:
            msg = f"the parameter {name} is there more than once"
            raise InvalidArgumentError(msg)
        found[name] = value
    return found
