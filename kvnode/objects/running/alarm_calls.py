"""
What is asked of an object's alarm from outside; see kvnode.objects.alarming.

It is done by the object's own storage, and so means what it means there: an alarm that
is set takes the place of the one before, one that runs is none until it is set again,
and to delete it while it runs means that it is not tried again.
"""

from collections.abc import Callable

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value
from kvnode.objects import alarming
from kvnode.objects.object_id import ObjectId
from kvnode.objects.storing.object_storage import ObjectStorage
from kvnode.types import Millis


async def alarm_call(
    id_: ObjectId,
    storage: ObjectStorage,
    method: str,
    arguments: tuple[Value, ...],
    *,
    now: Callable[[], Millis],
) -> int | None:
    """
    Return when the alarm is due, once what is asked has been done to it.

    To be passed through the input gate.

    Args:
        id_: The object.
        storage: What the object has stored.
        method: Of those of kvnode.objects.alarming.
        arguments: See there; a time that is past becomes now, when it rings.
        now: Returns ms since 1970.

    Raises:
        InvalidArgumentError: The class has no `alarm` that could be set, or that is no
            time; nothing was changed.
        OverloadedError: The object has written much that is not durable yet; nothing
            was changed.
    """
    match method, arguments:
        case (alarming.ALARM, ()):
            pass
        case (alarming.SET_ALARM, (None,)):
            await storage.delete_alarm()
        case (alarming.SET_ALARM, (int(),)) if not storage.has_alarm_hook:
            msg = (
                f"class {id_.class_name} has no `async def alarm(self)` that could run:"
                " its alarm cannot be set"
            )
            raise InvalidArgumentError(msg)
        case (alarming.SET_ALARM, (int(when),)):
            await storage.set_alarm(max(when, now()) if when >= 0 else when)
        case _:
            msg = f"{method} does not take {arguments!r:.100}"
            raise InvalidArgumentError(msg)
    return await storage.get_alarm()
