"""Points in time of objects between their messages and calls of `ObjectsPort`."""

from kvnode._pb import objects_pb2 as pb
from kvnode.api.limits import checked_patience
from kvnode.api.object_calls import target_of
from kvnode.api.objects_port import Call
from kvnode.errors import CorruptRecordError
from kvnode.object_values import Value
from kvnode.objects.points import point_calls


def bookmark_call(request: pb.BookmarkRequest) -> Call:
    """
    Return the call that asks for a bookmark.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    method, arguments = point_calls.CURRENT, list[Value]()
    if request.HasField("at_ms"):
        method, arguments = point_calls.AT, [request.at_ms]
    patience_ms = checked_patience(request.deadline_ms)
    target = target_of(request.target)
    return Call(target, method, arguments, patience_ms=patience_ms)


def bookmark_reply(result: Value) -> pb.BookmarkReply:
    """Return what is answered to that."""
    match result:
        case str():
            return pb.BookmarkReply(bookmark=result)
        case _:
            raise _unreadable(result)


def restore_call(request: pb.RestoreRequest) -> Call:
    """
    Return the call that restores an object.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    return Call(
        target_of(request.target),
        point_calls.RESTORE,
        [request.bookmark],
        patience_ms=checked_patience(request.deadline_ms),
    )


def restore_reply(result: Value) -> pb.RestoreReply:
    """Return what is answered to that."""
    match result:
        case [str(undo), int(keys), int(pages), bool(alarm), bool(more)]:
            return pb.RestoreReply(
                undo=undo, keys=keys, pages=pages, alarm=alarm, more=more
            )
        case _:
            raise _unreadable(result)


def _unreadable(result: Value) -> CorruptRecordError:
    return CorruptRecordError(f"the node that leads has answered with {result!r:.200}")
