"""Alarms of objects, as nodes are asked for them and answer."""

from datetime import UTC, datetime, timedelta

from kvnode._pb import objects_pb2
from kvnode.client.object_times import millis_of, time_of
from kvnode.errors import InvalidArgumentError


def set_alarm_request(
    target: objects_pb2.ObjectTarget,
    when: datetime | timedelta | int | None,
    *,
    location_hint: str,
    deadline_ms: int,
) -> objects_pb2.SetAlarmRequest:
    """
    Return what sets the alarm of an object to *when*, or deletes it.

    Raises:
        InvalidArgumentError: That is no time, or the hint no text.
    """
    try:
        request = objects_pb2.SetAlarmRequest(
            target=target, location_hint=location_hint, deadline_ms=deadline_ms
        )
    except UnicodeEncodeError as error:
        msg = f"a location hint must have a UTF-8 form: {error}"
        raise InvalidArgumentError(msg) from error
    if when is not None:
        request.at_ms = millis_of(
            _time_in(when) if isinstance(when, timedelta) else when
        )
    return request


def _time_in(span: timedelta) -> datetime:
    try:
        return datetime.now(UTC) + span
    except OverflowError as error:
        msg = f"in {span} is no time: that is beyond the year 9999, or before the first"
        raise InvalidArgumentError(msg) from error


def due_of(reply: objects_pb2.AlarmReply) -> datetime | None:
    """Return when the alarm of *reply* rings; None if there is none."""
    return time_of(reply.at_ms) if reply.HasField("at_ms") else None
