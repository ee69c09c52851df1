"""Peer messages come out as they went in; what no correct peer sends is refused."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import peer_pb2 as pb
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.messages import (
    ANNOUNCED_MAX,
    Absent,
    Announce,
    Graft,
    Prune,
    PushId,
)
from kvnode.core.membership.messages import (
    INCARNATION_MAX,
    NOBODY,
    UPDATES_MAX,
    Ack,
    Health,
    Nack,
    Ping,
    PingRequest,
    Update,
)
from kvnode.core.node.events import Message
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairMessage,
    RepairPage,
    RepairRange,
    Report,
    WireEntry,
)
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import HLC_END
from kvnode.core.versions.roster import NOT_CLOSED, Member, Standing
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import PeerProtocolError
from kvnode.transport.wire import (
    decode_address,
    decode_clock,
    decode_message,
    encode_address,
    encode_clock,
    encode_message,
)
from kvnode.types import EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests import strategies

DIGEST_BYTES_MAX = 64

numbers = st.integers(0, 2**64 - 1)
page_numbers = st.integers(0, 2**63)
seqs = st.integers(1, 2**48)
clocks = strategies.version_vectors()
names = st.text(st.characters(codec="utf-8"), max_size=8)
keys = st.builds(EntryKey, names.map(Namespace), st.binary(min_size=1, max_size=8))
entries = st.lists(
    st.builds(WireEntry, keys, st.binary(max_size=20), st.integers(0, 2**40)),
    max_size=4,
).map(tuple)
addresses = st.builds(PeerAddress, names, names, numbers.map(ReplicaId), names)
members = st.builds(
    Member,
    numbers.filter(bool).map(ReplicaId),
    names,
    names,
    names,
    numbers,
    st.sampled_from(Standing),
    st.integers(0, NOT_CLOSED),
    numbers,
    numbers,
    st.integers(0, NOT_CLOSED),
)
floors = st.builds(Floor, clocks, st.integers(0, HLC_END - 1).map(HlcTimestamp))
places = st.none() | keys.filter(lambda key: bool(key.namespace))
ranges = st.tuples(seqs, seqs).map(sorted)
claims = st.lists(
    st.builds(
        Update,
        strategies.replica_ids,
        st.integers(0, INCARNATION_MAX),
        st.sampled_from(Health),
        st.just(NOBODY) | strategies.replica_ids,
    ),
    max_size=UPDATES_MAX,
).map(tuple)

push_ids = st.builds(
    lambda origin, seq: PushId(origin, seq[0], seq[1]), strategies.replica_ids, ranges
)

repairs: st.SearchStrategy[RepairMessage] = st.one_of(
    st.builds(RepairBegin, numbers),
    st.builds(RepairRange, numbers, st.binary(max_size=20)),
    st.builds(RepairPage, numbers, entries, st.booleans(), floors, st.booleans()),
    st.builds(RepairAcknowledgement, numbers, numbers, numbers),
    st.builds(RepairEnd, numbers, names),
)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Report,
        clocks,
        numbers.map(Millis),
        st.lists(addresses, max_size=3).map(tuple),
        clocks,
        numbers,
        st.lists(members, max_size=3).map(tuple),
        floors,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Digest, numbers, numbers, numbers.map(Millis), st.booleans()),
    st.builds(
        lambda origin, seq, found: Push(origin, seq[0], seq[1], found),
        strategies.replica_ids,
        ranges,
        entries,
    ),
    st.builds(
        lambda origin, seq: PushAcknowledgement(origin, seq[0], seq[1]),
        strategies.replica_ids,
        ranges,
    ),
    st.builds(DeltaRequest, numbers, clocks, st.booleans(), places),
    st.builds(
        DeltaPage, numbers, page_numbers, clocks, entries, last=st.booleans(),
        refused=names, floor=floors, before_floor=st.booleans(), until=places,
        expected=numbers,
    ),
    st.builds(DeltaAcknowledgement, numbers, page_numbers, abandoned=st.booleans()),
    st.builds(FetchRequest, numbers, keys, strategies.dots(), numbers),
    st.builds(
        FetchChunk, numbers, strategies.dots(), numbers, numbers, st.binary(max_size=20)
    ),
    st.builds(Ping, numbers, strategies.replica_ids, claims),
    st.builds(PingRequest, numbers, strategies.replica_ids, claims),
    st.builds(Ack, numbers, numbers.map(Millis), claims),
    st.builds(Nack, numbers),
    st.lists(push_ids, min_size=1, max_size=5).map(lambda ids: Announce(tuple(ids))),
    st.builds(Graft, push_ids, keep=st.booleans()),
    st.builds(Prune, strategies.replica_ids),
    st.builds(Absent, push_ids),
    repairs,
)  # fmt: skip


@given(message=messages)
def test_message_survives_the_round_trip(message: Message) -> None:
    """Through the bytes that go over the network."""
    envelope = pb.PeerMessage.FromString(encode_message(message).SerializeToString())
    assert decode_message(envelope) == message


def test_every_kind_of_message_is_tried() -> None:
    """All that an envelope can hold, but for the hello, which begins a stream."""
    kinds = {field.name for field in pb.PeerMessage.DESCRIPTOR.oneofs[0].fields}
    repairing = get_args(RepairMessage)
    others = set(get_args(Message)) - set(repairing)
    assert len(kinds - {"hello", "repair"}) == len(others)
    said = {field.name for field in pb.RepairMessage.DESCRIPTOR.oneofs[0].fields}
    assert len(said) == len(repairing)


def test_repair_message_that_says_nothing_is_refused() -> None:
    """An envelope of a kind, and nothing in it."""
    with pytest.raises(PeerProtocolError, match="says nothing"):
        decode_message(pb.PeerMessage(repair=pb.RepairMessage(session=1)))


def test_digest_of_any_node_fits_into_64_bytes() -> None:
    """Rule D8: whatever the number of members and of keys, and with its envelope."""
    most = 2**64 - 1

    digest = Digest(most, most, Millis(most), unmet=True)
    data = encode_message(digest).SerializeToString()

    assert len(data) <= DIGEST_BYTES_MAX


@pytest.mark.parametrize(
    "envelope",
    [
        pb.PeerMessage(announce=pb.Announce()),
        pb.PeerMessage(
            announce=pb.Announce(
                ids=[pb.PushId(origin=1, first=1, last=1)] * (ANNOUNCED_MAX + 1)
            )
        ),
        pb.PeerMessage(
            announce=pb.Announce(ids=[pb.PushId(origin=1, first=2, last=1)])
        ),
        pb.PeerMessage(graft=pb.Graft(id=pb.PushId(origin=1, first=0, last=1))),
        pb.PeerMessage(graft=pb.Graft()),
        pb.PeerMessage(absent=pb.Absent(id=pb.PushId(first=1, last=1))),
        pb.PeerMessage(prune=pb.Prune()),
    ],
    ids=["none", "too many", "empty", "from 0", "no name", "of nobody", "no tree"],
)
def test_what_names_no_push_is_refused(envelope: pb.PeerMessage) -> None:
    """And so is an announcement that is longer than any correct one."""
    with pytest.raises(PeerProtocolError):
        decode_message(envelope)


@given(clock=clocks)
def test_clock_survives_the_round_trip(clock: VersionVector) -> None:
    """With its gaps, one of which may come first."""
    assert decode_clock(encode_clock(clock)) == clock


@given(address=addresses)
def test_address_survives_the_round_trip(address: PeerAddress) -> None:
    """Known to this node or not."""
    assert decode_address(encode_address(address)) == address


@given(
    covered=st.integers(0, 5),
    beyond=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
)
def test_any_intervals_are_a_clock_or_refused(
    covered: int, beyond: list[tuple[int, int]]
) -> None:
    """What is taken covers exactly those dots, and its form is canonical."""
    message = pb.Clock()
    entry = message.entries.add(replica=7, covered=covered)
    for first, last in beyond:
        entry.beyond.add(first=first, last=last)
    try:
        clock = decode_clock(message)
    except PeerProtocolError:
        return
    expected = VersionVector()
    for first, last in [(1, covered)] * bool(covered) + beyond:
        expected = expected.with_range(ReplicaId(7), first, last)
    assert clock == expected


@pytest.mark.parametrize(
    "beyond",
    [
        [(4, 6)],  # touches 1..3
        [(3, 6)],  # overlaps
        [(7, 6)],  # empty
        [(7, 8), (5, 5)],  # not ascending
        [(7, 8), (9, 9)],  # touching
        [(0, 0)],
    ],
)
def test_malformed_clock_is_refused(beyond: list[tuple[int, int]]) -> None:
    """Two forms of one clock would be unequal."""
    message = pb.Clock()
    entry = message.entries.add(replica=7, covered=3)
    for first, last in beyond:
        entry.beyond.add(first=first, last=last)

    with pytest.raises(PeerProtocolError, match="intervals"):
        decode_clock(message)


@pytest.mark.parametrize(
    "envelope",
    [
        pb.PeerMessage(),
        pb.PeerMessage(hello=pb.Hello()),
        pb.PeerMessage(
            push_acknowledgement=pb.PushAcknowledgement(origin=1, first=0, last=3)
        ),
        pb.PeerMessage(
            push_acknowledgement=pb.PushAcknowledgement(origin=1, first=4, last=3)
        ),
        pb.PeerMessage(
            report=pb.Report(
                clock=pb.Clock(
                    entries=[
                        pb.Clock.Entry(replica=1, covered=2),
                        pb.Clock.Entry(replica=1, covered=3),
                    ]
                )
            )
        ),
    ],
)
def test_malformed_envelope_is_refused(envelope: pb.PeerMessage) -> None:
    """Empty, a second hello, an acknowledgement of nothing, a replica twice."""
    with pytest.raises(PeerProtocolError):
        decode_message(envelope)


def _claim(**fields: int) -> pb.HealthClaim:
    return pb.HealthClaim(**({"replica": 7, "incarnation": 1, "health": 1} | fields))


@pytest.mark.parametrize(
    "envelope",
    [
        pb.PeerMessage(ping=pb.Ping(number=1, target=7, claims=[claim] * count))
        for claim, count in (
            (_claim(), UPDATES_MAX + 1),
            (_claim(incarnation=INCARNATION_MAX + 1), 1),
            (_claim(health=len(Health)), 1),
            (_claim(replica=0), 1),
        )
    ],
)
def test_claims_that_no_correct_peer_makes_are_refused(
    envelope: pb.PeerMessage,
) -> None:
    """Too many, never to be refuted, of a health that is none, about nobody."""
    with pytest.raises(PeerProtocolError):
        decode_message(envelope)
    claims = envelope.ping.claims
    for other in (
        pb.PeerMessage(ping_request=pb.PingRequest(target=7, claims=claims)),
        pb.PeerMessage(ack=pb.Ack(number=1, claims=claims)),
    ):
        with pytest.raises(PeerProtocolError):
            decode_message(other)
