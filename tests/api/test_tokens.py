"""Tokens come back as they went out; whatever was made up is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import kv_pb2 as pb
from kvnode.api.tokens import (
    check_may_write,
    decode_session,
    decode_version,
    encode_session,
    encode_version,
)
from kvnode.core.versions.floor import GROUND
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.errors import InvalidArgumentError, KvError, UnavailableError
from kvnode.limits import (
    DEPENDENCIES_MAX,
    SESSION_AHEAD_MILLIS_MAX,
    SESSION_BYTES_MAX,
)
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests import strategies

NOW = Millis(1_700_000_000_000)
LATEST = (NOW + SESSION_AHEAD_MILLIS_MAX + 1 << 16) - 1

sessions = st.builds(
    lambda seen, hlc: Session(tuple(sorted(seen)), HlcTimestamp(hlc)),
    strategies.key_clocks(size_max=12),
    st.integers(0, 2**64 - 1),
)


@given(session=sessions)
def test_session_survives_the_round_trip(session: Session) -> None:
    """And an empty token has seen nothing."""
    assert decode_session(encode_session(session, GROUND)) == session
    assert decode_session(b"") == NEW_SESSION


@given(token=st.binary(max_size=200))
def test_any_bytes_are_a_session_or_refused(token: bytes) -> None:
    """Nothing else comes out, and what does is well formed."""
    try:
        session = decode_session(token)
    except KvError:
        return
    replicas = [dot.replica for dot in session.seen]
    assert replicas == sorted(set(replicas))
    assert all(dot.replica > 0 and dot.seq > 0 for dot in session.seen)


def _token(*entries: tuple[int, int], hlc: int = 0) -> bytes:
    token = pb.SessionToken(hlc=hlc)
    for replica, seq in entries:
        token.entries.add(replica=replica, seq=seq)
    return token.SerializeToString()


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (_token((1, 1), (1, 2)), "not a token"),
        (_token((1, 0)), "not a token"),
        (_token((0, 1)), "not a token"),
        (_token((1, 2**48)), "not a token"),
        (b"\xff\xff", "not a token"),
        (bytes(SESSION_BYTES_MAX + 1), str(SESSION_BYTES_MAX)),
        (
            _token(*((n, 1) for n in range(1, DEPENDENCIES_MAX + 2))),
            str(DEPENDENCIES_MAX),
        ),
    ],
)
def test_session_that_no_node_made_is_refused(token: bytes, reason: str) -> None:
    """A replica twice, nobody's write, a write number 0, too many of them."""
    with pytest.raises(InvalidArgumentError, match=reason):
        decode_session(token)


def test_largest_session_is_taken() -> None:
    """As many replicas as a write may depend on fit into the limit."""
    top = 2**64 - 1
    entries = ((top - n, 2**48 - 1) for n in range(DEPENDENCIES_MAX))
    assert len(decode_session(_token(*entries, hlc=LATEST)).seen) == (DEPENDENCIES_MAX)


@pytest.mark.parametrize("hlc", [LATEST + 1, 2**64 - 1])
def test_session_from_the_far_future_may_read_and_not_write(hlc: int) -> None:
    """C1: it may be this node's clock that is wrong, and reads go on."""
    session = decode_session(_token((1, 1), hlc=hlc))

    assert session.hlc == hlc
    with pytest.raises(UnavailableError, match="ahead of this node's clock"):
        check_may_write(session, NOW)


def test_session_from_the_near_future_may_write() -> None:
    """It has seen what a clock that is a little ahead has stamped."""
    check_may_write(decode_session(_token((1, 1), hlc=LATEST)), NOW)


@given(dot=strategies.dots())
def test_version_survives_the_round_trip(dot: Dot) -> None:
    """Every dot that a write can have."""
    assert decode_version(encode_version(dot)) == dot
    assert decode_version("") is None


@given(text=st.text(max_size=40) | st.from_regex(r"[0-9a-fA-F_+-]*@[0-9a-fx_]*"))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    """What is taken is exactly what a node would have written."""
    try:
        dot = decode_version(text)
    except InvalidArgumentError:
        return
    assert dot is None or encode_version(dot) == text


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "@",
        "1@",
        "@00000000000000aa",
        "1@aa",
        "1@00000000000000AA",
        "0@00000000000000aa",
        "-1@00000000000000aa",
        "1_0@00000000000000aa",
        " 1@00000000000000aa",
        "\uff11@00000000000000aa",
        "1@000000000000000aa",
        "1@00000000000000aa\n",
        "9" * 5000 + "@00000000000000aa",
    ],
)
def test_malformed_version_is_refused_in_few_words(text: str) -> None:
    """The message goes into the metadata of a reply and must fit there."""
    with pytest.raises(InvalidArgumentError, match="is not a version") as caught:
        decode_version(text)
    assert len(str(caught.value)) < 200


def test_version_reads_as_seq_and_replica() -> None:
    """It is opaque to programs and legible to people."""
    assert encode_version(Dot(ReplicaId(0xAB), 12)) == "12@00000000000000ab"
