"""Points in time of objects, as nodes are asked for them and answer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kvnode._pb import objects_pb2
from kvnode.errors import InvalidArgumentError

_AT_MS_MAX: Final = (1 << 63) - 1  # what every language can say
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Restored:
    """
    What came of restoring an object.

    `undo` is the bookmark of the object as it was right before.  `keys` and `pages` of
    its SQL database were changed, `alarm` says whether that was; if `is_more`, they
    were counted so far and there are more.
    """

    undo: str
    keys: int
    pages: int
    alarm: bool
    is_more: bool


def bookmark_request(
    target: objects_pb2.ObjectTarget, when: datetime | int | None, deadline_ms: int
) -> objects_pb2.BookmarkRequest:
    """
    Return what asks for the bookmark of *when*, or of now.

    Raises:
        InvalidArgumentError: That is no time.
    """
    request = objects_pb2.BookmarkRequest(target=target, deadline_ms=deadline_ms)
    if when is not None:
        request.at_ms = _millis(when)
    return request


def restored_of(reply: objects_pb2.RestoreReply) -> Restored:
    """Return what *reply* tells."""
    return Restored(reply.undo, reply.keys, reply.pages, reply.alarm, reply.more)


def _millis(when: datetime | int) -> int:
    if isinstance(when, datetime):
        if when.tzinfo is None:
            msg = f"{when} has no time zone: give it one, as in datetime.now(UTC)"
            raise InvalidArgumentError(msg)
        when = round((when - _EPOCH).total_seconds() * 1000)
    if not 0 <= when <= _AT_MS_MAX:
        msg = f"{when} ms since 1970 is no time that a node knows"
        raise InvalidArgumentError(msg)
    return when
