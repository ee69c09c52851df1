"""A handler that tests ask without a network."""

import json
from collections import deque
from typing import Any

from kvnode.api.objects_port import Call, ShardStatus
from kvnode.fetching import Request, Response
from kvnode.http.handler import Handler
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.telling import Leave, Tell
from kvnode.types import Millis
from tests.objects.running.objects import NOW, SHARD, Site
from tests.told_later import told_later

COUNTER = "/v1/objects/Counter/c"


def now() -> Millis:
    """Return what the clock of a handler shows in tests: always the same."""
    return Millis(NOW)


async def ask(
    handler: Handler, method: str, target: str, body: object = None, **headers: str
) -> Response:
    """
    Return the answer to a request.

    Args:
        handler: Who is asked.
        method: Of HTTP.
        target: Path and query.
        body: Bytes as they are, all else as JSON; None for no body.
        headers: Underscores stand for dashes.
    """
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    match body:
        case None:
            data = b""
        case bytes():
            data = body
        case _:
            data = json.dumps(body).encode()
    return await handler.answer(Request(method, target, given, data))


def result(response: Response) -> Any:  # noqa: ANN401 -- any value
    """Return what went well."""
    assert response.status == 200, response.text()
    return response.json()["result"]


def error(response: Response, status: int) -> dict[str, Any]:
    """Return what did not."""
    assert response.status == status, response.text()
    found: dict[str, Any] = response.json()["error"]
    assert response.header("kvnode-error") == found["name"]
    return found


class SiteObjects:
    """The objects of a `Site`, as the API asks for them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.calls: deque[Call] = deque(maxlen=100)

    @property
    def classes(self) -> tuple[str, ...]:
        """What it serves."""
        return self.site.host.classes

    async def call(self, call: Call) -> Value:
        """Call an object."""
        self.calls.append(call)
        return await self.site.host.call(
            SHARD,
            call.target,
            call.method,
            call.arguments,
            call.named,
            idempotency_key=call.idempotency_key,
            location_hint=call.location_hint,
        )

    def begin(self, call: Call, tell: Tell) -> Leave:
        """Begin a call."""
        return told_later(self.call(call), tell)

    def leader_address(self, target: ObjectId) -> str:
        """It leads all of them."""
        del target
        return ""

    def leader_of(self, shard: str) -> str:
        """Nobody asks."""
        del shard
        return ""

    def status(self) -> tuple[ShardStatus, ...]:
        """Nobody asks."""
        return ()
