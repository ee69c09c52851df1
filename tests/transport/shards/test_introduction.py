"""Who is met, and who is turned away, with the reason."""

import pytest

from kvnode._pb import shards_pb2 as pb
from kvnode.errors import PeerProtocolError
from kvnode.transport.shards.introduction import (
    PROTOCOL,
    PROTOCOL_MIN,
    Introduction,
    MetNode,
)
from kvnode.types import ReplicaId

HERE = Introduction("test", "oslo", ReplicaId(1), "oslo:1", "north")
THERE = Introduction("test", "rome", ReplicaId(2**64 - 1), "rome:1", "south")


def said(who: Introduction, **changes: object) -> pb.ShardFrame:
    """Return what *who* says first, but for *changes*."""
    hello = who.hello()
    for name, value in changes.items():
        setattr(hello, name, value)
    data = pb.ShardFrame(hello=hello).SerializeToString()
    return pb.ShardFrame.FromString(data)


def test_nodes_that_say_who_they_are_know_each_other() -> None:
    """All that is needed to reach them, either way."""
    assert HERE.checked(said(THERE)) == MetNode(*THERE[1:])
    assert THERE.checked(said(HERE)) == MetNode(*HERE[1:])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cluster": "other"}, "this is cluster 'test', not 'other'"),
        ({"cluster": ""}, "not ''"),
        ({"name": "oslo"}, r"oslo \(ffffffffffffffff\) has the name or the identity"),
        ({"name": ""}, "nodes need names of their own"),
        ({"replica": 1}, "a data directory that was copied serves nobody"),
        ({"replica": 0}, "0000000000000000"),
        (
            {"protocol": PROTOCOL + 9, "protocol_min": PROTOCOL + 8},
            f"{PROTOCOL_MIN}..{PROTOCOL} here, {PROTOCOL + 8}..{PROTOCOL + 9} there",
        ),
        ({"protocol": PROTOCOL_MIN - 1, "protocol_min": 0}, "no common protocol"),
    ],
)
def test_stranger_is_turned_away_with_the_reason(
    changes: dict[str, object], reason: str
) -> None:
    """Whoever runs the nodes reads it at both."""
    with pytest.raises(PeerProtocolError, match=reason):
        HERE.checked(said(THERE, **changes))


def test_newer_version_that_still_speaks_this_protocol_is_met() -> None:
    """So nodes can be brought up to date one after another."""
    assert HERE.checked(said(THERE, protocol=PROTOCOL + 5)).name == "rome"


@pytest.mark.parametrize(
    "first",
    [None, pb.ShardFrame(), pb.ShardFrame(messages=[pb.ShardMessage(shard="s000")])],
)
def test_stream_that_does_not_begin_with_a_hello_is_refused(
    first: pb.ShardFrame | None,
) -> None:
    """Whatever else it says, or if it says nothing."""
    with pytest.raises(PeerProtocolError, match="must be a hello"):
        HERE.checked(first)
