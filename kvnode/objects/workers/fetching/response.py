"""A response of HTTP under Cloudflare's names."""

import json
from http import HTTPMethod, HTTPStatus
from typing import Any, ClassVar, Final, Self

from kvnode import fetching
from kvnode.errors import InvalidArgumentError
from kvnode.objects.workers.fetching.body import Body, octets_of, type_of
from kvnode.objects.workers.fetching.headers import as_pairs, headers_of
from kvnode.objects.workers.fetching.request import Request
from kvnode.objects.workers.names import not_there

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Response(Body):
    """
    What an object answers, or has been answered.

    Attributes:
        status: 200 to 599.
        status_text: Stays where it was given: not all of HTTP has it.
        url: What was asked; empty for one that was made here.
        headers: As in http.client.
    """

    _called: ClassVar[str] = "response"

    def __init__(
        self,
        body: Any = None,  # noqa: ANN401 -- whose code has types is not known
        status: int | None = None,
        status_text: str = "",
        headers: Any = None,  # noqa: ANN401 -- the same
        web_socket: object = None,
    ) -> None:
        """
        Make a response.

        Args:
            body: Text, bytes, or None.
            status: 200 if None.
            status_text: What it means.
            headers: A dict, or a list of names and values.
            web_socket: Not there.

        Raises:
            InvalidArgumentError: It is none that HTTP could carry.
        """
        if web_socket is not None:
            raise InvalidArgumentError(not_there("web_socket of Response"))
        self.status = int(HTTPStatus.OK if status is None else status)
        if self.status in fetching.WITHOUT_BODY and body in ("", b""):
            body = None
        held = octets_of(body, "Response")
        super().__init__(headers_of(headers, content_type=type_of(body)), held)
        self.status_text = status_text
        self.url = ""
        self._ours()

    @classmethod
    def received(cls, ours: fetching.Response, asked: Request) -> Self:
        """Return what came back for *asked*."""
        body = None if asked.method == HTTPMethod.HEAD else ours.body
        made = cls(body, ours.status, headers=ours.headers)
        made.url = asked.url
        return made

    def taken(self) -> fetching.Response:
        """
        Return what is to be sent; its body is used.

        Raises:
            InvalidArgumentError: It was used before, or headers that were added since
                are none.
        """
        ours = self._ours()
        self._read()
        return ours

    def _ours(self) -> fetching.Response:
        return fetching.Response(self.status, as_pairs(self.headers), self._held or b"")

    @property
    def ok(self) -> bool:
        """Tell whether its status says that all went well."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def clone(self) -> "Response":
        """
        Return another one of the same, to be read by itself.

        Raises:
            InvalidArgumentError: Its body was used.
        """
        self._check_not_used()
        made = self.replace_body(self._held)
        made.url = self.url
        return made

    def replace_body(self, body: Any) -> "Response":  # noqa: ANN401 -- the same
        """Return one with another body, and all else as here."""
        return Response(body, self.status, self.status_text, self.headers)

    def json(self: object, *given: Any, **named: Any) -> Any:  # noqa: ANN401 -- the same
        """Return what the body says; or, called by the class, see `from_json`."""
        if isinstance(self, Response):
            return Body.json(self, **named)
        return Response.from_json(self, *given, **named)

    @staticmethod
    def from_json(
        data: Any,  # noqa: ANN401 -- the same
        status: int = HTTPStatus.OK,
        status_text: str = "",
        headers: Any = None,  # noqa: ANN401 -- the same
    ) -> "Response":
        """
        Return a response that says *data* in JSON.

        Raises:
            TypeError: JSON cannot say it.
        """
        given = headers_of(headers, content_type="application/json")
        return Response(json.dumps(data), status, status_text, given)

    @staticmethod
    def redirect(url: str, status: int = HTTPStatus.FOUND) -> "Response":
        """
        Return a response that sends whoever asked to *url*.

        Raises:
            InvalidArgumentError: The status is of no redirect.
        """
        if status not in _REDIRECTS:
            msg = f"{status} is no status of a redirect, such as 302"
            raise InvalidArgumentError(msg)
        return Response(None, status, headers={"location": url})

    def __repr__(self) -> str:
        return f"Response(status={self.status})"
