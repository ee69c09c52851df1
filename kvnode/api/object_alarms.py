"""Alarms of objects between their messages and calls of `ObjectsPort`."""

from kvnode._pb import objects_pb2 as pb
from kvnode.api.calling import checked_region
from kvnode.api.limits import checked_patience
from kvnode.api.object_calls import target_of
from kvnode.api.objects_port import Call
from kvnode.errors import CorruptRecordError
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM, SET_ALARM


def alarm_call(request: pb.AlarmRequest) -> Call:
    """
    Return the call that asks when the alarm of an object rings.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    patience_ms = checked_patience(request.deadline_ms)
    return Call(target_of(request.target), ALARM, patience_ms=patience_ms)


def set_alarm_call(request: pb.SetAlarmRequest) -> Call:
    """
    Return the call that sets or deletes it.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    return Call(
        target_of(request.target),
        SET_ALARM,
        [request.at_ms if request.HasField("at_ms") else None],
        patience_ms=checked_patience(request.deadline_ms),
        location_hint=checked_region(request.location_hint),
    )


def due_of(result: Value) -> int | None:
    """
    Return what comes of either, in ms since 1970; None if no alarm is set.

    Raises:
        CorruptRecordError: It is something else.
    """
    match result:
        case None:
            return None
        case int() if not isinstance(result, bool) and result >= 0:
            return result
        case _:
            msg = f"the node that leads has answered with {result!r:.200}"
            raise CorruptRecordError(msg)


def alarm_reply(due_ms: int | None) -> pb.AlarmReply:
    """Return what is answered to that."""
    return pb.AlarmReply(at_ms=due_ms)
