"""
Write requests as commands for the node, checked; and the steps of a batch.

Whatever can be found wrong is found here, before anything is queued: once a
write has happened, nothing may go wrong about its reply.
"""

from typing import NamedTuple, assert_never

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import (
    checked_amount,
    checked_deadline,
    checked_members,
    checked_metadata,
    checked_update,
    checked_value,
)
from kvnode.api.reads import Reader, Reading
from kvnode.api.tokens import decode_version
from kvnode.core.crdt.document import Document
from kvnode.core.node.commands import (
    AddToCounter,
    Command,
    Delete,
    Put,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.errors import InvalidArgumentError
from kvnode.limits import BATCH_BYTES_MAX, BATCH_STEPS_MAX
from kvnode.types import Millis

SingleWrite = (
    pb.PutRequest
    | pb.DeleteRequest
    | pb.CounterRequest
    | pb.SetRequest
    | pb.DocumentRequest
)


class Batch(NamedTuple):
    """The writes of a batch, and what its reads have seen."""

    commands: tuple[Command, ...]
    seen: Session


def command_of(request: SingleWrite, reader: Reader, now: Millis) -> Command:
    """
    Return what *request* asks the node to do.

    Raises:
        RejectedError: The request is wrong.
    """
    key = reader.key_of(request.namespace, request.key)
    match request:
        case pb.PutRequest():
            if request.if_absent and request.if_version:
                msg = "give if_absent or if_version, not both"
                raise InvalidArgumentError(msg)
            return Put(
                key,
                checked_value(request.value),
                checked_metadata(request.metadata),
                checked_deadline(request.ttl_ms, request.expires_at_ms, now),
                request.if_absent,
                decode_version(request.if_version),
            )
        case pb.DeleteRequest():
            return Delete(key, decode_version(request.if_version))
        case pb.CounterRequest():
            return AddToCounter(key, checked_amount(request.delta))
        case pb.SetRequest():
            add = checked_members(list(request.add))
            return UpdateSet(key, add, checked_members(list(request.remove)))
        case pb.DocumentRequest():
            if request.want_update:
                Document().diff(request.state_vector)  # refuses a malformed one
            return UpdateDocument(key, checked_update(request.update))
        case _:
            assert_never(request)


def batch_of(
    request: pb.BatchRequest, reply: pb.BatchReply, reader: Reader, at: Reading
) -> Batch:
    """
    Return the writes of a batch; its reads are answered into *reply*.

    Raises:
        RejectedError: A step is wrong, or there is too much of them.
    """
    if len(request.steps) > BATCH_STEPS_MAX:
        msg = f"the batch has {len(request.steps)} steps; at most {BATCH_STEPS_MAX}"
        raise InvalidArgumentError(msg)
    if (size := request.ByteSize()) > BATCH_BYTES_MAX:
        msg = f"the batch has {size} bytes; at most {BATCH_BYTES_MAX} are allowed"
        raise InvalidArgumentError(msg)
    commands: list[Command] = []
    seen, read_bytes = NEW_SESSION, 0
    # One token for the batch is enough.
    quiet = at._replace(want_session=False)
    for number, step in enumerate(request.steps):
        slot = reply.results.add()
        try:
            if step.WhichOneof("kind") == "get":
                slot.get.SetInParent()
                entry = reader.get(step.get, slot.get, quiet)
                if entry is not None and at.want_session:
                    seen = at.saw(seen, entry)
                read_bytes += len(slot.get.value)
            else:
                commands.append(_write_of(step, reader, at.now))
                slot.write.SetInParent()
        except InvalidArgumentError as error:
            msg = f"step {number} of the batch: {error}"
            raise InvalidArgumentError(msg) from error
        if read_bytes > BATCH_BYTES_MAX:
            msg = (
                f"the batch reads more than {BATCH_BYTES_MAX} bytes by step {number};"
                " split it"
            )
            raise InvalidArgumentError(msg)
    return Batch(tuple(commands), seen)


def _write_of(step: pb.BatchRequest.Step, reader: Reader, now: Millis) -> Command:
    match step.WhichOneof("kind"):
        case "put":
            return command_of(step.put, reader, now)
        case "delete":
            return command_of(step.delete, reader, now)
        case _:
            msg = "says nothing to do"
            raise InvalidArgumentError(msg)
