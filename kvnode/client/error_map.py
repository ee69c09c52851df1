"""
From what the wire says to the tree in kvnode.errors.

Two sources: the `Error` of an operation's result, which is precise, and the
status of a whole RPC, which is not, because UNAVAILABLE may come from the node
before it did anything, or from the transport after it did.  A node can attach
the precise `Error` to a failed RPC as the trailer `ERROR_TRAILER`; without one, a
write whose status leaves doubt counts as INDETERMINATE.
"""

import grpc
from google.protobuf.message import DecodeError

from kvnode._pb import kv_pb2
from kvnode.errors import (
    ERROR_TRAILER,
    ConnectionLostError,
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    MovedError,
    NamespaceNotFoundError,
    NotCoveredError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    OverloadedError,
    RejectedError,
    ReplicasTimeoutError,
    SessionLostError,
    StoreFullError,
    UnavailableError,
    WrongTypeError,
)
from kvnode.types import LostWrites, ReplicaId

_FAILED: dict[kv_pb2.ErrorCode.ValueType, type[KvError]] = {
    kv_pb2.ERROR_CODE_INVALID_ARGUMENT: InvalidArgumentError,
    kv_pb2.ERROR_CODE_WRONG_TYPE: WrongTypeError,
    kv_pb2.ERROR_CODE_UNAVAILABLE: UnavailableError,
    kv_pb2.ERROR_CODE_RESOURCE_EXHAUSTED: StoreFullError,
    kv_pb2.ERROR_CODE_NOT_COVERED: NotCoveredError,
    kv_pb2.ERROR_CODE_OVERLOADED: OverloadedError,
}

_STATUSES: dict[grpc.StatusCode, type[KvError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.FAILED_PRECONDITION: RejectedError,
    grpc.StatusCode.PERMISSION_DENIED: RejectedError,
    grpc.StatusCode.UNAUTHENTICATED: RejectedError,
    grpc.StatusCode.UNIMPLEMENTED: RejectedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: StoreFullError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


def error_of(error: kv_pb2.Error, *, namespace: str) -> KvError:
    """
    Return the exception for an operation's *error* in *namespace*.

    A code that this client does not know counts as INDETERMINATE, and so does any
    that says it may have happened.
    """
    found = _with_attributes(error, namespace)
    if found is not None:
        return found
    if error.may_have_happened or error.code not in _FAILED:
        late = error.code == kv_pb2.ERROR_CODE_DEADLINE
        return (DeadlineError if late else IndeterminateError)(error.message)
    return _FAILED[error.code](error.message)


def error_of_rpc(
    error: grpc.aio.AioRpcError, *, namespace: str, address: str, writes: bool
) -> KvError:
    """
    Return the exception for an RPC to *address* that ended with *error*.

    Args:
        error: What grpc raised.
        namespace: The one that the request named.
        address: Of the endpoint; goes into the message.
        writes: Whether the RPC changes anything; if so, doubt is INDETERMINATE.
    """
    trailer = _trailer(error)
    if trailer is not None:
        return error_of(trailer, namespace=namespace)
    code = error.code()
    message = f"{address}: {code.name}: {error.details() or 'no details'}"
    if code is grpc.StatusCode.NOT_FOUND:
        return NamespaceNotFoundError(namespace)
    if code in _STATUSES:
        return _STATUSES[code](message)
    if code is grpc.StatusCode.UNAVAILABLE:
        return ConnectionLostError(message) if writes else UnavailableError(message)
    return IndeterminateError(message)


def _with_attributes(  # noqa: PLR0911 -- one each
    error: kv_pb2.Error, namespace: str
) -> KvError | None:
    """Return the exception for *error* if it is one that carries more than text."""
    failed = not error.may_have_happened
    match error.code:
        case kv_pb2.ERROR_CODE_INDETERMINATE if error.needed:
            return ReplicasTimeoutError(
                error.message, acknowledged=error.acknowledged, needed=error.needed
            )
        case kv_pb2.ERROR_CODE_OBJECT_RAISED:
            return ObjectRaisedError(error.message, type_name=error.type_name)
        case kv_pb2.ERROR_CODE_NOT_FOUND if failed:
            return NamespaceNotFoundError(namespace)
        case kv_pb2.ERROR_CODE_NOT_LEADER if failed:
            return _not_leader(error)
        case kv_pb2.ERROR_CODE_UNAVAILABLE if failed and error.object_ended:
            return ObjectEndedError(error.message)
        case kv_pb2.ERROR_CODE_INVALID_ARGUMENT if failed and error.HasField(
            "session_loss"
        ):
            return _session_lost(error)
        case _:
            return None


def _not_leader(error: kv_pb2.Error) -> NotLeaderError:
    if error.home:
        return MovedError(error.message, region=error.home)
    return NotLeaderError(error.message, leader=error.leader)


def _session_lost(error: kv_pb2.Error) -> SessionLostError:
    loss = error.session_loss
    lost = tuple(
        LostWrites(ReplicaId(w.replica), w.name, w.first, w.last) for w in loss.lost
    )
    return SessionLostError(error.message, lost=lost, remaining=loss.session)


def _trailer(error: grpc.aio.AioRpcError) -> kv_pb2.Error | None:
    """Return the precise error that the node attached, if it is there and whole."""
    for name, value in error.trailing_metadata() or ():
        if name == ERROR_TRAILER and isinstance(value, bytes):
            try:
                return kv_pb2.Error.FromString(value)
            except DecodeError:
                return None
    return None
