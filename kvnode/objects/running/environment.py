"""What is around an object: others, which it calls by class and name."""

from collections.abc import Awaitable, Callable
from typing import Any

from kvnode.errors import InvalidArgumentError
from kvnode.fetching import FETCH, Request, Response
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.object_values import Value, decode_value, encode_value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.instance import Instance

Caller = Callable[
    [ObjectId, str, tuple[Value, ...], dict[str, Value], str], Awaitable[Value]
]
"""Calls a method of an object, wherever it lives; the last is a location hint."""


class NodeEnvironment:
    """See kvnode.objects.durable_object.Environment."""

    def __init__(self, instance: Instance, caller: Caller) -> None:
        self._instance = instance
        self._caller = caller

    def object(
        self, class_name: str, name: str, *, location_hint: str = ""
    ) -> "ObjectStub":
        """Return another object."""
        target = ObjectId.from_name(class_name, name)
        return self.object_at(target, location_hint=location_hint)

    def object_at(self, target: ObjectId, *, location_hint: str = "") -> "ObjectStub":
        """Return the object of an id."""
        return ObjectStub(target, self._instance, self._caller, location_hint)


class ObjectStub:
    """Another object, as code of an object sees it; has any method."""

    def __init__(
        self, target: ObjectId, instance: Instance, caller: Caller, location_hint: str
    ) -> None:
        self._target = target
        self._instance = instance
        self._caller = caller
        self._location_hint = location_hint

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 -- any method
        """Return a method; a call leaves when what was written before is durable."""
        if method.startswith("_"):
            raise AttributeError(method)

        async def call(*arguments: Value, **named: Value) -> Value:
            here = self._instance.id
            if (self._target.class_name, self._target.body) == here[:2]:
                msg = "an object that calls itself waits for itself: call self instead"
                raise InvalidArgumentError(msg)
            passed = _copied(arguments, named)
            await self._instance.output.leave_for_a_call()
            return await self._caller(
                self._target, method, *passed, self._location_hint
            )

        return call

    async def fetch(self, request: Request) -> Response:
        """Let it answer *request*; like a call."""
        return Response.from_value(await self.__getattr__(FETCH)(request.as_value()))


def _copied(
    arguments: tuple[Value, ...], named: dict[str, Value]
) -> tuple[tuple[Value, ...], dict[str, Value]]:
    """
    Return arguments as they are now, and as they would come to another node.

    Raises:
        InvalidArgumentError: One cannot be passed, or all are too large.
    """
    encoded = encode_value(
        [arguments, named], "what a call passes", bytes_max=CALL_BYTES_MAX
    )
    match decode_value(encoded):
        case [list(some), dict(others)]:
            return tuple(some), others
        case other:
            msg = f"what was encoded comes back as {type(other).__name__}"
            raise AssertionError(msg)
