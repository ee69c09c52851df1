"""
Methods and fetches of objects over HTTP.

A call's arguments are a JSON array, or an object for arguments by name.  Its header
`idempotency-key` is that of the call, `kvnode-deadline-ms` says for how long the caller
waits, and `kvnode-location-hint` where the object is to live unless it has a home.  A
fetch is a call, too, so they mean there what they mean here; the object sees them as
well.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from kvnode.api.calling import (
    check_name,
    check_shape,
    checked_region,
    within_patience,
)
from kvnode.api.limits import checked_patience, no_constant
from kvnode.api.object_calls import FORWARDED_BYTES_MAX
from kvnode.api.object_locations import location_of
from kvnode.api.objects_port import Call, ObjectsPort
from kvnode.core.objects.homes import region_of
from kvnode.errors import (
    InvalidArgumentError,
    ObjectRaisedError,
    RequestRefusedError,
)
from kvnode.fetching import FETCH, Headers, Request, Response
from kvnode.http.answers import ERROR_HEADER, result
from kvnode.http.routes import STORAGE_CLASS, CallOf, FetchOf, LocationOf
from kvnode.object_json import from_json
from kvnode.object_values import Value, encode_value
from kvnode.objects.locating import LOCATE
from kvnode.objects.object_id import ObjectId

DEADLINE_HEADER: Final = "kvnode-deadline-ms"
IDEMPOTENCY_HEADER: Final = "idempotency-key"
LOCATION_HEADER: Final = "kvnode-location-hint"

_OF_CONNECTIONS: Final = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They end here, and so do those that `connection` names (RFC 9110, 7.6.1)."""

_OURS: Final = frozenset({"content-length", ERROR_HEADER})
"""What a response of an object cannot say: the server says it."""


class ObjectCalls:
    """Calls objects for requests."""

    def __init__(self, objects: ObjectsPort) -> None:
        """Let them call *objects*."""
        self._objects = objects

    async def call(self, request: Request, route: CallOf) -> Response:
        """Answer with the result of a method, whose arguments are in *request*."""
        arguments, named = _arguments(request, route.method)
        check_shape(route.method, len(arguments) + len(named))
        check_name(route.method)
        return result(
            await self.value(request, route.target, route.method, arguments, named)
        )

    async def fetch(self, request: Request, route: FetchOf, query: str) -> Response:
        """Answer with what an object answers *request*, as seen from its path."""
        inner = Request(
            request.method,
            _url(request, route.path, query),
            _end_to_end(request.headers),
            request.body,
        )
        answer = await self.value(request, route.target, FETCH, [inner.as_value()])
        response = Response.of_peer(answer)
        headers = (
            header
            for header in _end_to_end(response.headers)
            if header[0].lower() not in _OURS
        )
        return Response(response.status, tuple(headers), response.body)

    async def location(self, request: Request, route: LocationOf) -> Response:
        """Answer where an object lives, and who leads it."""
        found = location_of(await self.value(request, route.target, LOCATE, []))
        return result(
            {
                "region": region_of(found.shard),
                "shard": found.shard,
                "leader": self._objects.leader_of(found.shard),
                "settled": found.is_settled,
            }
        )

    async def value(
        self,
        request: Request,
        target: ObjectId,
        method: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value] | None = None,
    ) -> Value:
        """
        Return the result of a method.

        Raises:
            RequestRefusedError: There is no such class.
            KvError: See kvnode.api.objects_port.ObjectsPort.begin.
        """
        for each in (*arguments, *(named or {}).values()):
            encode_value(each, f"what {method} is given", bytes_max=FORWARDED_BYTES_MAX)
        call = Call(
            target,
            method,
            arguments,
            named or {},
            _idempotency_key(request),
            patience_ms=checked_patience(_deadline_ms(request)),
            location_hint=checked_region(request.header(LOCATION_HEADER) or ""),
        )
        try:
            return await within_patience(self._objects, call)
        except InvalidArgumentError as error:
            if target.class_name in self._objects.classes:
                raise
            raise RequestRefusedError(str(error), status=404) from error
        except ObjectRaisedError as error:
            # Its methods check what they are given before they write anything.
            is_refusal = error.type_name == InvalidArgumentError.__name__
            if not is_refusal or target.class_name != STORAGE_CLASS:
                raise
            raise InvalidArgumentError(str(error)) from error


def json_body(request: Request, what: str) -> Value:
    """
    Return what the body says; bytes in it as such.

    Args:
        request: It has a body.
        what: What that should be, with an example, for the error.

    Raises:
        InvalidArgumentError: It is not JSON.
        RequestRefusedError: It is packed.
    """
    coding = request.header("content-encoding") or "identity"
    if coding.lower() != "identity":
        msg = f"the body is packed ({coding}): send it as it is"
        raise RequestRefusedError(msg, status=415)
    try:
        found = json.loads(request.body.decode(), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        msg = f"the body is not JSON ({error}); it takes {what}"
        raise InvalidArgumentError(msg) from error
    return from_json(found, "the body")


def _arguments(
    request: Request, method: str
) -> tuple[Sequence[Value], Mapping[str, Value]]:
    what = f'the arguments of {method}: [3], or by their names {{"by": 3}}'
    found = json_body(request, what) if request.body.strip() else []
    match found:
        case list():
            return found, {}
        case dict():
            return (), {str(name): value for name, value in found.items()}
        case _:
            msg = f"the body is neither an array nor an object; it takes {what}"
            raise InvalidArgumentError(msg)


def _idempotency_key(request: Request) -> str:
    return request.header(IDEMPOTENCY_HEADER) or ""


def _deadline_ms(request: Request) -> int:
    text = request.header(DEADLINE_HEADER) or "0"
    if not text.isascii() or not text.isdigit():
        msg = f"{DEADLINE_HEADER} is {text!r:.80}; it takes a number of milliseconds"
        raise InvalidArgumentError(msg)
    return int(text[:20])


def _url(request: Request, path: str, query: str) -> str:
    """Return the URL under which an object sees a request."""
    forwarded = request.header("x-forwarded-proto")
    scheme = forwarded if forwarded in {"http", "https"} else "http"
    host = request.header("host") or "localhost"  # HTTP/1.0 need not name one
    return f"{scheme}://{host}{path}" + (f"?{query}" if query else "")


def _end_to_end(headers: Headers) -> Headers:
    """Return *headers* without those of the connection on which they came."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for word in value.split(",")
    }
    dropped = _OF_CONNECTIONS | named
    return tuple(header for header in headers if header[0].lower() not in dropped)
