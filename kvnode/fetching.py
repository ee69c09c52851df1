"""
HTTP requests and responses as values, for the `fetch` of objects.

Between nodes a fetch is a call of the method `fetch` like any other: its one argument
and its result are maps, which travel as whatever a call passes.

    request     {"method": text, "url": text, "headers": PAIRS, "body": bytes}
    response    {"status": number, "headers": PAIRS, "body": bytes}

So who knows nothing of fetches sends them on, and nothing new can be wrong on the way.
Both are whole: there are no streams, and no limits but those of a call.

References:
    RFC 9110, HTTP Semantics: 5.1 names of fields, 5.5 their values, 9.1 methods,
        15 status codes.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from kvnode.errors import InvalidArgumentError, PeerProtocolError
from kvnode.limits import HTTP_HEADERS_MAX

FETCH: Final = "fetch"
"""The method that is called."""

STATUS_MIN: Final = 200  # 1xx say that a response is still to come
STATUS_MAX: Final = 599

WITHOUT_BODY: Final = frozenset({204, 205, 304})
"""Statuses of responses in which HTTP has no room for one."""

Headers = tuple[tuple[str, str], ...]
"""Names and values in their order; a name may be there more than once."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_URL: Final = re.compile(r"[^\x00-\x20\x7f]+")


class _Message:
    """What requests and responses have in common."""

    __slots__ = ()

    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in whatever case; None without one."""
        wanted = name.lower()
        return next(
            (value for each, value in self.headers if each.lower() == wanted), None
        )

    def text(self) -> str:
        """
        Return the body as text.

        Raises:
            ValueError: It is not UTF-8.
        """
        return self.body.decode()

    def json(self) -> Any:  # noqa: ANN401 -- whatever was sent
        """
        Return what the body says in JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.body)

    def _check(self) -> None:
        if not isinstance(self.body, bytes):
            msg = f"a body is bytes, not {type(self.body).__name__}: encode it"
            raise InvalidArgumentError(msg)
        count = len(self.headers)
        if count > HTTP_HEADERS_MAX:
            msg = f"there are {count} headers; at most {HTTP_HEADERS_MAX} may be"
            raise InvalidArgumentError(msg)
        for header in self.headers:
            _check_header(header)


@dataclass(frozen=True, slots=True)
class Request(_Message):
    """
    What is asked of an object.

    Attributes:
        method: Such as GET; in capitals by custom.
        url: Absolute, or whatever caller and object agree on.
        headers: Lower case, if they came over HTTP.
        body: All of it.

    Raises:
        InvalidArgumentError: It is none that HTTP could carry.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        if not _fits(_TOKEN, self.method):
            msg = f"{self.method!r:.80} is no method of HTTP, such as GET"
            raise InvalidArgumentError(msg)
        if not _fits(_URL, self.url):
            msg = f"{self.url!r:.80} is no URL: it has no spaces, and is not empty"
            raise InvalidArgumentError(msg)
        self._check()

    def as_value(self) -> dict[str, Any]:
        """Return the argument of the call; the inverse of `from_value`."""
        return {
            "method": self.method,
            "url": self.url,
            "headers": [list(header) for header in self.headers],
            "body": self.body,
        }

    @classmethod
    def from_value(cls, value: object) -> Self:
        """
        Return the request that was passed.

        Raises:
            InvalidArgumentError: It is none.
        """
        match value:
            case {
                "method": str(method),
                "url": str(url),
                "headers": list(headers),
                "body": bytes(body),
            }:
                return cls(method, url, _headers(headers), body)
            case _:
                msg = (
                    "fetch takes a request: method, url, headers (pairs) and body"
                    f" (bytes); not {value!r:.80}"
                )
                raise InvalidArgumentError(msg)


@dataclass(frozen=True, slots=True)
class Response(_Message):
    """
    What an object answers.

    Attributes:
        status: 200 to 599.
        headers: Without those that belong to a connection.
        body: All of it; must be empty where HTTP has no room for it.

    Raises:
        InvalidArgumentError: It is none that HTTP could carry.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        if self.status not in range(STATUS_MIN, STATUS_MAX + 1):
            msg = f"the status is {self.status}; it takes {STATUS_MIN} to {STATUS_MAX}"
            raise InvalidArgumentError(msg)
        self._check()
        if self.body and self.status in WITHOUT_BODY:
            msg = f"a response of status {self.status} has no body"
            raise InvalidArgumentError(msg)

    @classmethod
    def of_peer(cls, value: object) -> Self:
        """
        Return the response that came back from a node.

        Raises:
            PeerProtocolError: It is none.
        """
        try:
            return cls.from_value(value)
        except InvalidArgumentError as error:
            raise PeerProtocolError(str(error)) from error

    @classmethod
    def of_text(cls, text: str, status: int = 200) -> Self:
        """Return a response of plain text."""
        return cls(
            status, (("content-type", "text/plain;charset=utf-8"),), text.encode()
        )

    @classmethod
    def of_json(cls, value: object, status: int = 200) -> Self:
        """
        Return a response that says *value* in JSON.

        Raises:
            TypeError: JSON cannot say it.
        """
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, (("content-type", "application/json"),), body)

    def as_value(self) -> dict[str, Any]:
        """Return the result of the call; the inverse of `from_value`."""
        return {
            "status": self.status,
            "headers": [list(header) for header in self.headers],
            "body": self.body,
        }

    @classmethod
    def from_value(cls, value: object) -> Self:
        """
        Return the response that came back.

        Raises:
            InvalidArgumentError: It is none.
        """
        match value:
            case {
                "status": int(status),
                "headers": list(headers),
                "body": bytes(body),
            }:
                return cls(status, _headers(headers), body)
            case _:
                msg = f"what fetch answered with is no response: {value!r:.80}"
                raise InvalidArgumentError(msg)


def _fits(pattern: re.Pattern[str], text: object) -> bool:
    """Tell whether *text* is text of that form: whose code has types is not known."""
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _headers(pairs: Iterable[object]) -> Headers:
    found = []
    for pair in pairs:
        match pair:
            case [str(name), str(value)]:
                found.append((name, value))
            case _:
                msg = f"a header is a name and a value, unlike {pair!r:.80}"
                raise InvalidArgumentError(msg)
    return tuple(found)


def _check_header(header: object) -> None:
    match header:
        case (name, str(value)) if value == value.strip(" \t"):
            is_one = _fits(_TOKEN, name) and _fits(_LINE, value)
        case _:
            is_one = False
    if not is_one:
        msg = (
            "a header has a name of letters, digits and dashes, and a value without"
            f" line breaks or spaces around it, unlike {header!r:.80}"
        )
        raise InvalidArgumentError(msg)
