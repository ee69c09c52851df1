"""Asking again until the answer is good enough, within a time."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.02


async def until(
    ask: Callable[[], Awaitable[Answer]],
    enough: Callable[[Answer], bool],
    seconds: float,
) -> Answer:
    """Return the first answer that is *enough*, or the last one when time is up."""
    deadline = monotonic() + seconds
    while True:
        answer = await ask()
        if enough(answer) or monotonic() >= deadline:
            return answer
        await asyncio.sleep(POLL_SECONDS)
