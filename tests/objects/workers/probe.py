"""A class that was written for Cloudflare, and does what a test says."""

from collections.abc import Awaitable, Callable
from typing import Any

from kvnode.objects.durable_object import DurableObject as OurObject
from kvnode.objects.workers.hosted_object import hosted
from kvnode.objects.workers.importable import DurableObject
from tests.objects.running.objects import site


def served(
    *classes: type[DurableObject], variables: dict[str, Any] | None = None
) -> dict[str, type[OurObject]]:
    """Return classes as a node serves them."""
    found: dict[str, type[OurObject]] = {}
    for each in classes:
        found[each.__name__] = hosted(each, classes=found, variables=variables or {})
    return found


async def done(work: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 -- what it returns
    """Let an object do *work*; return what a caller gets of it."""

    class Probe(DurableObject):
        async def do(self) -> object:
            return await work(self)

        async def alarm(self) -> None:
            pass

    async with site(served(Probe)) as made:
        return await made.call("Probe p", "do")
