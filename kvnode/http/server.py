"""
HTTP/1.1 on a port: connections, bodies, and how many of them there may be.

A request is read whole before anything is done, and answered whole.  The bounds are
those of kvnode.limits; a client that is slower, or sends more, is told so, and one that
connects when no more connections may be is cut off.

The reason phrase of a status can be anything in HTTP/1.1, and some clients show nothing
else; aiohttp can set it, which no ASGI server can (docs/decisions/0027).

References:
    RFC 9112, HTTP/1.1.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from kvnode.address import split_address
from kvnode.api.objects_port import ObjectsPort
from kvnode.direct import listening
from kvnode.errors import ConfigError, KvError, RequestRefusedError
from kvnode.fetching import Request, Response
from kvnode.http.admission import Admission
from kvnode.http.answers import failure
from kvnode.http.handler import Handler
from kvnode.http.routes import HEALTH_PATH
from kvnode.limits import (
    HTTP_BODIES_BYTES_MAX,
    HTTP_BODY_MILLIS_MAX,
    HTTP_CONNECTIONS_MAX,
    HTTP_HEADER_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_IDLE_MILLIS_MAX,
    HTTP_LINE_BYTES_MAX,
    HTTP_REQUESTS_MAX,
)
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.types import Millis

logger = logging.getLogger(__name__)

BACKLOG: Final = 128  # connections that wait to be accepted; Linux's own bound for long
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Patience(NamedTuple):
    """
    How long a server waits.

    Attributes:
        idle_seconds: For the whole header of a request; its connection ends then.
        body_seconds: For a body to come in.
        grace_seconds: For requests that are under way when it is closed, and for the
            rest of a body that was refused, so that the client reads why.
    """

    idle_seconds: float
    body_seconds: float
    grace_seconds: float


DEFAULT_PATIENCE: Final = Patience(
    HTTP_IDLE_MILLIS_MAX / 1000,
    HTTP_BODY_MILLIS_MAX / 1000,
    grace_seconds=3.0,  # as long as a node that stops waits for calls
)


def bound_socket(address: str) -> socket.socket:
    """
    Return a socket that is bound to host:port, and does not listen yet.

    How long a client may take to read goes with it.

    Raises:
        ConfigError: It cannot be.
    """
    try:
        found = listening.bound_socket(*split_address(address))
    except OSError as error:
        msg = f"http: cannot listen on {address}: {error.strerror or error}"
        raise ConfigError(msg) from error
    # Connections inherit it: who reads nothing is cut off, and its answer dropped.
    listening.set_if_known(found, "TCP_USER_TIMEOUT", HTTP_BODY_MILLIS_MAX)
    return found


class HttpServer:
    """Serves requests on one port from `start` to `close`."""

    def __init__(
        self,
        listening: socket.socket,
        objects: ObjectsPort | None,
        *,
        serves: Callable[[], bool],
        now: Callable[[], Millis],
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        """
        Serve on *listening*, which belongs to the server from now on.

        Args:
            listening: See `bound_socket`.
            objects: What the node serves, if anything.
            serves: Tells whether clients should ask it.
            now: Returns ms since 1970.
            patience: How long it waits.
        """
        self._socket = listening
        self._handler = Handler(
            objects, serves=lambda: serves() and not self._is_leaving, now=now
        )
        self._patience = patience
        self._admission = Admission(
            requests_max=HTTP_REQUESTS_MAX, bytes_max=HTTP_BODIES_BYTES_MAX
        )
        self._is_leaving = False
        self._runner: web.ServerRunner | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        found: int = self._socket.getsockname()[1]
        return found

    async def start(self) -> None:
        """Serve from now on."""
        server = _Server(
            self._serve,
            keepalive_timeout=self._patience.idle_seconds,
            max_line_size=HTTP_LINE_BYTES_MAX,
            max_field_size=HTTP_HEADER_BYTES_MAX,
            max_headers=HTTP_HEADERS_MAX,
            lingering_time=self._patience.grace_seconds,
            auto_decompress=False,  # an object gets what was sent
            access_log=None,
            logger=logger,
        )
        self._runner = web.ServerRunner(
            server, shutdown_timeout=self._patience.grace_seconds
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, backlog=BACKLOG).start()

    def leave(self) -> None:
        """Tell clients to go elsewhere: what comes is answered, and then no more."""
        self._is_leaving = True

    async def close(self) -> None:
        """Listen no more, and end what takes too long."""
        self._is_leaving = True
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    async def _serve(self, incoming: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._response(incoming)
        except KvError as error:
            response = failure(error)
        answer = _sent(response)
        if self._is_leaving:
            answer.force_close()
        return answer

    async def _response(self, incoming: web.BaseRequest) -> Response:
        if incoming.raw_path == HEALTH_PATH:  # however much is under way
            return await self._handler.answer(_received(incoming, b""))
        with self._admission.admitted(_announced_bytes(incoming)):
            body = await self._body(incoming)
            return await self._handler.answer(_received(incoming, body))

    async def _body(self, incoming: web.BaseRequest) -> bytes:
        if not incoming.body_exists:
            return b""
        if incoming.headers.get("expect", "").lower() == "100-continue":
            await incoming.writer.write(CONTINUE)
            incoming.writer.output_size = 0  # the response has not begun
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience.body_seconds):
                async for chunk in incoming.content.iter_any():
                    body += chunk
                    _check_length(len(body))
        except TimeoutError:
            msg = f"the body has not come within {self._patience.body_seconds:g} s"
            raise RequestRefusedError(msg, status=408) from None
        except RequestPayloadError as error:
            msg = f"the body is not what its header says: {error}"
            raise RequestRefusedError(msg, status=400) from error
        return bytes(body)


class _Server(web.Server):
    """Accepts as many connections as there may be."""

    def connection_made(
        self, handler: web.RequestHandler, transport: asyncio.Transport
    ) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > HTTP_CONNECTIONS_MAX:
            logger.warning("%s connections are open", HTTP_CONNECTIONS_MAX)
            handler.force_close()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """Says in JSON what is no HTTP, without a page of traceback in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004 -- ours, not the client's
            return super().handle_error(request, status, exc, message)
        logger.debug("%s has sent what is no HTTP: %s", request.remote, message)
        msg = f"this is no request of HTTP/1.1 that is taken here: {message}"
        answer = _sent(failure(RequestRefusedError(msg, status=status)))
        answer.force_close()
        return answer


def _announced_bytes(incoming: web.BaseRequest) -> int:
    """
    Return how many bytes of body may come.

    Raises:
        RequestRefusedError: They are too many.
    """
    if not incoming.body_exists:
        return 0
    announced = incoming.content_length
    if announced is None:
        return CALL_BYTES_MAX
    _check_length(announced)
    return announced


def _check_length(size_bytes: int) -> None:
    if size_bytes > CALL_BYTES_MAX:
        msg = (
            f"the body has {size_bytes} bytes, or more; at most {CALL_BYTES_MAX} are"
            " allowed"
        )
        raise RequestRefusedError(msg, status=413)


def _received(incoming: web.BaseRequest, body: bytes) -> Request:
    headers = (
        (name.decode("ascii").lower(), _text(value))
        for name, value in incoming.raw_headers
    )
    return Request(incoming.method, incoming.raw_path, tuple(headers), body)


def _text(value: bytes) -> str:
    """Return a header's value: UTF-8 if it can be, as some clients send it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _sent(response: Response) -> web.Response:
    return web.Response(
        status=response.status,
        headers=[("server", "kvnode"), *response.headers],
        body=response.body,
    )
