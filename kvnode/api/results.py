"""What the calls of a stream are answered, as messages."""

import logging
from functools import partial

from kvnode._pb import kv_pb2
from kvnode._pb import objects_pb2 as pb
from kvnode.api.call_stream import CallStream, SetResult, StreamCall, Write
from kvnode.api.object_calls import set_encoded_result
from kvnode.api.objects_port import ObjectsPort
from kvnode.api.status_map import to_message
from kvnode.errors import IndeterminateError, KvError
from kvnode.objects.object_id import ObjectId

logger = logging.getLogger(__name__)


def call_stream(objects: ObjectsPort, write: Write) -> CallStream:
    """Return a stream of calls of *objects*, which gives its frames to *write*."""
    return CallStream(objects, _failure, partial(_new_frame, objects), write)


def _new_frame(objects: ObjectsPort) -> SetResult:
    """Return what sets the results of calls that are answered together."""
    leaders: dict[ObjectId, str] = {}

    def set_result(result: pb.ObjectCallResult, begun: StreamCall) -> None:
        outcome, asked = begun.outcome, begun.asked
        result.id = begun.identifier
        if not isinstance(outcome, bytes):
            result.error.CopyFrom(outcome)
            return
        assert asked is not None, "what has a result was begun"
        try:
            set_encoded_result(result.reply.result, outcome, asked.form)
            target = asked.call.target
            leader = leaders.get(target)
            if leader is None:
                leader = leaders[target] = objects.leader_address(target)
        except Exception as error:  # noqa: BLE001 -- it is told, whatever it is
            result.error.CopyFrom(_failure(begun, error))
            return
        if leader:
            result.reply.leader = leader

    return set_result


def _failure(call: StreamCall, error: Exception) -> kv_pb2.Error:
    """Return what a call is told that has failed."""
    if not isinstance(error, KvError):
        method = call.asked.call.method if call.asked else "no method"
        logger.error("a call of %s has failed", method, exc_info=error)
        error = IndeterminateError("the node failed during the call: see its log")
    return to_message(error)
