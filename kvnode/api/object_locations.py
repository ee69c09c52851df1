"""Where objects live, between its messages and calls of `ObjectsPort`."""

from kvnode._pb import objects_pb2 as pb
from kvnode.api.limits import checked_patience
from kvnode.api.object_calls import target_of
from kvnode.api.objects_port import Call
from kvnode.core.objects.homes import region_of
from kvnode.errors import CorruptRecordError
from kvnode.object_values import Value
from kvnode.objects.locating import LOCATE, Location


def locate_call(request: pb.LocateRequest) -> Call:
    """
    Return the call that asks where an object lives.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    patience_ms = checked_patience(request.deadline_ms)
    return Call(target_of(request.target), LOCATE, patience_ms=patience_ms)


def location_of(result: Value) -> Location:
    """
    Return what comes of that.

    Raises:
        CorruptRecordError: It is something else.
    """
    match result:
        case [str(shard), bool(is_settled)]:
            return Location(shard, is_settled)
        case _:
            msg = f"the node that leads has answered with {result!r:.200}"
            raise CorruptRecordError(msg)


def locate_reply(location: Location, leader: str) -> pb.LocateReply:
    """Return what is answered to that."""
    return pb.LocateReply(
        shard=location.shard,
        region=region_of(location.shard),
        leader=leader,
        settled=location.is_settled,
    )
