"""What the statuses of etcd mean: has it happened, is it for good, and what to do."""

import grpc
import grpc.aio
import pytest

from kvnode.authority.etcd.failure import failure_of, unreachable

CODES = grpc.StatusCode

REFUSED = (
    (CODES.INVALID_ARGUMENT, "etcdserver: revision of auth store is old"),
    (CODES.INVALID_ARGUMENT, "etcdserver: request is too large"),
    (CODES.UNAUTHENTICATED, "etcdserver: invalid auth token"),
    (CODES.PERMISSION_DENIED, "etcdserver: permission denied"),
    (CODES.FAILED_PRECONDITION, "etcdserver: not leader"),
    (CODES.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
    (CODES.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    (CODES.UNAVAILABLE, "etcdserver: no leader"),
    (CODES.UNAVAILABLE, "etcdserver: rpc not supported for learner"),
)
"""Before anything was done, or in place of it."""

OPEN = (
    (CODES.UNAVAILABLE, "etcdserver: request timed out"),
    (
        CODES.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    (CODES.UNAVAILABLE, "etcdserver: leader changed"),
    (CODES.UNAVAILABLE, "etcdserver: server stopped"),
    (CODES.UNKNOWN, "raft proposal dropped"),
    (CODES.UNAVAILABLE, "Socket closed"),
    (CODES.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    (CODES.PERMISSION_DENIED, "says a proxy"),
    (CODES.RESOURCE_EXHAUSTED, "Received message larger than max"),
    (CODES.INTERNAL, ""),
)
"""Etcd waits no longer, or it is not etcd that speaks."""


def _error(code: grpc.StatusCode, said: str) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, said)


@pytest.mark.parametrize(("code", "said"), REFUSED)
def test_refusal_of_etcd_has_changed_nothing(code: grpc.StatusCode, said: str) -> None:
    """The connection is good for the next question."""
    failure = failure_of("e:1", _error(code, said), 1.0, changes=True)

    assert not failure.may_have_happened
    assert not failure.is_disconnected
    assert failure.reason.startswith(f"e:1 says '{said}'")


@pytest.mark.parametrize(("code", "said"), OPEN)
def test_anything_else_may_have_changed_something(
    code: grpc.StatusCode, said: str
) -> None:
    """Unless it was a read."""
    error = _error(code, said)

    assert failure_of("e:1", error, 1.0, changes=True).may_have_happened
    assert not failure_of("e:1", error, 1.0, changes=False).may_have_happened


@pytest.mark.parametrize(
    ("code", "said", "advice"),
    [
        (CODES.PERMISSION_DENIED, "etcdserver: permission denied", "below the prefix"),
        (
            CODES.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            "disarm its alarm",
        ),
        (CODES.DEADLINE_EXCEEDED, "", "within 1.0 s: is it paused"),
        (CODES.UNIMPLEMENTED, "unknown service", "is no etcd"),
        (CODES.UNAVAILABLE, "etcdserver: no leader", "most of its members up"),
        (CODES.UNAVAILABLE, "etcdserver: request timed out", "a majority is down"),
    ],
)
def test_reason_says_what_to_do(code: grpc.StatusCode, said: str, advice: str) -> None:
    """Who reads it knows where to look."""
    assert advice in failure_of("e:1", _error(code, said), 1.0, changes=False).reason


def test_endpoint_without_a_connection_was_sent_nothing() -> None:
    """Whatever was to be sent."""
    failure = unreachable("e:1", "CERTIFICATE_VERIFY_FAILED: certificate has expired")

    assert not failure.may_have_happened
    assert "see objects_etcd_ca_file" in failure.reason
