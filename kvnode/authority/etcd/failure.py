"""
Why an endpoint of etcd has not done what it was asked, and what that means.

The first question is whether it may have happened.  It has not, if nothing was sent, or
if etcd itself refuses: what it says begins with its name, and the codes below are those
that it answers with before a request enters its log, or in place of applying it.  A
code alone tells nothing, for gRPC and proxies in between use the same ones.  Whatever
else may be: a lost connection, silence, and etcd's own timeouts, too, which say only
that it has stopped waiting for its log.

References:
    etcd's published status codes (package rpctypes), as of versions 3.4 to 3.6.
"""

from typing import Final, NamedTuple

import grpc
import grpc.aio

_ETCD: Final = "etcdserver: "

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)

_REFUSALS_BY_TEXT: Final = (
    "etcdserver: no leader",
    "etcdserver: rpc not supported for learner",
)
"""Those whose code, UNAVAILABLE, is that of timeouts, too."""

_LOGIN_WANTED: Final = (
    "etcdserver: invalid auth token",
    "etcdserver: user name is empty",
    "etcdserver: revision of auth store is old",
)
"""The token is too old, unknown to a member that has started again, or missing."""

_FINAL: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}
)
"""All members would say the same."""

_ADVICE: Final = (
    ("permission denied", "let objects_etcd_user read and write below the prefix"),
    ("user name is empty", "set objects_etcd_user and objects_etcd_password_file"),
    ("authentication failed", "see objects_etcd_user and objects_etcd_password_file"),
    ("database space exceeded", "compact and defragment it, and disarm its alarm"),
    ("no leader", "are most of its members up, and can they reach each other?"),
    ("not leader", "it is choosing another, and that passes"),
    ("too many requests", "it is overloaded"),
    ("timed out", "its disks or its members are slow, or a majority is down"),
    ("certificate", "see objects_etcd_ca_file, and the certificate of etcd"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS: is it http:// in objects_etcd?"),
)
"""What to do, by what an answer contains."""

_SEE_LOG: Final = ": if that does not pass, see its log"

AUTHENTICATION_IS_OFF: Final = "etcdserver: authentication is not enabled"


class Failure(NamedTuple):
    """
    What has come of asking one endpoint.

    Attributes:
        reason: Why; names the endpoint, and what to do.
        may_have_happened: Whether what was asked for may have, or may still.
        is_final: Whether every other endpoint would say the same.
        wants_login: Whether a new token may help.
        is_disconnected: Whether the connection is of no use any more.
        said: What etcd says; empty if it says nothing.
    """

    reason: str
    may_have_happened: bool = False
    is_final: bool = False
    wants_login: bool = False
    is_disconnected: bool = False
    said: str = ""


def failure_of(
    endpoint: str, error: grpc.aio.AioRpcError, waited_seconds: float, *, changes: bool
) -> Failure:
    """
    Return what the status of a call to *endpoint* means.

    Args:
        endpoint: As in the settings.
        error: The status.
        waited_seconds: How long an answer was waited for at most.
        changes: Whether the method may change anything.
    """
    code, said = error.code(), error.details() or ""
    if not said.startswith(_ETCD):
        reason = _reason_of_stranger(endpoint, code, said, waited_seconds)
        return Failure(reason, may_have_happened=changes, is_disconnected=True)
    wants_login = said in _LOGIN_WANTED
    has_not_happened = code in _REFUSALS or said in _REFUSALS_BY_TEXT
    return Failure(
        f"{endpoint} says {said!r}{_advice(said) or _SEE_LOG}",
        may_have_happened=changes and not has_not_happened,
        is_final=code in _FINAL,
        wants_login=wants_login,
        said=said,
    )


def unreachable(endpoint: str, details: str) -> Failure:
    """Return that there is no connection to *endpoint*, so that nothing was sent."""
    why = f" ({details})" if details else ""
    advice = _advice(details) or ": is etcd listening there?"
    return Failure(f"{endpoint} cannot be reached{why}{advice}", is_disconnected=True)


def _reason_of_stranger(
    endpoint: str, code: grpc.StatusCode, said: str, waited_seconds: float
) -> str:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"{endpoint} has not answered within {waited_seconds:.1f} s: is it"
                " paused, overloaded, or cut off?"
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"{endpoint} is no etcd: is it the right port?"
        case _:
            advice = _advice(said) or _SEE_LOG
            return f"{endpoint} says {code.name}, {said!r}{advice}"


def _advice(said: str) -> str:
    for text, advice in _ADVICE:
        if text in said:
            return f": {advice}"
    return ""
