"""
Alarms of objects over HTTP: when one rings, and having it ring at another time.

It is one thing under one path: `GET` reads it, `PUT` sets it, `DELETE` deletes it, and
all three are answered with what is so then.
"""

from collections.abc import Callable
from typing import Final

from kvnode.api.object_alarms import due_of
from kvnode.errors import InvalidArgumentError
from kvnode.fetching import Request, Response
from kvnode.http.answers import result
from kvnode.http.calls import IDEMPOTENCY_HEADER, ObjectCalls, json_body
from kvnode.http.routes import AlarmOf
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM, SET_ALARM
from kvnode.types import Millis

_WHAT: Final = 'a time, such as {"at_ms": 1709208000000} or {"in_ms": 900000}'


class ObjectAlarms:
    """Reads and changes alarms for requests."""

    def __init__(self, calls: ObjectCalls, now: Callable[[], Millis]) -> None:
        """Call objects by *calls*; *now* returns ms since 1970."""
        self._calls = calls
        self._now = now

    async def answer(self, request: Request, route: AlarmOf) -> Response:
        """Answer with when the alarm rings, after what is asked was done to it."""
        if request.header(IDEMPOTENCY_HEADER):
            msg = f"an alarm takes no {IDEMPOTENCY_HEADER}: set it again, or look first"
            raise InvalidArgumentError(msg)
        method, arguments = SET_ALARM, list[Value]()
        match request.method:
            case "PUT":
                arguments = [self._time(request)]
            case "DELETE":
                arguments = [None]
            case _:
                method = ALARM
        answer = await self._calls.value(request, route.target, method, arguments)
        due_ms = due_of(answer)
        return result(None if due_ms is None else {"at_ms": due_ms})

    def _time(self, request: Request) -> int:
        match json_body(request, _WHAT):
            case {"at_ms": int(at_ms), **more} if not more and _is_number(at_ms):
                return at_ms
            case {"in_ms": int(in_ms), **more} if not more and _is_number(in_ms):
                return self._now() + in_ms
            case _:
                msg = f"the body is no time; it takes {_WHAT}"
                raise InvalidArgumentError(msg)


def _is_number(given: int) -> bool:
    """Tell whether it is one, of what JSON may have: `true` is an int as well."""
    return not isinstance(given, bool) and given >= 0
