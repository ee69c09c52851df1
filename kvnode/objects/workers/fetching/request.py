"""A request of HTTP under Cloudflare's names."""

from http import HTTPMethod
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from kvnode import fetching
from kvnode.errors import InvalidArgumentError
from kvnode.objects.workers.fetching.body import Body, octets_of, type_of
from kvnode.objects.workers.fetching.headers import as_pairs, headers_of
from kvnode.objects.workers.names import not_there, options

_OPTIONS: Final = {name: name for name in ("method", "headers", "body", "redirect")}
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})


class Request(Body):
    """
    What an object is asked, or asks another.

    Attributes:
        url: Absolute, if it was made here or came over HTTP.
        headers: As in http.client.
    """

    _called: ClassVar[str] = "request"

    url: str
    _method: str

    def __init__(self, resource: "Request | str", **named: Any) -> None:  # noqa: ANN401 -- whose code has types is not known
        """
        Make a request of a URL, or of another one, whose body it takes.

        Args:
            resource: An absolute URL, or a request.
            named: `method`, `headers`, `body` (text or bytes), and `redirect`, which
                may be `manual`: no redirect is followed.

        Raises:
            InvalidArgumentError: It is none that HTTP could carry.
        """
        asked = options("Request", None, named, known=_OPTIONS)
        redirect = asked.get("redirect", "manual")
        if redirect != "manual":
            raise InvalidArgumentError(not_there(f"redirect={redirect!r} of Request"))
        body = asked.get("body")
        held = octets_of(body, "Request")
        method: str = HTTPMethod.GET
        headers: Any = None
        if isinstance(resource, Request):
            self.url = resource.url
            method, headers = resource.method, resource.headers
            if held is None and resource._held is not None:  # an empty one is one, too
                held = resource._read()
        else:
            self.url = _absolute(resource)
        headers = asked.get("headers", headers)
        super().__init__(headers_of(headers, content_type=type_of(body)), held)
        self._method = str(asked.get("method", method)).upper()
        is_as_received = isinstance(resource, Request) and not asked
        if held is not None and self._method in _WITHOUT_BODY and not is_as_received:
            msg = f"a request of method {self._method} has no body"
            raise InvalidArgumentError(msg)
        self._ours()

    @classmethod
    def received(cls, ours: fetching.Request) -> Self:
        """Return what somebody has sent."""
        made = cls.__new__(cls)
        Body.__init__(made, headers_of(ours.headers), ours.body or None)
        made.url, made._method = ours.url, ours.method
        return made

    def taken(self) -> fetching.Request:
        """
        Return what is to be sent; its body is used.

        Raises:
            InvalidArgumentError: It was used before, or headers that were added since
                are none.
        """
        held = self._read()
        if self._held is not None:
            del self.headers["content-length"]  # that of another body, perhaps
            self.headers["content-length"] = str(len(held))
        return self._ours()

    def _ours(self) -> fetching.Request:
        return fetching.Request(
            self._method, self.url, as_pairs(self.headers), self._held or b""
        )

    @property
    def method(self) -> HTTPMethod | str:
        """Return the method, in capitals; equal to its text."""
        known = self._method in HTTPMethod.__members__
        return HTTPMethod(self._method) if known else self._method

    def clone(self) -> "Request":
        """
        Return another one of the same, to be read by itself.

        Raises:
            InvalidArgumentError: Its body was used.
        """
        self._check_not_used()
        return Request.received(self._ours())

    def __repr__(self) -> str:
        return f"Request(method={self._method!r}, url={self.url!r})"


def _absolute(url: object) -> str:
    """
    Return a URL as it is sent: with a path, and without a fragment.

    Raises:
        InvalidArgumentError: It is no absolute URL of HTTP.
    """
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:  # brackets that are odd
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{url!r:.80} is no absolute URL, such as http://object/path"
        raise InvalidArgumentError(msg)
    return parts._replace(path=parts.path or "/", fragment="").geturl()
