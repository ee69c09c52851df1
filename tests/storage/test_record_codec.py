"""Records on disk are small, keep all of an entry, and tell of any damage."""

from struct import pack
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis, millis_of
from kvnode.core.versions import record
from kvnode.core.versions.record import SEQ_MAX, NumberedDots
from kvnode.core.versions.version import NEVER, Entry, Kind, Stamp, Version
from kvnode.errors import CorruptRecordError
from kvnode.storage.record_codec import FORMAT, decode, encode
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests import strategies

A, B, C = ReplicaId(7), ReplicaId(2**64 - 1), ReplicaId(9)
NOW = Millis(1_700_000_000_000)

FULL = Entry(
    Version(
        kind=Kind.SET,
        hlc=HlcTimestamp(2**63 - 1),
        dot=Dot(A, SEQ_MAX),
        others=(Dot(B, 1), Dot(C, 70_000)),
        dependencies=(Dot(C, 5),),
        deadline=NOW,
        base=Stamp(HlcTimestamp(12), B),
    ),
    b"\x01value",
    '{"é": 1}',
)
PLAIN = Entry(Version(Kind.REGISTER, HlcTimestamp(1), Dot(A, 1)), b"v")
EXPIRING = Entry(
    Version(Kind.REGISTER, from_millis(NOW), Dot(A, 1), deadline=Millis(NOW + 60_000))
)

FORMAT_1 = {
    "d4da5eed01fb7fffffffffffffff0001ffffffffffff00020002000000000001000300000001117000"
    "0100030000000000050000018bcfe56800000000000000000c000200000000000000097b22c3a9223a"
    "20317d0176616c7565": FULL,
    "61ad713e01010000000000000001000100000000000176": PLAIN,
}
"""As kvnode 0.1 wrote them, in hex, with replicas A, B and C numbered 1 to 3."""

some_or_many = st.integers(0, 3) | st.integers(250, 320)
"""Around the counts that take one byte and three."""


def numbered(count: int) -> NumberedDots:
    """Return a table of *count* replicas, then A, B and C."""
    return NumberedDots((*(ReplicaId(1000 + n) for n in range(count)), A, B, C))


def resealed(body: bytes) -> bytes:
    """Return a record of *body* with a checksum that fits."""
    return pack(">I", crc32(body)) + body


def register(*dots: Dot) -> Entry:
    """Return a register written at the last of *dots*, after the others."""
    return Entry(Version(Kind.REGISTER, from_millis(NOW), dots[-1], dots[:-1]))


@given(entry=strategies.entries(), known=st.integers(0, 300))
def test_record_round_trips_after_the_table_was_reloaded(
    entry: Entry, known: int
) -> None:
    """Numbers of one byte and of two mean the same to who reads them later."""
    writer = numbered(known)
    raw = encode(entry, writer)

    assert decode(raw, NumberedDots(tuple(writer.numbered))) == entry


@given(entry=strategies.entries(), known=st.integers(0, 300))
def test_rows_of_the_version_before_are_read(entry: Entry, known: int) -> None:
    """A store goes on with the rows that it has."""
    dots = numbered(known)

    assert decode(record.encode(entry, dots), dots) == entry


@pytest.mark.parametrize("row", FORMAT_1)
def test_kept_row_of_the_version_before_is_read(row: str) -> None:
    """Bytes do not change with the code that made them."""
    assert decode(bytes.fromhex(row), NumberedDots((A, B, C))) == FORMAT_1[row]


@given(others=some_or_many, dependencies=some_or_many, metadata=some_or_many)
def test_lists_of_any_length_round_trip(
    others: int, dependencies: int, metadata: int
) -> None:
    """A CRDT has as many contributors as there are replicas that ever wrote."""
    clock = tuple(Dot(ReplicaId(n + 1), n + 1) for n in range(320))
    version = PLAIN.version._replace(
        kind=Kind.COUNTER, others=clock[:others], dependencies=clock[:dependencies]
    )
    entry = Entry(version, b"value", "1" * metadata)
    dots = NumberedDots()

    assert decode(encode(entry, dots), dots) == entry


@given(entry=strategies.entries(), known=st.integers(0, 300))
def test_equal_entries_give_equal_bytes(entry: Entry, known: int) -> None:
    """Also one that was read from a row, of this format or the one before."""
    dots = numbered(known)
    raw = encode(entry, dots)

    assert encode(decode(raw, dots), dots) == raw
    assert encode(decode(record.encode(entry, dots), dots), dots) == raw


@given(entry=strategies.entries(), known=st.integers(0, 300))
@example(
    Entry(
        Version(
            Kind.TOMBSTONE,
            from_millis(Millis(2)),
            Dot(ReplicaId(3), 2**40),
            deadline=Millis(1),
        )
    ),
    252,
)
def test_no_record_is_longer_than_in_the_format_before(
    entry: Entry, known: int
) -> None:
    """Save by a byte for a deadline that nobody would ask for: it has passed."""
    dots = numbered(known)
    deadline = entry.version.deadline
    distance = (deadline - millis_of(entry.version.hlc)) % 2**64
    odd = deadline != NEVER and distance >= 2**56

    assert len(encode(entry, dots)) <= len(record.encode(entry, dots)) + odd


@given(entry=strategies.entries(), data=st.data())
def test_any_flipped_bit_is_detected(entry: Entry, data: st.DataObject) -> None:
    """A damaged record never passes for another one, of any format."""
    dots = numbered(0)
    for raw in (encode(entry, dots), record.encode(entry, dots)):
        position = data.draw(st.integers(0, len(raw) * 8 - 1))
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptRecordError, match="checksum"):
            decode(bytes(damaged), dots)


@pytest.mark.parametrize("entry", [FULL, PLAIN, EXPIRING])
def test_every_flipped_bit_of_a_record_is_detected(entry: Entry) -> None:
    """Each of them, those that choose the format among them."""
    dots = numbered(0)
    raw = encode(entry, dots)

    for position in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptRecordError, match="checksum"):
            decode(bytes(damaged), dots)


@given(entry=strategies.entries(), data=st.data())
def test_any_truncation_is_detected(entry: Entry, data: st.DataObject) -> None:
    """Down to nothing."""
    dots = numbered(0)
    for raw in (encode(entry, dots), record.encode(entry, dots)):
        size = data.draw(st.integers(0, len(raw) - 1))
        with pytest.raises(CorruptRecordError):
            decode(raw[:size], dots)


@pytest.mark.parametrize("entry", [FULL, PLAIN, EXPIRING])
def test_parts_that_do_not_fit_are_refused_though_the_checksum_holds(
    entry: Entry,
) -> None:
    """A record whose writer was wrong is not half read."""
    dots = numbered(0)
    body = encode(entry, dots)[4:]

    for size in range(len(body) - len(entry.value)):
        with pytest.raises(CorruptRecordError):
            decode(resealed(body[:size]), dots)


@given(body=st.binary(max_size=60), form=st.integers(0, 15))
def test_well_sealed_nonsense_is_refused_or_read_but_never_crashes(
    body: bytes, form: int
) -> None:
    """A checksum made by someone else's code proves nothing about the rest."""
    try:
        decode(resealed(bytes((form << 4 | FORMAT,)) + body), numbered(300))
    except CorruptRecordError:
        return


def test_format_of_a_later_version_is_refused_by_number() -> None:
    """It is an error that says so, not a guess."""
    body = bytearray(encode(PLAIN, numbered(0))[4:])
    body[0] += 1

    with pytest.raises(CorruptRecordError, match=r"format 3 is unknown.*reads 1 and 2"):
        decode(resealed(bytes(body)), numbered(0))


@pytest.mark.parametrize("number", [5, 6, 7])
def test_unknown_kind_is_refused(number: int) -> None:
    """Three bits could say kinds that there are not yet."""
    body = bytearray(encode(PLAIN, numbered(0))[4:])
    body[1] = number

    with pytest.raises(CorruptRecordError):
        decode(resealed(bytes(body)), numbered(0))


def test_timestamp_that_leaves_no_room_above_is_refused() -> None:
    """The next write of the key must be stamped above it."""
    version = PLAIN.version._replace(hlc=HlcTimestamp(2**63))

    with pytest.raises(CorruptRecordError, match="no clock reaches"):
        decode(encode(PLAIN._replace(version=version), numbered(0)), numbered(0))


def test_a_replica_that_the_table_lacks_is_refused() -> None:
    """A store that lost its table does not take one replica for another."""
    raw = encode(FULL, NumberedDots())

    with pytest.raises(CorruptRecordError):
        decode(raw, NumberedDots((A,)))


@pytest.mark.parametrize("seq", [-1, SEQ_MAX + 1])
def test_seq_that_no_replica_reaches_is_a_bug_of_the_caller(seq: int) -> None:
    """It would run into the number of its replica."""
    for entry in (register(Dot(A, seq)), register(Dot(A, seq), Dot(B, 1))):
        with pytest.raises(AssertionError, match="seqs"):
            encode(entry, numbered(0))


@pytest.mark.parametrize(
    ("seq", "seq_bytes"),
    [(1, 1), (255, 1), (256, 2), (2**24 - 1, 3), (2**32 - 1, 4), (SEQ_MAX, 6)],
)
def test_a_register_takes_as_many_bytes_as_its_widest_seq_asks_for(
    seq: int, seq_bytes: int
) -> None:
    """Checksum, form, kind and time; for three writers, a count and two dots more."""
    dot_bytes = 1 + seq_bytes
    alone, third = register(Dot(A, seq)), register(Dot(B, 1), Dot(C, seq), Dot(A, 1))

    assert len(encode(alone, numbered(0))) == 14 + dot_bytes
    assert len(encode(third, numbered(0))) == 14 + 1 + 3 * dot_bytes


@pytest.mark.parametrize(("known", "number_bytes"), [(252, 1), (253, 2)])
def test_replicas_beyond_the_first_255_take_a_byte_more(
    known: int, number_bytes: int
) -> None:
    """A store numbers every replica that it has ever met."""
    entry = register(Dot(A, 1), Dot(C, 1))

    assert len(encode(entry, numbered(known))) == 14 + 1 + 2 * (number_bytes + 1)


def test_deadline_takes_less_bytes_the_sooner_it_is() -> None:
    """A minute is three bytes, a month five; one that had passed by then nine."""
    without = len(encode(register(Dot(A, 1)), numbered(0)))

    def size(deadline: Millis) -> int:
        version = EXPIRING.version._replace(deadline=deadline)
        return len(encode(Entry(version), numbered(0))) - without

    assert size(Millis(NOW + 60_000)) == 3
    assert size(Millis(NOW + 30 * 86_400_000)) == 5
    assert size(Millis(NOW - 1)) == 9
