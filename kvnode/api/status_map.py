"""Errors as codes: in frames, and as gRPC status of unary calls."""

import grpc

from kvnode._pb import kv_pb2 as pb
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NamespaceNotFoundError,
    Outcome,
    RejectedError,
    ReplicasTimeoutError,
    StoreFullError,
    UnavailableError,
    WrongTypeError,
)

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
    (UnavailableError, pb.ERROR_CODE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
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
    )
    if isinstance(error, ReplicasTimeoutError):
        message.acknowledged = error.acknowledged
        message.needed = error.needed
    return message


def to_status(error: KvError) -> grpc.StatusCode:
    """Return the status of a unary call that ended with *error*."""
    return next(status for kind, _, status in _CODES if isinstance(error, kind))


def from_code(code: "pb.ErrorCode.ValueType") -> grpc.StatusCode:
    """Return the status of a unary call whose operation ended with *code*."""
    return next(
        (status for _, known, status in _CODES if known == code),
        grpc.StatusCode.INTERNAL,
    )
