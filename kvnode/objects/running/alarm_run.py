"""
One run of an object's alarm.

It begins when it may enter the object, and looks then whether the alarm is still set:
whoever has deleted it before that need not fear it any more.  The alarm stays set until
the run is over, and what the run has written becomes durable together with its end; so
a run that a failover cuts short is run again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kvnode.completion import is_being_cancelled
from kvnode.errors import IndeterminateError, UnavailableError
from kvnode.objects.object_id import ObjectId
from kvnode.objects.storing.object_storage import ObjectStorage
from kvnode.types import Millis

logger = logging.getLogger(__name__)


async def run_alarm(
    id_: ObjectId,
    storage: ObjectStorage,
    hook: Callable[[], Awaitable[Any]],
    *,
    now: Callable[[], Millis],
    chance: Callable[[], float],
) -> None:
    """
    Run the alarm of an object if it is due, and set it again if it fails.

    Must not overlap with itself; to be passed through the input gate.

    Args:
        id_: The object.
        storage: What it has stored.
        hook: Its code for alarms.
        now: Returns ms since 1970.
        chance: Draws a number in [0, 1).
    """
    alarm = storage.alarm()
    if alarm is None or alarm.due > now():
        return
    failure = await _ran(storage, hook)
    if storage.alarm_is_touched:
        return
    after = None
    if failure is not None:
        counted = not isinstance(failure, UnavailableError | IndeterminateError)
        after = alarm.failed(now(), is_counted=counted, chance=chance())
        what = f"tried again at {after.due}" if after else "given up"
        logger.warning(
            "the alarm of %s %s has failed and is %s: %r",
            *(id_.class_name, id_, what, failure),
        )
    storage.change_alarm(after)


async def _ran(
    storage: ObjectStorage, hook: Callable[[], Awaitable[Any]]
) -> BaseException | None:
    """Run the hook; return what it has raised, None if nothing."""
    assert not storage.alarm_is_running, "one run at a time"
    storage.alarm_is_running, storage.alarm_is_touched = True, False
    try:
        await hook()
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            raise
        return error
    except Exception as error:  # noqa: BLE001 -- the object's code may raise anything
        return error
    finally:
        storage.alarm_is_running = False
    return None
