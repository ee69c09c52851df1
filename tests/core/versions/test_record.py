"""Records keep all of an entry, and tell when a bit of them is not as it was."""

from struct import pack
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.versions.record import (
    FORMAT,
    SEQ_BITS,
    WIRE,
    DotCodec,
    NumberedDots,
    WireDots,
    decode,
    encode,
)
from kvnode.core.versions.version import NEVER, ORIGIN, Entry, Kind, Stamp, Version
from kvnode.errors import CorruptRecordError
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests import strategies

A, B, C = ReplicaId(7), ReplicaId(2**64 - 1), ReplicaId(9)

FULL = Entry(
    Version(
        kind=Kind.SET,
        hlc=HlcTimestamp(2**63 - 1),
        dot=Dot(A, 2**SEQ_BITS - 1),
        others=(Dot(B, 1), Dot(C, 70_000)),
        dependencies=(Dot(C, 5),),
        deadline=Millis(1_700_000_000_000),
        base=Stamp(HlcTimestamp(12), B),
    ),
    b"\x01value",
    '{"é": 1}',
)
PLAIN = Entry(Version(Kind.REGISTER, HlcTimestamp(1), Dot(A, 1)), b"v")


ON_THE_WIRE = {
    "9e9a696c01fb7fffffffffffffff00000000000000070000ffffffffffff0002ffffffffffffffff00"
    "00000000000001000000000000000900000000000111700001000000000000000900000000000000"
    "050000018bcfe56800000000000000000cffffffffffffffff000000000000000000097b22c3a922"
    "3a20317d0176616c7565": FULL,
    "3e18a7b5010100000000000000010000000000000007000000000000000176": PLAIN,
}
"""As kvnode 0.1 sends them, in hex."""


@pytest.fixture(params=[WireDots, NumberedDots], ids=["wire", "numbered"])
def dots(request: pytest.FixtureRequest) -> DotCodec:
    """A fresh codec of each sort."""
    codec: DotCodec = request.param()
    return codec


def resealed(body: bytes) -> bytes:
    """Return a record of *body* with a checksum that fits."""
    return pack(">I", crc32(body)) + body


@given(entry=strategies.entries())
def test_record_round_trips_on_the_wire(entry: Entry) -> None:
    """Nothing of an entry is lost between nodes."""
    assert decode(encode(entry, WIRE), WIRE) == entry


@pytest.mark.parametrize("sent", ON_THE_WIRE)
def test_bytes_on_the_wire_are_those_of_the_first_version(sent: str) -> None:
    """Nodes of all versions talk to each other, and digests hash these bytes."""
    assert encode(ON_THE_WIRE[sent], WIRE).hex() == sent
    assert decode(bytes.fromhex(sent), WIRE) == ON_THE_WIRE[sent]


@given(entry=strategies.entries())
def test_record_round_trips_on_disk_after_the_table_was_reloaded(entry: Entry) -> None:
    """Numbers mean the same to a codec that starts from the stored table."""
    writer = NumberedDots((C,))
    record = encode(entry, writer)

    assert decode(record, NumberedDots(tuple(writer.numbered))) == entry


@pytest.mark.parametrize("entry", [FULL, PLAIN], ids=["full", "plain"])
def test_every_flipped_bit_is_detected(dots: DotCodec, entry: Entry) -> None:
    """A damaged record never passes for another one."""
    record = encode(entry, dots)

    for position in range(len(record) * 8):
        damaged = bytearray(record)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptRecordError, match="checksum"):
            decode(bytes(damaged), dots)


@pytest.mark.parametrize("entry", [FULL, PLAIN], ids=["full", "plain"])
def test_every_truncation_is_detected(dots: DotCodec, entry: Entry) -> None:
    """A record cut anywhere is refused, down to nothing."""
    record = encode(entry, dots)

    for size in range(len(record)):
        with pytest.raises(CorruptRecordError):
            decode(record[:size], dots)


def test_parts_that_do_not_fit_are_refused_though_the_checksum_holds(
    dots: DotCodec,
) -> None:
    """A record whose writer was wrong is not half read."""
    body = encode(FULL, dots)[4:]
    header_bytes = 10 + dots.dot_bytes

    for size in range(header_bytes):
        with pytest.raises(CorruptRecordError):
            decode(resealed(body[:size]), dots)
    with_value_only = body[: len(body) - len(FULL.value)]
    for size in range(header_bytes, len(with_value_only)):
        with pytest.raises(CorruptRecordError):
            decode(resealed(body[:size]), dots)


def test_unknown_format_is_refused_by_name(dots: DotCodec) -> None:
    """A record of a later version is an error that says so, not a guess."""
    body = bytearray(encode(PLAIN, dots)[4:])
    body[0] = FORMAT + 1

    with pytest.raises(CorruptRecordError, match=f"format {FORMAT + 1} is unknown"):
        decode(resealed(bytes(body)), dots)


@pytest.mark.parametrize("number", [5, 6, 7])
def test_unknown_kind_is_refused(dots: DotCodec, number: int) -> None:
    """Three bits could say kinds that there are not yet."""
    body = bytearray(encode(PLAIN, dots)[4:])
    body[1] = number

    with pytest.raises(CorruptRecordError):
        decode(resealed(bytes(body)), dots)


def test_a_replica_that_the_table_lacks_is_refused() -> None:
    """A store that lost its table does not take one replica for another."""
    record = encode(FULL, NumberedDots())

    with pytest.raises(CorruptRecordError):
        decode(record, NumberedDots((A,)))


def test_a_plain_record_has_no_overhead_for_parts_it_lacks() -> None:
    """22 bytes for a first put: checksum, format, kind, time and a numbered dot."""
    assert len(encode(PLAIN, NumberedDots())) == 4 + 1 + 1 + 8 + 8 + len(PLAIN.value)
    assert (PLAIN.version.deadline, PLAIN.version.base) == (NEVER, ORIGIN)


@given(ids=st.lists(strategies.replica_ids, unique=True, max_size=20))
def test_numbers_are_given_in_order_of_first_use(ids: list[ReplicaId]) -> None:
    """So that the owner of the table can store what is new as a suffix."""
    dots = NumberedDots()

    assert [dots.number(replica) for replica in ids] == [*range(1, len(ids) + 1)]
    assert [dots.number(replica) for replica in ids] == [*range(1, len(ids) + 1)]
    assert dots.numbered == ids
    assert [dots.replica(n) for n in range(1, len(ids) + 1)] == ids
    assert [dots.find(replica) for replica in ids] == [*range(1, len(ids) + 1)]


def test_nobody_is_number_zero_and_takes_no_place() -> None:
    """Replica 0 stands for nobody: the base of what was started on nothing."""
    dots = NumberedDots()

    assert dots.number(ReplicaId(0)) == 0
    assert dots.replica(0) == 0
    assert dots.numbered == []


def test_asking_for_a_replica_does_not_number_it() -> None:
    """A read must not grow the table: reads are not durable."""
    dots = NumberedDots((A,))

    assert dots.find(B) is None
    assert dots.numbered == [A]
    with pytest.raises(IndexError):
        dots.replica(2)


@given(
    a=st.builds(Dot, st.sampled_from((A, B, C)), st.integers(1, 2**SEQ_BITS - 1)),
    b=st.builds(Dot, st.sampled_from((A, B, C)), st.integers(1, 2**SEQ_BITS - 1)),
)
def test_encoded_dots_of_a_replica_sort_by_seq(a: Dot, b: Dot) -> None:
    """The index is scanned by bytes, so their order must be that of the seqs."""
    numbered = NumberedDots((A, B, C))

    for codec in (WIRE, numbered):
        assert len(codec.encode_dot(a)) == codec.dot_bytes
        assert codec.decode_dot(codec.encode_dot(a), 0) == a
    assert (WIRE.encode_dot(a) < WIRE.encode_dot(b)) == (a < b)
    by_number = (numbered.number(a.replica), a.seq) < (
        numbered.number(b.replica),
        b.seq,
    )
    assert (numbered.encode_dot(a) < numbered.encode_dot(b)) == by_number


@pytest.mark.parametrize("seq", [2**SEQ_BITS, 2**64 - 1])
def test_seq_that_no_disk_holds_is_refused_on_the_wire(seq: int) -> None:
    """It would run into the replica's number, and name another replica."""
    for version in (
        PLAIN.version._replace(dot=Dot(A, seq)),
        PLAIN.version._replace(others=(Dot(B, seq),)),
        PLAIN.version._replace(dependencies=(Dot(B, seq),)),
    ):
        with pytest.raises(CorruptRecordError, match="no replica reaches"):
            decode(encode(PLAIN._replace(version=version), WIRE), WIRE)


def test_timestamp_that_leaves_no_room_above_is_refused() -> None:
    """The next write of the key must be stamped above it."""
    version = PLAIN.version._replace(hlc=HlcTimestamp(2**63))

    with pytest.raises(CorruptRecordError, match="no clock reaches"):
        decode(encode(PLAIN._replace(version=version), WIRE), WIRE)
