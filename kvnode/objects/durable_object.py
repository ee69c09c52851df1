"""
What a class of objects is made of.

    class Counter(DurableObject):
        async def increment(self, by: int = 1) -> int:
            value = await self.storage.get("value", 0) + by
            await self.storage.put("value", value)
            return value

Every public coroutine method can be called by name.  `alarm` runs when an alarm is due,
and `fetch` answers requests of HTTP (kvnode.objects.fetching).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol, TypeVar

from kvnode.objects.fetching import FETCH, as_method
from kvnode.objects.object_id import ObjectId
from kvnode.objects.storing.object_storage import ObjectStorage

T = TypeVar("T")


class ObjectContext(Protocol):
    """What an object may ask of what runs it."""

    @property
    def id(self) -> ObjectId:
        """Return who it is."""

    @property
    def storage(self) -> ObjectStorage:
        """Return what it has stored."""

    def block_concurrency_while(
        self, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        """
        Run *work* while nothing else of the object does; to be awaited.

        In `__init__`, where nothing can be awaited, no call begins before it ends.  If
        it fails, or takes longer than 30 s, the object is started anew.
        """

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work* beside what is under way; the object stays until it ends."""

    def abort(self, reason: str) -> None:
        """End this instance: what waits fails, and the next call starts another."""


class Environment(Protocol):
    """What is around objects."""

    def object(self, class_name: str, name: str, *, location_hint: str = "") -> Any:  # noqa: ANN401 -- any method
        """
        Return another object; its methods are called like this one's.

        Args:
            class_name: Its class.
            name: What it is called.
            location_hint: The region in which it is to live, if a call is the first
                that is heard of it.
        """

    def object_at(self, target: ObjectId, *, location_hint: str = "") -> Any:  # noqa: ANN401 -- any method
        """Return the object of an id, which need not have a name; see `object`."""


class DurableObject:
    """
    Base of all classes of objects.

    Attributes:
        ctx: What runs it.
        env: Other objects.
        storage: What it has stored.
        restore_keeps: Keys that stay what they are when the object is restored to an
            earlier point in time, such as numbers that are never to be used again.
    """

    restore_keeps: ClassVar[tuple[str, ...]] = ()

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        self.ctx = ctx
        self.env = env
        self.storage = ctx.storage


def methods_of(of: type[DurableObject]) -> dict[str, Callable[..., Any]]:
    """Return what of a class can be called by name."""
    hooks = {"alarm", *dir(DurableObject)}
    methods = {
        name: method
        for name in dir(of)
        if not name.startswith("_")
        and name not in hooks
        and asyncio.iscoroutinefunction(method := getattr(of, name))
    }
    if FETCH in methods:
        methods[FETCH] = as_method(methods[FETCH])
    return methods
