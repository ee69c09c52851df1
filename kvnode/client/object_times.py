"""Times as nodes say them for objects, in ms since 1970, and as people have them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from kvnode.errors import InvalidArgumentError

_AT_MS_MAX: Final = (1 << 63) - 1  # what every language can say
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def millis_of(when: datetime | int) -> int:
    """
    Return *when* in ms since 1970.

    Raises:
        InvalidArgumentError: It is no time that a node knows, or has no time zone.
    """
    if isinstance(when, datetime):
        if when.tzinfo is None:
            msg = f"{when} has no time zone: give it one, as in datetime.now(UTC)"
            raise InvalidArgumentError(msg)
        when = round((when - _EPOCH).total_seconds() * 1000)
    if not 0 <= when <= _AT_MS_MAX:
        msg = f"{when} ms since 1970 is no time that a node knows"
        raise InvalidArgumentError(msg)
    return when


def time_of(at_ms: int) -> datetime:
    """Return *at_ms* since 1970 in UTC; what is later than the year 9999 as its end."""
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return _LAST
