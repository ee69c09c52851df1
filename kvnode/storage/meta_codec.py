"""
The rows of `meta` and the conflict logs as bytes.

Every value is *sealed*: a CRC-32 of the rest stands before it, as in records,
so that damage is noticed and never taken for data.

    state      format u8, replica u64, seq u64, hlc u64, conflicts_ever u64,
               clock V, pending V, digest (total u64, breaks u64, known u8), then u8
               and, if it is 1, start_over: V, F;
               then u8 and, if it is 1, filling: u8 and, if it is 1, after: text
               and u16 n with n bytes; u8 and, if it is 1, covers V; F; done u64;
               expected u64
    surroundings  format u8, peers P, roster R, floor F; a row of its own, since it
               may be large and hardly ever changes
    V          u32 n, then n bytes of kvnode.core.clocks.clock_codec
    F          V, hlc u64
    P          u16 n, then for each peer: replica u64 and three texts, name,
               address and region, each as u16 n and n bytes of UTF-8
    R          u16 n, then for each record: incarnation u64, standing u8,
               closed_above u64, given_up u64, fenced_from u64, lost_above u64, and
               what P has of a peer
    state 1    that of the version before: format u8, replica u64, seq u64, hlc
               u64, conflicts_ever u64, clock V, pending V, peers P
    conflicts  format u8, u8 n, then for each, oldest first: noticed_at u64,
               winner D, u32 n and n bytes of record

All numbers are big-endian.  D is a dot with a numbered replica; records are
those of kvnode.storage.record_codec.
"""

from dataclasses import replace
from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from zlib import crc32

from kvnode.core.clocks.clock_codec import decode_clock, encode_clock
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.rolling_digest import UNKNOWN, RollingDigest
from kvnode.core.versions.roster import Member, Roster, Standing
from kvnode.core.versions.store_view import (
    ConflictRecord,
    DurableState,
    Filling,
    PeerAddress,
    StartOver,
)
from kvnode.errors import CorruptRecordError
from kvnode.storage import record_codec
from kvnode.types import EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId

STATE_FORMAT = 2
STATE_FORMAT_BEFORE = 1
SURROUNDINGS_FORMAT = 2
CONFLICTS_FORMAT = 1

_CRC = Struct(">I")
_STATE = Struct(">BQQQQ")
_U8 = Struct(">B")
_U16 = Struct(">H")
_U32 = Struct(">I")
_U64 = Struct(">Q")
_PAIR = Struct(">QQ")
_RECORD = Struct(">QBQQQQ")
_CONFLICTS = Struct(">BB")
_DIGEST = Struct(">QQ?")


def seal(payload: bytes) -> bytes:
    """Return *payload* with its checksum before it."""
    return _CRC.pack(crc32(payload)) + payload


def unseal(data: bytes, subject: str) -> bytes:
    """
    Return what was sealed.

    Raises:
        CorruptRecordError: The checksum does not match; names *subject*.
    """
    payload = data[_CRC.size :]
    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != crc32(payload):
        msg = f"{subject}: {len(data)} bytes fail their checksum"
        raise CorruptRecordError(msg)
    return payload


def encode_state(state: DurableState) -> bytes:
    """Return *state* sealed, but for its surroundings; see `decode_state`."""
    head = _STATE.pack(
        STATE_FORMAT,
        state.replica,
        state.seq,
        state.hlc,
        state.conflicts_ever,
    )
    parts = [head, _encode_vector(state.clock), _encode_vector(state.pending)]
    parts.append(_DIGEST.pack(*state.digest))
    parts.append(_flag(state.start_over is not None))
    if state.start_over is not None:
        parts.append(_encode_vector(state.start_over.covered))
        parts.append(_encode_floor(state.start_over.floor))
    parts.append(_flag(state.filling is not None))
    if state.filling is not None:
        parts.append(_encode_filling(state.filling))
    return seal(b"".join(parts))


def encode_surroundings(state: DurableState) -> bytes:
    """Return what *state* says of others, sealed; see `decode_state`."""
    parts = (
        _U8.pack(SURROUNDINGS_FORMAT),
        _encode_peers(state.peers),
        _encode_roster(state.roster),
        _encode_floor(state.floor),
    )
    return seal(b"".join(parts))


def decode_state(data: bytes, surroundings: bytes | None) -> DurableState:
    """
    Return the state that was encoded.

    Args:
        data: The row of the state.
        surroundings: The row of what is around it; the version before had none.

    Raises:
        CorruptRecordError: A checksum or a format is wrong.
    """
    payload = unseal(data, "the node's state")
    try:
        form, replica, seq, hlc, conflicts_ever = _STATE.unpack_from(payload)
        if form != STATE_FORMAT_BEFORE:
            _check_format("the node's state", form, STATE_FORMAT)
        clock, at = _decode_vector(payload, _STATE.size)
        pending, at = _decode_vector(payload, at)
        state = DurableState(
            replica=ReplicaId(replica),
            clock=clock,
            pending=pending,
            seq=seq,
            hlc=HlcTimestamp(hlc),
            conflicts_ever=conflicts_ever,
        )
        if form == STATE_FORMAT_BEFORE:
            peers, _ = _decode_peers(payload, at)
            return replace(state, peers=peers, digest=UNKNOWN)
        digest = RollingDigest(*_DIGEST.unpack_from(payload, at))
        at += _DIGEST.size
        state = replace(state, digest=digest)
        state = _with_undertakings(state, payload, at)
        if surroundings is None:
            msg = "what the node knew of others is missing from the store"
            raise CorruptRecordError(msg)
        return _with_surroundings(state, surroundings)
    except (StructError, IndexError, ValueError) as error:
        msg = f"the node's state does not parse: {error}"
        raise CorruptRecordError(msg) from error


def _with_undertakings(state: DurableState, payload: bytes, at: int) -> DurableState:
    start_over, filling = None, None
    if payload[at]:
        covered, at = _decode_vector(payload, at + 1)
        floor, at = _decode_floor(payload, at)
        start_over = StartOver(covered, floor)
    else:
        at += 1
    if payload[at]:
        filling = _decode_filling(payload, at + 1)
    return replace(state, start_over=start_over, filling=filling)


def _with_surroundings(state: DurableState, data: bytes) -> DurableState:
    payload = unseal(data, "what the node knew of others")
    _check_format("what the node knew of others", payload[0], SURROUNDINGS_FORMAT)
    peers, at = _decode_peers(payload, 1)
    roster, at = _decode_roster(payload, at)
    floor, _ = _decode_floor(payload, at)
    return replace(state, peers=peers, roster=roster, floor=floor)


def encode_conflicts(log: tuple[ConflictRecord, ...], dots: NumberedDots) -> bytes:
    """Return a key's conflict log sealed; the inverse of `decode_conflicts`."""
    parts = [_CONFLICTS.pack(CONFLICTS_FORMAT, len(log))]
    for conflict in log:
        raw = record_codec.encode(conflict.loser, dots)
        parts.append(_U64.pack(conflict.noticed_at))
        parts.append(dots.encode_dot(conflict.winner))
        parts.append(_U32.pack(len(raw)))
        parts.append(raw)
    return seal(b"".join(parts))


def decode_conflicts(data: bytes, dots: NumberedDots) -> tuple[ConflictRecord, ...]:
    """
    Return a key's conflict log.

    Raises:
        CorruptRecordError: The checksum or the format is wrong.
    """
    payload = unseal(data, "a conflict log")
    conflicts = []
    try:
        form, count = _CONFLICTS.unpack_from(payload)
        _check_format("a conflict log", form, CONFLICTS_FORMAT)
        at = _CONFLICTS.size
        for _ in range(count):
            (noticed_at,) = _U64.unpack_from(payload, at)
            winner = dots.decode_dot(payload, at + 8)
            at += 8 + dots.dot_bytes
            (size,) = _U32.unpack_from(payload, at)
            at += _U32.size
            loser = record_codec.decode(payload[at : at + size], dots)
            at += size
            conflicts.append(ConflictRecord(loser, winner, Millis(noticed_at)))
    except (StructError, IndexError) as error:
        msg = f"a conflict log does not parse: {error}"
        raise CorruptRecordError(msg) from error
    return tuple(conflicts)


def _check_format(subject: str, found: int, known: int) -> None:
    if found != known:
        msg = f"{subject} has format {found}; this version reads {known}"
        raise CorruptRecordError(msg)


def _encode_vector(vector: VersionVector) -> bytes:
    encoded = encode_clock(vector)
    return _U32.pack(len(encoded)) + encoded


def _decode_vector(data: bytes, at: int) -> tuple[VersionVector, int]:
    (size,) = _U32.unpack_from(data, at)
    start = at + _U32.size
    return decode_clock(data[start : start + size]), start + size


def _flag(present: bool) -> bytes:  # noqa: FBT001 -- the one thing it is about
    return _U8.pack(present)


def _encode_floor(floor: Floor) -> bytes:
    return _encode_vector(floor.vector) + _U64.pack(floor.hlc)


def _decode_floor(data: bytes, at: int) -> tuple[Floor, int]:
    vector, at = _decode_vector(data, at)
    return Floor(vector, HlcTimestamp(_U64.unpack_from(data, at)[0])), at + 8


def _encode_filling(filling: Filling) -> bytes:
    parts = [_flag(filling.after is not None)]
    if filling.after is not None:
        namespace, key = filling.after
        parts += [_encode_text(namespace), _U16.pack(len(key)), key]
    parts.append(_flag(filling.covers is not None))
    if filling.covers is not None:
        parts.append(_encode_vector(filling.covers))
    parts.append(_encode_floor(filling.floor))
    parts.append(_PAIR.pack(filling.done, filling.expected))
    return b"".join(parts)


def _decode_filling(data: bytes, at: int) -> Filling:
    after: EntryKey | None = None
    covers: VersionVector | None = None
    if data[at]:
        namespace, at = _decode_text(data, at + 1)
        (size,) = _U16.unpack_from(data, at)
        at += _U16.size
        after = EntryKey(Namespace(namespace), data[at : at + size])
        at += size
    else:
        at += 1
    if data[at]:
        covers, at = _decode_vector(data, at + 1)
    else:
        at += 1
    floor, at = _decode_floor(data, at)
    done, expected = _PAIR.unpack_from(data, at)
    return Filling(after, covers, floor, done, expected)


def _encode_peers(peers: tuple[PeerAddress, ...]) -> bytes:
    parts = [_U16.pack(len(peers))]
    parts.extend(map(_encode_address, peers))
    return b"".join(parts)


def _decode_peers(data: bytes, at: int) -> tuple[tuple[PeerAddress, ...], int]:
    (count,) = _U16.unpack_from(data, at)
    at += _U16.size
    peers = []
    for _ in range(count):
        peer, at = _decode_address(data, at)
        peers.append(peer)
    return tuple(peers), at


def _encode_roster(roster: Roster) -> bytes:
    parts = [_U16.pack(len(roster))]
    for member in roster:
        replica, name, address, region, *numbers = member
        parts.append(_RECORD.pack(*numbers))
        parts.append(_encode_address(PeerAddress(name, address, replica, region)))
    return b"".join(parts)


def _decode_roster(data: bytes, at: int) -> tuple[Roster, int]:
    (count,) = _U16.unpack_from(data, at)
    at += _U16.size
    records = []
    for _ in range(count):
        incarnation, standing, *seqs = _RECORD.unpack_from(data, at)
        (name, address, replica, region), at = _decode_address(data, at + _RECORD.size)
        labels = (name, address, region, incarnation)
        records.append(Member(replica, *labels, Standing(standing), *seqs))
    return Roster(records), at


def _encode_address(peer: PeerAddress) -> bytes:
    texts = map(_encode_text, (peer.name, peer.address, peer.region))
    return b"".join((_U64.pack(peer.replica), *texts))


def _decode_address(data: bytes, at: int) -> tuple[PeerAddress, int]:
    (replica,) = _U64.unpack_from(data, at)
    name, at = _decode_text(data, at + _U64.size)
    address, at = _decode_text(data, at)
    region, at = _decode_text(data, at)
    return PeerAddress(name, address, ReplicaId(replica), region), at


def _encode_text(text: str) -> bytes:
    raw = text.encode()
    return _U16.pack(len(raw)) + raw


def _decode_text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = _U16.unpack_from(data, at)
    at += _U16.size
    return str(data[at : at + size], "utf-8"), at + size
