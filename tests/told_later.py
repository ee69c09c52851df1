"""Fakes of objects whose calls are coroutines, for those who want to be told."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from kvnode.object_values import Value, encode_value
from kvnode.objects.telling import Leave, Tell

BYTES_MAX = 1 << 24


def told_later(work: Coroutine[Any, Any, Value], tell: Tell) -> Leave:
    """Let *tell* be told what comes of *work*, unless nobody waits any more."""

    def ended(task: "asyncio.Task[Value]") -> None:
        if task.cancelled():
            return
        try:
            tell(encode_value(task.result(), "a result", bytes_max=BYTES_MAX))
        except Exception as error:  # noqa: BLE001 -- it is told
            tell(error)

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    return task.cancel
