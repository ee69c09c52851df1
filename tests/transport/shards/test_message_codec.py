"""Messages of shards come out as they went in; what no peer may send is refused."""

from typing import get_args

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.map_change import ENTRY_BYTES_MAX, KEY_BYTES_MAX
from kvnode.core.objects.messages import (
    NO_MORE_PAGES,
    Append,
    Appended,
    Leased,
    Mismatch,
    PagesTaken,
    PeerMessage,
    Pull,
    Pulled,
    Refused,
    Seal,
    Sealed,
    SnapshotPage,
    SnapshotWanted,
)
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.errors import PeerProtocolError
from kvnode.transport.shards.message_codec import (
    DURATION_MILLIS_MAX,
    NUMBER_MAX,
    decode_shard_message,
    encode_shard_message,
)
from kvnode.types import Millis

SHARD = "s003"

epochs = st.integers(1, NUMBER_MAX)
numbers = st.integers(0, NUMBER_MAX)
positions = st.builds(Position, numbers, numbers)
durations = st.integers(0, DURATION_MILLIS_MAX).map(Millis)
pictures = st.integers(0, 2**64 - 1)
log_entries = st.lists(
    st.builds(LogEntry, epochs, st.binary(max_size=50)), max_size=4
).map(tuple)
rows = st.lists(
    st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20)), max_size=4
).map(tuple)

KINDS: dict[type, st.SearchStrategy[PeerMessage]] = {
    Append: st.builds(
        Append, epochs, numbers, positions, log_entries, numbers, durations
    ),
    Appended: st.builds(Appended, epochs, numbers, numbers),
    Mismatch: st.builds(Mismatch, epochs, numbers, positions),
    Seal: st.builds(Seal, epochs, numbers),
    Sealed: st.builds(Sealed, epochs, positions, numbers),
    Leased: st.builds(Leased, epochs, durations),
    Refused: st.builds(Refused, epochs, epochs),
    Pull: st.builds(Pull, epochs, positions),
    Pulled: st.builds(Pulled, epochs, positions, log_entries, positions),
    SnapshotPage: st.builds(SnapshotPage, epochs, pictures, numbers, positions, rows),
    PagesTaken: st.builds(PagesTaken, epochs, pictures, numbers),
    SnapshotWanted: st.builds(SnapshotWanted, epochs),
}
messages = st.one_of(*KINDS.values())


def passed(message: PeerMessage, shard: str = SHARD) -> pb.ShardMessage:
    """Return *message* as it comes out of the network."""
    data = encode_shard_message(shard, message).SerializeToString()
    return pb.ShardMessage.FromString(data)


@given(messages, st.text(max_size=20))
def test_message_comes_out_as_it_went_in(message: PeerMessage, shard: str) -> None:
    """With the shard that it is for."""
    envelope = passed(message, shard)
    assert envelope.shard == shard
    assert decode_shard_message(envelope) == message


def test_no_kind_of_message_is_forgotten() -> None:
    """Neither in the tests above nor in what the wire has room for."""
    assert set(KINDS) == set(get_args(PeerMessage))
    assert len(pb.ShardMessage.DESCRIPTOR.oneofs_by_name["kind"].fields) == len(KINDS)


def test_end_of_all_pages_fits() -> None:
    """It is a number beside those of pages, and must not be refused as too large."""
    message = PagesTaken(1, 2**64 - 1, NO_MORE_PAGES)
    assert decode_shard_message(passed(message)) == message


@given(message=messages, data=st.data())
def test_damaged_bytes_are_another_message_or_none(
    message: PeerMessage, data: st.DataObject
) -> None:
    """Whatever a peer sends, nothing but an error of the protocol comes of it."""
    damaged = bytearray(passed(message).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
            st.integers(0, 255)
        )
    _decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_message_or_none(data: bytes) -> None:
    """The same of what was never a message."""
    _decode(data)


def _decode(data: bytes) -> None:
    try:
        frame = pb.ShardFrame.FromString(data)
        envelopes = [*frame.messages, pb.ShardMessage.FromString(data)]
    except DecodeError:
        return
    for envelope in envelopes:
        try:
            message = decode_shard_message(envelope)
        except PeerProtocolError:
            continue
        assert decode_shard_message(passed(message)) == message


def test_message_of_no_known_kind_is_refused() -> None:
    """A later version may have more; its shard is named, and not at any length."""
    with pytest.raises(PeerProtocolError, match=r"'x{64}' says nothing") as caught:
        decode_shard_message(pb.ShardMessage(shard="x" * 1000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "message",
    [
        Append(0, 1, ORIGIN, (), 0, Millis(0)),
        Append(1, 1, ORIGIN, (LogEntry(1, b""), LogEntry(0, b"")), 0, Millis(0)),
        Appended(0, 1, 1),
        Mismatch(0, 1, ORIGIN),
        Seal(0),
        Sealed(0, ORIGIN),
        Leased(0, Millis(1)),
        Refused(0, 1),
        Refused(1, 0),
        Pull(0, ORIGIN),
        Pulled(0, ORIGIN, (), ORIGIN),
        Pulled(1, ORIGIN, (LogEntry(0, b""),), ORIGIN),
        SnapshotPage(0, 1, 1, ORIGIN, ()),
        PagesTaken(0, 1, 1),
        SnapshotWanted(0),
    ],
    ids=repr,
)
def test_epoch_of_nobody_is_refused(message: PeerMessage) -> None:
    """In each place where an epoch must be somebody's."""
    with pytest.raises(PeerProtocolError, match="epoch 0 is nobody's"):
        decode_shard_message(passed(message))


HUGE = NUMBER_MAX + 1
FAR = Position(1, HUGE)
LATE = Position(HUGE, 1)


@pytest.mark.parametrize(
    "message",
    [
        Append(HUGE, 1, ORIGIN, (), 0, Millis(0)),
        Append(1, HUGE, ORIGIN, (), 0, Millis(0)),
        Append(1, 1, FAR, (), 0, Millis(0)),
        Append(1, 1, LATE, (), 0, Millis(0)),
        Append(1, 1, ORIGIN, (LogEntry(HUGE, b""),), 0, Millis(0)),
        Append(1, 1, ORIGIN, (), HUGE, Millis(0)),
        Appended(HUGE, 1, 1),
        Appended(1, HUGE, 1),
        Appended(1, 1, HUGE),
        Mismatch(HUGE, 1, ORIGIN),
        Mismatch(1, HUGE, ORIGIN),
        Mismatch(1, 1, FAR),
        Seal(HUGE),
        Seal(1, HUGE),
        Sealed(HUGE, ORIGIN),
        Sealed(1, LATE),
        Sealed(1, ORIGIN, HUGE),
        Leased(HUGE, Millis(1)),
        Refused(HUGE, 1),
        Refused(1, HUGE),
        Pull(HUGE, ORIGIN),
        Pull(1, FAR),
        Pulled(HUGE, ORIGIN, (), ORIGIN),
        Pulled(1, FAR, (), ORIGIN),
        Pulled(1, ORIGIN, (), LATE),
        SnapshotPage(HUGE, 1, 1, ORIGIN, ()),
        SnapshotPage(1, 1, HUGE, ORIGIN, ()),
        SnapshotPage(1, 1, 1, FAR, ()),
        PagesTaken(HUGE, 1, 1),
        PagesTaken(1, 1, HUGE),
        SnapshotWanted(HUGE),
    ],
    ids=repr,
)
def test_number_above_all_there_can_be_is_refused(message: PeerMessage) -> None:
    """Else one message could use up all epochs, or all numbers of entries."""
    with pytest.raises(PeerProtocolError, match="above all epochs and entries"):
        decode_shard_message(passed(message))


def test_lease_longer_than_any_is_refused() -> None:
    """Whoever grants it would let nobody else lead for as long."""
    longest = Append(1, 1, ORIGIN, (), 0, Millis(DURATION_MILLIS_MAX))
    assert decode_shard_message(passed(longest)) == longest
    with pytest.raises(PeerProtocolError, match="a lease of 60001 ms"):
        decode_shard_message(
            passed(longest._replace(lease=Millis(DURATION_MILLIS_MAX + 1)))
        )


def test_remainder_of_a_lease_is_believed_up_to_the_longest() -> None:
    """Who says so only asks for patience, and is asked again."""
    said = passed(Leased(1, Millis(2**63)))
    assert decode_shard_message(said) == Leased(1, Millis(DURATION_MILLIS_MAX))


@pytest.mark.parametrize("kind", [Append, Pulled])
def test_entry_larger_than_any_may_be_is_refused(kind: type[Append | Pulled]) -> None:
    """The largest that there may be passes."""

    def message(size_bytes: int) -> PeerMessage:
        entries = (LogEntry(1, bytes(size_bytes)),)
        if kind is Append:
            return Append(1, 1, ORIGIN, entries, 0, Millis(0))
        return Pulled(1, ORIGIN, entries, Position(1, 1))

    largest = message(ENTRY_BYTES_MAX)
    assert decode_shard_message(passed(largest)) == largest
    with pytest.raises(PeerProtocolError, match="16777217 bytes"):
        decode_shard_message(passed(message(ENTRY_BYTES_MAX + 1)))


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "is_taken"),
    [
        (1, 0, True),
        (KEY_BYTES_MAX, 0, True),
        (1, ENTRY_BYTES_MAX, True),
        (0, 0, False),
        (KEY_BYTES_MAX + 1, 0, False),
        (1, ENTRY_BYTES_MAX + 1, False),
    ],
)
def test_row_is_no_larger_than_a_state_has(
    key_bytes: int, value_bytes: int, *, is_taken: bool
) -> None:
    """The second row of a page is looked at like the first."""
    page = SnapshotPage(
        1, 1, 1, Position(1, 1), ((b"a", b""), (b"b" * key_bytes, bytes(value_bytes)))
    )
    if is_taken:
        assert decode_shard_message(passed(page)) == page
        return
    with pytest.raises(PeerProtocolError, match="is in no state"):
        decode_shard_message(passed(page))
