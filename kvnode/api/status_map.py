"""Errors as codes: in frames, and as gRPC status of unary calls."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio

from kvnode._pb import kv_pb2 as pb
from kvnode.errors import (
    ERROR_TRAILER,
    DamagedRecordError,
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
    Outcome,
    OverloadedError,
    RejectedError,
    ReplicasTimeoutError,
    SessionLostError,
    StoreFullError,
    UnavailableError,
    WrongTypeError,
)

Context = grpc.aio.ServicerContext[Any, Any]

ServicerT = TypeVar("ServicerT")
RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

_CODES: tuple[tuple[type[KvError], "pb.ErrorCode.ValueType", grpc.StatusCode], ...] = (
    (
        InvalidArgumentError,
        pb.ERROR_CODE_INVALID_ARGUMENT,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (NamespaceNotFoundError, pb.ERROR_CODE_NOT_FOUND, grpc.StatusCode.NOT_FOUND),
    (WrongTypeError, pb.ERROR_CODE_WRONG_TYPE, grpc.StatusCode.FAILED_PRECONDITION),
    (
        RejectedError,
        pb.ERROR_CODE_INVALID_ARGUMENT,
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        StoreFullError,
        pb.ERROR_CODE_RESOURCE_EXHAUSTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ),
    (NotCoveredError, pb.ERROR_CODE_NOT_COVERED, grpc.StatusCode.UNAVAILABLE),
    (OverloadedError, pb.ERROR_CODE_OVERLOADED, grpc.StatusCode.UNAVAILABLE),
    (NotLeaderError, pb.ERROR_CODE_NOT_LEADER, grpc.StatusCode.UNAVAILABLE),
    (UnavailableError, pb.ERROR_CODE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    (DamagedRecordError, pb.ERROR_CODE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    # What gRPC itself says of a method that raised.
    (ObjectRaisedError, pb.ERROR_CODE_OBJECT_RAISED, grpc.StatusCode.UNKNOWN),
    (DeadlineError, pb.ERROR_CODE_DEADLINE, grpc.StatusCode.DEADLINE_EXCEEDED),
    (
        IndeterminateError,
        pb.ERROR_CODE_INDETERMINATE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ),
    (KvError, pb.ERROR_CODE_INTERNAL, grpc.StatusCode.INTERNAL),
)


def to_message(error: KvError) -> pb.Error:
    """Return *error* as it stands in a frame."""
    code = next(code for kind, code, _ in _CODES if isinstance(error, kind))
    message = pb.Error(
        code=code,
        message=str(error),
        may_have_happened=error.outcome is Outcome.INDETERMINATE,
        retryable=isinstance(error, UnavailableError | DamagedRecordError),
        overloaded=isinstance(error, OverloadedError),
        object_ended=isinstance(error, ObjectEndedError),
    )
    match error:
        case ReplicasTimeoutError():
            message.acknowledged = error.acknowledged
            message.needed = error.needed
        case MovedError():
            message.home = error.region
        case NotLeaderError():
            message.leader = error.leader
        case ObjectRaisedError():
            message.type_name = error.type_name
        case SessionLostError():
            message.session_loss.session = error.remaining
            for replica, name, first, last in error.lost:
                message.session_loss.lost.add(
                    replica=replica, name=name, first=first, last=last
                )
        case _:
            pass
    return message


def status_of(error: pb.Error) -> grpc.StatusCode:
    """Return the status that says *error* to any tool."""
    if error.HasField("session_loss"):
        return grpc.StatusCode.FAILED_PRECONDITION
    return next(
        (status for _, code, status in _CODES if code == error.code),
        grpc.StatusCode.INTERNAL,
    )


async def abort(context: Context, error: pb.Error) -> NoReturn:
    """
    End a unary call or a watch with *error*.

    The status says it to any tool; the trailer says it exactly, to a client
    that reads `kvnode.v1.Error`.
    """
    context.set_trailing_metadata(((ERROR_TRAILER, error.SerializeToString()),))
    await context.abort(status_of(error), error.message)


def unary(
    method: Callable[[ServicerT, RequestT], Awaitable[ReplyT]],
) -> Callable[[ServicerT, RequestT, Context], Awaitable[ReplyT]]:
    """Make of a method of a service one that ends with the errors that it raises."""

    @wraps(method)
    async def served(
        servicer: ServicerT, request: RequestT, context: Context
    ) -> ReplyT:
        try:
            return await method(servicer, request)
        except KvError as error:
            await abort(context, to_message(error))

    return served
