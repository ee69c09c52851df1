"""Each error has its code and its status, and the client makes the same of it."""

import grpc
import pytest
from grpc.aio import Metadata

from kvnode import errors
from kvnode._pb import kv_pb2 as pb
from kvnode.api.status_map import status_of, to_message
from kvnode.client.error_map import error_of, error_of_rpc
from kvnode.errors import ERROR_TRAILER, KvError, Outcome
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, LostWrites, ReplicaId

E = errors
Status = grpc.StatusCode

# The error, its code, its status, and what the client makes of it.
LOST = (LostWrites(ReplicaId(11), "tokyo", 3, 5),)

ERRORS: list[tuple[KvError, int, Status, type[KvError]]] = [
    (
        E.InvalidArgumentError("why"),
        pb.ERROR_CODE_INVALID_ARGUMENT,
        Status.INVALID_ARGUMENT,
        E.InvalidArgumentError,
    ),
    (
        E.NamespaceNotFoundError("shop"),
        pb.ERROR_CODE_NOT_FOUND,
        Status.NOT_FOUND,
        E.NamespaceNotFoundError,
    ),
    (
        E.WrongTypeError("why"),
        pb.ERROR_CODE_WRONG_TYPE,
        Status.FAILED_PRECONDITION,
        E.WrongTypeError,
    ),
    (
        E.RejectedError("why"),
        pb.ERROR_CODE_INVALID_ARGUMENT,
        Status.INVALID_ARGUMENT,
        E.InvalidArgumentError,
    ),
    (
        E.SqlError("why", code="SQLITE_ERROR"),
        pb.ERROR_CODE_INVALID_ARGUMENT,
        Status.INVALID_ARGUMENT,
        E.InvalidArgumentError,
    ),
    (
        E.RequestRefusedError("why", status=404),
        pb.ERROR_CODE_INVALID_ARGUMENT,
        Status.INVALID_ARGUMENT,
        E.InvalidArgumentError,
    ),
    (
        E.ConfigError("why"),
        pb.ERROR_CODE_INVALID_ARGUMENT,
        Status.INVALID_ARGUMENT,
        E.InvalidArgumentError,
    ),
    (
        E.SessionLostError("why", lost=LOST, remaining=b"rest"),
        pb.ERROR_CODE_INVALID_ARGUMENT,  # which older clients know
        Status.FAILED_PRECONDITION,
        E.SessionLostError,
    ),
    (
        E.StoreFullError("why"),
        pb.ERROR_CODE_RESOURCE_EXHAUSTED,
        Status.RESOURCE_EXHAUSTED,
        E.StoreFullError,
    ),
    (
        E.NotCoveredError("why"),
        pb.ERROR_CODE_NOT_COVERED,
        Status.UNAVAILABLE,
        E.NotCoveredError,
    ),
    (
        E.OverloadedError("why"),
        pb.ERROR_CODE_OVERLOADED,
        Status.UNAVAILABLE,
        E.OverloadedError,
    ),
    (
        E.NotLeaderError("why", leader="paris"),
        pb.ERROR_CODE_NOT_LEADER,
        Status.UNAVAILABLE,
        E.NotLeaderError,
    ),
    (
        E.MovedError("why", region="west"),
        pb.ERROR_CODE_NOT_LEADER,
        Status.UNAVAILABLE,
        E.MovedError,
    ),
    (
        E.ObjectEndedError("why"),
        pb.ERROR_CODE_UNAVAILABLE,  # which older clients know
        Status.UNAVAILABLE,
        E.ObjectEndedError,
    ),
    (
        E.ObjectRaisedError("why", type_name="ValueError"),
        pb.ERROR_CODE_OBJECT_RAISED,
        Status.UNKNOWN,
        E.ObjectRaisedError,
    ),
    (
        E.DeadlineError("why"),
        pb.ERROR_CODE_DEADLINE,
        Status.DEADLINE_EXCEEDED,
        E.DeadlineError,
    ),
    (
        E.UnavailableError("why"),
        pb.ERROR_CODE_UNAVAILABLE,
        Status.UNAVAILABLE,
        E.UnavailableError,
    ),
    (
        E.IndeterminateError("why"),
        pb.ERROR_CODE_INDETERMINATE,
        Status.DEADLINE_EXCEEDED,
        E.IndeterminateError,
    ),
    (
        E.ReplicasTimeoutError("why", acknowledged=1, needed=3),
        pb.ERROR_CODE_INDETERMINATE,
        Status.DEADLINE_EXCEEDED,
        E.ReplicasTimeoutError,
    ),
    (
        E.DamagedRecordError("why", EntryKey(DEFAULT_NAMESPACE, b"k")),
        pb.ERROR_CODE_UNAVAILABLE,
        Status.UNAVAILABLE,
        E.UnavailableError,
    ),
    (
        E.CorruptRecordError("why"),
        pb.ERROR_CODE_INTERNAL,
        Status.INTERNAL,
        E.IndeterminateError,
    ),
    (
        E.PeerProtocolError("why"),
        pb.ERROR_CODE_INTERNAL,
        Status.INTERNAL,
        E.IndeterminateError,
    ),
]


@pytest.mark.parametrize(("error", "code", "status", "there"), ERRORS)
def test_error_survives_the_wire(
    error: KvError, code: int, status: Status, there: type[KvError]
) -> None:
    """In a frame, and as the trailer of a unary call: class, text, outcome."""
    message = to_message(error)
    trailer = Metadata((ERROR_TRAILER, message.SerializeToString()))
    rpc_error = grpc.aio.AioRpcError(status_of(message), Metadata(), trailer, "why")

    assert message.code == code
    assert status_of(message) is status
    for seen in (
        error_of(message, namespace="shop"),
        error_of_rpc(rpc_error, namespace="shop", address="a:1", writes=True),
    ):
        assert type(seen) is there
        assert str(seen) == str(error)
        assert seen.outcome is error.outcome
        if isinstance(error, E.ReplicasTimeoutError):
            assert isinstance(seen, E.ReplicasTimeoutError)
            assert (seen.acknowledged, seen.needed) == (1, 3)
        if isinstance(error, E.MovedError):
            assert isinstance(seen, E.MovedError)
            assert seen.region == "west"
        elif isinstance(error, E.NotLeaderError):
            assert isinstance(seen, E.NotLeaderError)
            assert seen.leader == "paris"
        if isinstance(error, E.ObjectRaisedError):
            assert isinstance(seen, E.ObjectRaisedError)
            assert seen.type_name == "ValueError"
        if isinstance(error, E.SessionLostError):
            assert isinstance(seen, E.SessionLostError)
            assert (seen.lost, seen.remaining) == (LOST, b"rest")


@pytest.mark.parametrize(("error", "code", "status", "there"), ERRORS)
def test_status_alone_never_calls_what_may_have_happened_a_failure(
    error: KvError, code: int, status: Status, there: type[KvError]
) -> None:
    """Some proxies lose trailers: doubt must stay doubt."""
    del code, there
    bare = grpc.aio.AioRpcError(status, Metadata(), Metadata(), "why")

    seen = error_of_rpc(bare, namespace="shop", address="a:1", writes=True)

    if error.outcome is Outcome.INDETERMINATE:
        assert seen.outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(("error", "code", "status", "there"), ERRORS)
def test_what_may_be_tried_again_is_what_did_not_happen(
    error: KvError, code: int, status: Status, there: type[KvError]
) -> None:
    """For clients in other languages, which have no tree of classes."""
    del code, status
    message = to_message(error)

    assert message.retryable == issubclass(there, E.UnavailableError)
    assert not (message.retryable and message.may_have_happened)
    assert message.overloaded == isinstance(error, E.OverloadedError)


def test_every_error_of_the_tree_is_tried() -> None:
    """But those that only a client raises, and those that exist to be derived from."""
    clients_own = {E.ConnectionLostError, E.StartOverError, KvError}
    tree = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, KvError)
    }
    assert tree - clients_own == {type(error) for error, *_ in ERRORS}
