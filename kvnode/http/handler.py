"""
From a request to its answer, whatever goes wrong on the way.

Which node is asked does not matter: calls find the node that leads their object, as
those over gRPC do.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Final, assert_never

from kvnode.api.objects_port import ObjectsPort
from kvnode.errors import IndeterminateError, KvError, RequestRefusedError
from kvnode.fetching import Request, Response
from kvnode.http.alarms import ObjectAlarms
from kvnode.http.answers import document, failure, result
from kvnode.http.calls import ObjectCalls
from kvnode.http.maps import ObjectMaps
from kvnode.http.paths import RawPath
from kvnode.http.routes import (
    AlarmOf,
    CallOf,
    FetchOf,
    Health,
    IdOf,
    KeyOf,
    KeysOf,
    LocationOf,
    NewId,
    Overview,
    Route,
    TransactionOf,
    route_of,
)
from kvnode.objects.object_id import ObjectId
from kvnode.types import Millis

logger = logging.getLogger(__name__)

NO_OBJECTS: Final = "this node serves no objects: start it with --objects"


class Handler:
    """Answers requests."""

    def __init__(
        self,
        objects: ObjectsPort | None,
        *,
        serves: Callable[[], bool],
        now: Callable[[], Millis],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """
        Answer for a node.

        Args:
            objects: What it serves, if anything.
            serves: Tells whether clients should ask it.
            now: Returns ms since 1970.
            random_bytes: Draws so many; from a source that nobody can guess.
        """
        self._objects = objects
        self._serves = serves
        self._now = now
        self._random_bytes = random_bytes

    async def answer(self, request: Request) -> Response:
        """Return the answer to *request*, whose URL is what its first line names."""
        try:
            where = RawPath.of(request.url)
            route = route_of(where.path)
            _check_method(request.method, where.path, route)
            return await self._answer(request, route, where.query)
        except KvError as error:
            return failure(error)
        except Exception:
            logger.exception("%s %s has failed", request.method, request.url)
            msg = "the node failed during the request: see its log"
            return failure(IndeterminateError(msg))

    async def _answer(self, request: Request, route: Route, query: str) -> Response:
        if isinstance(route, Health):
            return self._health()
        if self._objects is None:
            raise RequestRefusedError(NO_OBJECTS, status=501)
        calls = ObjectCalls(self._objects)
        match route:
            case CallOf():
                answer = await calls.call(request, route)
            case FetchOf():
                answer = await calls.fetch(request, route, query)
            case KeysOf() | KeyOf() | TransactionOf():
                answer = await ObjectMaps(calls).answer(request, route, query)
            case LocationOf():
                answer = await calls.location(request, route)
            case AlarmOf():
                answer = await ObjectAlarms(calls, self._now).answer(request, route)
            case Overview():
                answer = _overview(self._objects)
            case NewId() | IdOf():
                answer = self._identity(self._objects, route)
            case _:
                assert_never(route)
        return answer

    def _health(self) -> Response:
        if self._serves():
            return document({"status": "serving"})
        return document({"status": "not serving"}, status=503)

    def _identity(self, objects: ObjectsPort, route: NewId | IdOf) -> Response:
        match route:
            case NewId(class_name):
                target = ObjectId.drawn(class_name, self._random_bytes)
            case IdOf(target):
                pass
            case _:
                assert_never(route)
        if target.class_name not in objects.classes:
            known = ", ".join(objects.classes)
            msg = f"no class {target.class_name!r} is served here; there are {known}"
            raise RequestRefusedError(msg, status=404)
        return result(
            {
                "class": target.class_name,
                "id": str(target),
                "name": target.name or None,
            }
        )


def _check_method(method: str, path: str, route: Route) -> None:
    if route.methods and method not in route.methods:
        wanted = " or ".join(route.methods)
        msg = f"{method} is not for {path!r:.80}; {wanted} is"
        raise RequestRefusedError(msg, status=405, allowed=route.methods)


def _overview(objects: ObjectsPort) -> Response:
    shards = [
        {
            "shard": each.shard,
            "epoch": each.epoch,
            "led_here": each.is_led_here,
            "committed": each.committed,
            "applied": each.applied,
            "instances": each.instances,
            "leader": each.leader,
            "fault": each.fault,
        }
        for each in objects.status()
    ]
    return result({"classes": list(objects.classes), "shards": shards})
