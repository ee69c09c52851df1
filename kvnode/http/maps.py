"""
The built-in class Storage over HTTP: a map with strong consistency.

Each route is a call of one of its methods (kvnode.objects.private_map); what has no
route of its own here, such as several keys at once, is called by its name.

A listing is read page by page.  A cursor is the last key of a page, so a page shows
what there is when it is asked for; `list_complete` alone says that nothing follows.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, assert_never

from kvnode.errors import InvalidArgumentError, PeerProtocolError
from kvnode.fetching import Request, Response
from kvnode.http.answers import result
from kvnode.http.calls import ObjectCalls, json_body
from kvnode.http.paths import parameters
from kvnode.http.routes import KeyOf, KeysOf, TransactionOf
from kvnode.limits import LIST_PAGE_MAX
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.storing.stored_map import KEY_BYTES_MAX as STORED_KEY_BYTES_MAX

KEY_BYTES_MAX: Final = STORED_KEY_BYTES_MAX - 1
"""The class puts a character before each, so that its own keys are none of them."""

PARAMETERS: Final = ("prefix", "start", "end", "reverse", "limit", "cursor")

_DIGITS_MAX: Final = 9  # of a limit: far above the largest, far below what int refuses


class ObjectMaps:
    """Reads and changes maps for requests."""

    def __init__(self, calls: ObjectCalls) -> None:
        """Call them by *calls*."""
        self._calls = calls

    async def answer(
        self, request: Request, route: KeysOf | KeyOf | TransactionOf, query: str
    ) -> Response:
        """Answer with what there is, or with what has become of it."""
        match route:
            case KeysOf(target):
                return await self._keys(request, target, query)
            case KeyOf():
                return await self._key(request, route)
            case TransactionOf(target):
                return await self._transaction(request, target)
            case _:
                assert_never(route)

    async def _key(self, request: Request, route: KeyOf) -> Response:
        """Read, put or delete a key."""
        size_bytes = len(route.key.encode())
        if size_bytes > KEY_BYTES_MAX:
            msg = f"the key has {size_bytes} bytes; it takes at most {KEY_BYTES_MAX}"
            raise InvalidArgumentError(msg)
        match request.method:
            case "PUT":
                value = json_body(request, 'a value, such as 3 or "three"')
                method, arguments = "put", [route.key, value]
            case "DELETE":
                method, arguments = "delete", [route.key]
            case _:
                method, arguments = "get", [route.key]
        return result(await self._calls.value(request, route.target, method, arguments))

    async def _transaction(self, request: Request, target: ObjectId) -> Response:
        """Do steps that happen together, or tell what a condition saw."""
        what = 'steps, such as [{"if": "a", "version": 1}, {"put": "a", "value": 2}]'
        steps = json_body(request, what)
        if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
            msg = f"the body is no array of objects; it takes {what}"
            raise InvalidArgumentError(msg)
        return result(await self._calls.value(request, target, "transaction", [steps]))

    async def _keys(self, request: Request, target: ObjectId, query: str) -> Response:
        """List keys and values in the order of the keys' bytes."""
        given = parameters(query, PARAMETERS)
        limit = _limit(given)
        rows = await self._calls.value(
            request, target, "list", [], {**_range(given), "limit": limit + 1}
        )
        items = [_item(row) for row in rows] if isinstance(rows, list) else []
        page: dict[str, Value] = {
            "items": items[:limit],
            "list_complete": len(items) <= limit,
        }
        if len(items) > limit:
            last = str(items[limit - 1]["key"]).encode()
            page["cursor"] = base64.urlsafe_b64encode(last).decode().rstrip("=")
        return result(page)


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(LIST_PAGE_MAX))
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    if not is_number or not 1 <= int(text) <= LIST_PAGE_MAX:
        msg = f"limit is {text!r:.80}; it takes 1 to {LIST_PAGE_MAX}"
        raise InvalidArgumentError(msg)
    return int(text)


def _range(given: Mapping[str, str]) -> dict[str, Value]:
    """Return what `list` is asked for; a cursor moves the end at which it begins."""
    reverse = given.get("reverse", "false")
    if reverse not in {"true", "false"}:
        msg = f"reverse is {reverse!r:.80}; it takes true or false"
        raise InvalidArgumentError(msg)
    start, end = given.get("start"), given.get("end")
    if given.get("cursor"):
        last = _key_of(given["cursor"])
        if reverse == "true":
            end = last
        else:
            start = f"{last}\0"  # what comes next, whatever it is
    return {
        "prefix": given.get("prefix", ""),
        "start": start,
        "end": end,
        "reverse": reverse == "true",
    }


def _key_of(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        msg = f"{cursor!r:.80} is no cursor: take it from the page before"
        raise InvalidArgumentError(msg) from error


def _item(row: Any) -> dict[str, Any]:  # noqa: ANN401 -- what the object answered
    match row:
        case [str(key), value, int(version)]:
            return {"key": key, "value": value, "version": version}
        case _:
            msg = f"Storage has listed {row!r:.80}, which is no key"
            raise PeerProtocolError(msg)
