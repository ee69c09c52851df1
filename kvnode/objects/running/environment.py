"""What is around an object: others, which it calls by class and name."""

from collections.abc import Awaitable, Callable
from typing import Any

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.instance import Instance

Caller = Callable[
    [ObjectId, str, tuple[Value, ...], dict[str, Value]], Awaitable[Value]
]
"""Calls a method of an object, wherever it lives."""


class NodeEnvironment:
    """See kvnode.objects.durable_object.Environment."""

    def __init__(self, instance: Instance, caller: Caller) -> None:
        self._instance = instance
        self._caller = caller

    def object(self, class_name: str, name: str) -> "ObjectStub":
        """Return another object."""
        return ObjectStub(
            ObjectId.from_name(class_name, name), self._instance, self._caller
        )


class ObjectStub:
    """Another object, as code of an object sees it; has any method."""

    def __init__(self, target: ObjectId, instance: Instance, caller: Caller) -> None:
        self._target = target
        self._instance = instance
        self._caller = caller

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 -- any method
        """Return a method; a call leaves when what was written before is durable."""
        if method.startswith("_"):
            raise AttributeError(method)

        async def call(*arguments: Value, **named: Value) -> Value:
            if self._target == self._instance.id:
                msg = "an object that calls itself waits for itself: call self instead"
                raise InvalidArgumentError(msg)
            await self._instance.leave_for_a_call()
            return await self._caller(self._target, method, arguments, named)

        return call
