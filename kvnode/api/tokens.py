"""
Session tokens, version strings and cursors: opaque to clients, read here.

Whatever comes back from a client is checked as if it were made up.
"""

import re

from google.protobuf.message import DecodeError

from kvnode._pb import kv_pb2 as pb
from kvnode.core.clocks.hybrid_logical_clock import millis_of
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import SEQ_MAX
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.errors import InvalidArgumentError, UnavailableError
from kvnode.limits import (
    DEPENDENCIES_MAX,
    SESSION_AHEAD_MILLIS_MAX,
    SESSION_BYTES_MAX,
)
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId

_VERSION = re.compile(r"([1-9][0-9]{0,18})@([0-9a-f]{16})")
_SHOWN_CHARS_MAX = 40


def encode_session(session: Session, floor: Floor) -> bytes:
    """Return *session* as a token, less what is below *floor*."""
    session = session.above(floor)
    token = pb.SessionToken(hlc=session.hlc, floor=session.floor)
    for replica, seq in session.seen:
        token.entries.add(replica=replica, seq=seq)
    return token.SerializeToString()


def decode_session(token: bytes) -> Session:
    """
    Return the session of *token*; an empty one has seen nothing.

    Raises:
        InvalidArgumentError: It is no token of any node, or too large.
    """
    if not token:
        return NEW_SESSION
    if len(token) > SESSION_BYTES_MAX:
        msg = f"the session has {len(token)} bytes; at most {SESSION_BYTES_MAX} allowed"
        raise InvalidArgumentError(msg)
    message = pb.SessionToken()
    try:
        message.ParseFromString(token)
    except DecodeError as error:
        msg = "the session is not a token that a node made"
        raise InvalidArgumentError(msg) from error
    seen = tuple(sorted(Dot(ReplicaId(e.replica), e.seq) for e in message.entries))
    if len(seen) > DEPENDENCIES_MAX:
        msg = (
            f"the session names {len(seen)} replicas; at most {DEPENDENCIES_MAX}"
            " are allowed"
        )
        raise InvalidArgumentError(msg)
    if len({dot.replica for dot in seen}) < len(seen) or any(
        not dot.replica or not 0 < dot.seq <= SEQ_MAX for dot in seen
    ):
        msg = "the session is not a token that a node made"
        raise InvalidArgumentError(msg)
    return Session(seen, HlcTimestamp(message.hlc), HlcTimestamp(message.floor))


def check_may_write(session: Session, now: Millis) -> None:
    """
    Do nothing if a write of *session* may be stamped at *now*.

    Reads are served to any session: a clock that is far behind stops none (C1).

    Raises:
        UnavailableError: Its timestamp is from too far ahead of *now*: what it writes
            would win over all other writes until then.
    """
    if (ahead := millis_of(session.hlc) - now) > SESSION_AHEAD_MILLIS_MAX:
        msg = (
            f"the session is {ahead} ms ahead of this node's clock; at most"
            f" {SESSION_AHEAD_MILLIS_MAX} are allowed for writes: is the clock right?"
        )
        raise UnavailableError(msg)


def encode_version(dot: Dot) -> str:
    """Return *dot* as a version string: its seq, and its replica in hex."""
    return f"{dot.seq}@{dot.replica:016x}"


def decode_version(version: str) -> Dot | None:
    """
    Return the dot of a version string; None for an empty one.

    Raises:
        InvalidArgumentError: It is not of that form.
    """
    if not version:
        return None
    parts = _VERSION.fullmatch(version)
    if parts is None:
        msg = f"{version[:_SHOWN_CHARS_MAX]!r} is not a version that a node gave"
        raise InvalidArgumentError(msg)
    return Dot(ReplicaId(int(parts[2], 16)), int(parts[1]))
