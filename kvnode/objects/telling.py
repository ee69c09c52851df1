"""
How somebody is told what came of a call, without a task that waits for it.

A task for each that only waits costs as much as the call itself.
"""

import asyncio
from collections.abc import Callable

from kvnode.object_values import Value, decode_value

Told = bytes | Exception
"""A result as `kvnode.object_values.encode_value` has it, or why there is none."""

Tell = Callable[[Told], None]
"""Is called once, perhaps before whoever has passed it goes on; must not raise."""

Leave = Callable[[], object]
"""Says that nobody waits any more: what runs goes on, and may be told or not."""


def nothing_to_leave() -> None:
    """Leave what is over."""


async def told_value(begin: Callable[[Tell], Leave]) -> Value:
    """
    Return the value that is told by what *begin* begins.

    Who is cancelled leaves it.

    Raises:
        Exception: What is told instead, or what *begin* raises.
    """
    waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def tell(told: Told) -> None:
        if waiter.done():
            return
        if isinstance(told, bytes):
            waiter.set_result(told)
        else:
            waiter.set_exception(told)

    leave = begin(tell)
    try:
        return decode_value(await waiter)
    except asyncio.CancelledError:
        leave()
        raise
