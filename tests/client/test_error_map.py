"""Errors of the wire become the right class, with the right outcome."""

import grpc
import pytest
from grpc.aio import Metadata
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import kv_pb2
from kvnode.client.error_map import error_of, error_of_rpc
from kvnode.errors import (
    ERROR_TRAILER,
    ConnectionLostError,
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NamespaceNotFoundError,
    NotLeaderError,
    ObjectRaisedError,
    Outcome,
    RejectedError,
    ReplicasTimeoutError,
    StoreFullError,
    UnavailableError,
    WrongTypeError,
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (kv_pb2.ERROR_CODE_UNSPECIFIED, IndeterminateError),
        (kv_pb2.ERROR_CODE_INVALID_ARGUMENT, InvalidArgumentError),
        (kv_pb2.ERROR_CODE_NOT_FOUND, NamespaceNotFoundError),
        (kv_pb2.ERROR_CODE_WRONG_TYPE, WrongTypeError),
        (kv_pb2.ERROR_CODE_UNAVAILABLE, UnavailableError),
        (kv_pb2.ERROR_CODE_RESOURCE_EXHAUSTED, StoreFullError),
        (kv_pb2.ERROR_CODE_INDETERMINATE, IndeterminateError),
        (kv_pb2.ERROR_CODE_INTERNAL, IndeterminateError),
        (kv_pb2.ERROR_CODE_NOT_LEADER, NotLeaderError),
        (kv_pb2.ERROR_CODE_OBJECT_RAISED, ObjectRaisedError),
        (kv_pb2.ERROR_CODE_DEADLINE, DeadlineError),
    ],
)
def test_each_code_has_its_class(
    code: kv_pb2.ErrorCode.ValueType, expected: type[KvError]
) -> None:
    """Exactly that class, so that handlers can tell them apart."""
    error = error_of(kv_pb2.Error(code=code, message="why"), namespace="n")

    assert type(error) is expected
    assert expected is NamespaceNotFoundError or str(error) == "why"


@given(code=st.sampled_from(kv_pb2.ErrorCode.values()))
def test_what_may_have_happened_is_indeterminate(
    code: kv_pb2.ErrorCode.ValueType,
) -> None:
    """Whatever the code, the flag is believed."""
    error = kv_pb2.Error(code=code, may_have_happened=True)

    assert error_of(error, namespace="n").outcome is Outcome.INDETERMINATE


def test_short_acknowledgement_says_how_many_have_it() -> None:
    """S4: on timeout the error counts the replicas."""
    error = error_of(
        kv_pb2.Error(
            code=kv_pb2.ERROR_CODE_INDETERMINATE,
            may_have_happened=True,
            acknowledged=1,
            needed=3,
        ),
        namespace="n",
    )

    assert isinstance(error, ReplicasTimeoutError)
    assert (error.acknowledged, error.needed) == (1, 3)


def _rpc_error(code: grpc.StatusCode, trailer: bytes = b"") -> grpc.aio.AioRpcError:
    trailing = Metadata((ERROR_TRAILER, trailer)) if trailer else Metadata()
    return grpc.aio.AioRpcError(code, Metadata(), trailing, details="why")


@pytest.mark.parametrize(
    ("code", "read", "write"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError, ConnectionLostError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError, DeadlineError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgumentError, InvalidArgumentError),
        (grpc.StatusCode.NOT_FOUND, NamespaceNotFoundError, NamespaceNotFoundError),
        (grpc.StatusCode.PERMISSION_DENIED, RejectedError, RejectedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, StoreFullError, StoreFullError),
        (grpc.StatusCode.INTERNAL, IndeterminateError, IndeterminateError),
        (grpc.StatusCode.CANCELLED, IndeterminateError, IndeterminateError),
    ],
)
def test_each_status_has_its_class(
    code: grpc.StatusCode, read: type[KvError], write: type[KvError]
) -> None:
    """A status that leaves doubt counts as such for writes."""
    for writes, expected in ((False, read), (True, write)):
        error = error_of_rpc(
            _rpc_error(code), namespace="n", address="a:1", writes=writes
        )
        assert type(error) is expected


def test_trailer_is_believed_before_the_status() -> None:
    """The node said UNAVAILABLE itself, so nothing happened."""
    trailer = kv_pb2.Error(code=kv_pb2.ERROR_CODE_UNAVAILABLE, message="fenced")

    error = error_of_rpc(
        _rpc_error(grpc.StatusCode.UNAVAILABLE, trailer.SerializeToString()),
        namespace="n",
        address="a:1",
        writes=True,
    )

    assert error.outcome is Outcome.FAILED
    assert str(error) == "fenced"


def test_broken_trailer_is_ignored() -> None:
    """Then the status is all we have."""
    error = error_of_rpc(
        _rpc_error(grpc.StatusCode.UNAVAILABLE, b"\xff\xff"),
        namespace="n",
        address="a:1",
        writes=True,
    )

    assert isinstance(error, ConnectionLostError)
