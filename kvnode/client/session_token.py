"""
Session tokens: what a session has read or written (S1).

A token maps replicas to sequence numbers and holds the largest hybrid timestamp.
Tokens form a join semilattice: the join takes the larger number of each replica
and the larger timestamp, so a joined token asks for all that either asked for.

References:
    Terry et al., 1994.  Session Guarantees for Weakly Consistent Replicated Data.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from kvnode._pb import kv_pb2
from kvnode.errors import InvalidArgumentError
from kvnode.limits import SESSION_BYTES_MAX
from kvnode.types import LostWrites


def parse(token: bytes) -> kv_pb2.SessionToken:
    """
    Return the message in *token*.

    Raises:
        InvalidArgumentError: It is too long, or was never a token.
    """
    if len(token) > SESSION_BYTES_MAX:
        msg = f"a session token has at most {SESSION_BYTES_MAX} bytes, not {len(token)}"
        raise InvalidArgumentError(msg)
    try:
        return kv_pb2.SessionToken.FromString(token)
    except DecodeError as error:
        msg = f"this is no session token: {error}"
        raise InvalidArgumentError(msg) from error


def join(a: bytes, b: bytes) -> bytes:
    """
    Return a token for all that *a* or *b* stand for, entries sorted by replica.

    Raises:
        InvalidArgumentError: One of them is no token.
    """
    if a == b or not b:
        return a
    if not a:
        return b
    left, right = parse(a), parse(b)
    largest: dict[int, int] = {}
    for token in (left, right):
        for entry in token.entries:
            largest[entry.replica] = max(largest.get(entry.replica, 0), entry.seq)
    return kv_pb2.SessionToken(
        entries=[
            kv_pb2.SessionToken.Entry(replica=replica, seq=seq)
            for replica, seq in sorted(largest.items())
        ],
        hlc=max(left.hlc, right.hlc),
        floor=max(left.floor, right.floor),
    ).SerializeToString()


def without(token: bytes, lost: Iterable[LostWrites]) -> bytes:
    """
    Return a token for all that *token* stands for, save *lost*.

    Raises:
        InvalidArgumentError: It is no token.
    """
    message = parse(token)
    before: dict[int, int] = {w.replica: w.first - 1 for w in lost}
    kept = [
        (entry.replica, min(entry.seq, before.get(entry.replica, entry.seq)))
        for entry in message.entries
    ]
    del message.entries[:]
    for replica, seq in kept:
        if seq:
            message.entries.add(replica=replica, seq=seq)
    return message.SerializeToString()


class Token:
    """
    The token of a running session, joined under concurrent calls.

    A reply's token includes the one that its request carried, less what every
    member has.  If the session still holds the one that the request carried, the
    reply's replaces it and so keeps it short; if another reply came between, the
    two are joined.
    """

    def __init__(self, token: bytes) -> None:
        parse(token)
        self.current = token

    def give_up(self, lost: Iterable[LostWrites]) -> None:
        """Ask for nothing of *lost* any more, and for all else as before."""
        self.current = without(self.current, lost)

    def adopt(self, replied: bytes, *, carried: bytes) -> None:
        """Take in the token of a reply whose request *carried* another."""
        if not replied:
            return
        if self.current == carried:
            self.current = replied
        else:
            self.current = join(self.current, replied)
