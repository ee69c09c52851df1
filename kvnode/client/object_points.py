"""Points in time of objects, as nodes are asked for them and answer."""

from dataclasses import dataclass
from datetime import datetime

from kvnode._pb import objects_pb2
from kvnode.client.object_times import millis_of


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
        request.at_ms = millis_of(when)
    return request


def restored_of(reply: objects_pb2.RestoreReply) -> Restored:
    """Return what *reply* tells."""
    return Restored(reply.undo, reply.keys, reply.pages, reply.alarm, reply.more)
