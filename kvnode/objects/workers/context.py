"""`ctx` under Cloudflare's names."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, ClassVar, Never, TypeVar

from kvnode.objects.durable_object import ObjectContext
from kvnode.objects.object_id import ObjectId
from kvnode.objects.workers.names import Facade
from kvnode.objects.workers.storage import WorkersStorage

T = TypeVar("T")


class WorkersId(Facade):
    """
    Which object.

    Attributes:
        target: The same, as we say it.
    """

    _called: ClassVar[str] = "an id"

    def __init__(self, target: ObjectId) -> None:
        self.target = target

    @property
    def name(self) -> str | None:
        """Return what the id was made from; None if that is not known."""
        return self.target.name or None

    def toString(self) -> str:
        """Return it in 64 hexadecimal digits."""
        return str(self.target)

    def equals(self, other: "WorkersId") -> bool:
        """Tell whether both are of one object."""
        return str(self.target) == str(other.target)

    def __str__(self) -> str:
        return self.toString()


class WorkersContext(Facade):
    """
    What an object may ask of what runs it.

    Attributes:
        id: Who it is.
        storage: What it has stored.
    """

    _called: ClassVar[str] = "ctx"

    def __init__(self, ctx: ObjectContext) -> None:
        self._ctx = ctx
        self.id = WorkersId(ctx.id)
        self.storage = WorkersStorage(ctx.storage)

    def blockConcurrencyWhile(
        self, callback: Callable[[], Awaitable[T] | T]
    ) -> Awaitable[T]:
        """Run *callback* while nothing else of the object does; see ObjectContext."""

        async def work() -> T:
            result = callback()
            return await result if isawaitable(result) else result

        return self._ctx.block_concurrency_while(work)

    def waitUntil(self, promise: Awaitable[Any]) -> None:
        """Let *promise* go on beside what is under way; the object stays for it."""

        async def work() -> None:
            await promise

        self._ctx.wait_until(work())

    def abort(self, reason: str = "") -> Never:
        """End this instance, and whatever calls this."""
        self._ctx.abort(reason)
        raise CancelledError(reason)
