"""Tokens form a join semilattice, and a session never forgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import kv_pb2
from kvnode.client.session_token import Token, join, parse, without
from kvnode.errors import InvalidArgumentError
from kvnode.types import LostWrites, ReplicaId


def _token(seqs: dict[int, int], hlc: int, floor: int = 0) -> bytes:
    entries = [
        kv_pb2.SessionToken.Entry(replica=replica, seq=seq)
        for replica, seq in sorted(seqs.items())
    ]
    return kv_pb2.SessionToken(
        entries=entries, hlc=hlc, floor=floor
    ).SerializeToString()


def _content(token: bytes) -> tuple[dict[int, int], int]:
    message = parse(token)
    return {entry.replica: entry.seq for entry in message.entries}, message.hlc


tokens = st.builds(
    _token,
    st.dictionaries(st.integers(1, 4), st.integers(1, 9), max_size=4),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(a=tokens, b=tokens, c=tokens)
def test_join_is_a_semilattice(a: bytes, b: bytes, c: bytes) -> None:
    """Idempotent, commutative, associative, to the byte."""
    assert join(a, a) == a
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))


@given(a=tokens, b=tokens)
def test_join_is_the_pointwise_maximum(a: bytes, b: bytes) -> None:
    """It agrees with the definition."""
    (left, left_hlc), (right, right_hlc) = _content(a), _content(b)
    joined, hlc = _content(join(a, b))

    assert hlc == max(left_hlc, right_hlc)
    assert joined == {
        replica: max(left.get(replica, 0), right.get(replica, 0))
        for replica in left.keys() | right.keys()
    }


def test_reply_to_the_token_held_replaces_it() -> None:
    """So that a token loses what every member has."""
    held = Token(_token({1: 5}, 5))

    held.adopt(_token({2: 7}, 7), carried=_token({1: 5}, 5))

    assert held.current == _token({2: 7}, 7)


def test_reply_to_an_earlier_token_is_joined() -> None:
    """Of two concurrent calls the second reply must not undo the first."""
    held = Token(b"")

    held.adopt(_token({1: 5}, 5), carried=b"")
    held.adopt(_token({2: 7}, 3), carried=b"")

    assert held.current == _token({1: 5, 2: 7}, 5)


def test_reply_without_a_token_changes_nothing() -> None:
    """An empty field is no token."""
    held = Token(_token({1: 5}, 5))

    held.adopt(b"", carried=_token({1: 5}, 5))

    assert held.current == _token({1: 5}, 5)


@pytest.mark.parametrize("token", [b"\xff", bytes(20_000)])
def test_what_is_no_token_is_refused(token: bytes) -> None:
    """Garbage, and more than any session needs."""
    with pytest.raises(InvalidArgumentError, match="session token"):
        Token(token)


@pytest.mark.parametrize(("first", "left"), [(1, {2: 7}), (3, {1: 2, 2: 7})])
def test_what_is_lost_leaves_a_token_and_all_else_stays(
    first: int, left: dict[int, int]
) -> None:
    """Down to the last write of the replica that is not lost."""
    token = _token({1: 5, 2: 7}, 9, 4)
    lost = [
        LostWrites(ReplicaId(1), "a", first, 5),
        LostWrites(ReplicaId(3), "c", 1, 2),
    ]

    assert without(token, lost) == _token(left, 9, 4)


def test_session_that_has_moved_on_gives_up_no_more_than_what_is_lost() -> None:
    """Replies that came after the error stay seen."""
    held = Token(_token({1: 5}, 5))
    held.adopt(_token({1: 5, 2: 8}, 8), carried=_token({1: 5}, 5))

    held.give_up([LostWrites(ReplicaId(1), "a", 4, 5)])

    assert held.current == _token({1: 3, 2: 8}, 8)
