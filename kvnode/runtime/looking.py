"""Waiting for what nobody tells: by looking, and not for long."""

import asyncio
from collections.abc import Callable
from math import ceil


async def looked_for(
    condition: Callable[[], bool], *, seconds_max: float, look_seconds: float
) -> bool:
    """
    Wait until *condition* holds; tell whether it does.

    Args:
        condition: Changes nothing.
        seconds_max: How long to wait, > 0.
        look_seconds: How often to look, > 0.
    """
    for _ in range(ceil(seconds_max / look_seconds)):
        if condition():
            return True
        await asyncio.sleep(look_seconds)
    return condition()
