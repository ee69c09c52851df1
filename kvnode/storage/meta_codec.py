"""
The rows of `meta` and the conflict logs as bytes.

Every value is *sealed*: a CRC-32 of the rest stands before it, as in records,
so that damage is noticed and never taken for data.

    state      format u8, replica u64, seq u64, hlc u64,
               conflicts_ever u64, clock V, pending V, peers P; from format 2
               digest G
    V          u32 n, then n bytes of kvnode.core.clocks.clock_codec
    P          u16 n, then for each peer: replica u64 and three texts, name,
               address and region, each as u16 n and n bytes of UTF-8
    G          total u64, breaks u64, known u8
    conflicts  format u8, u8 n, then for each, oldest first: noticed_at u64,
               winner D, u32 n and n bytes of record

All numbers are big-endian.  D is a dot with a numbered replica; records are
those of kvnode.core.versions.record.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from zlib import crc32

from kvnode.core.clocks.clock_codec import decode_clock, encode_clock
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions import record
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.rolling_digest import UNKNOWN, RollingDigest
from kvnode.core.versions.store_view import (
    ConflictRecord,
    DurableState,
    PeerAddress,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import HlcTimestamp, Millis, ReplicaId

STATE_FORMAT = 2
STATE_FORMAT_MIN = 1
"""The oldest that is still read."""
CONFLICTS_FORMAT = 1

_CRC = Struct(">I")
_STATE = Struct(">BQQQQ")
_U16 = Struct(">H")
_U32 = Struct(">I")
_U64 = Struct(">Q")
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
    """Return *state* sealed; the inverse of `decode_state`."""
    head = _STATE.pack(
        STATE_FORMAT,
        state.replica,
        state.seq,
        state.hlc,
        state.conflicts_ever,
    )
    parts = (
        head,
        _encode_vector(state.clock),
        _encode_vector(state.pending),
        _encode_peers(state.peers),
        _DIGEST.pack(*state.digest),
    )
    return seal(b"".join(parts))


def decode_state(data: bytes) -> DurableState:
    """
    Return the state that was encoded.

    Raises:
        CorruptRecordError: The checksum or the format is wrong.
    """
    payload = unseal(data, "the node's state")
    try:
        form, replica, seq, hlc, conflicts_ever = _STATE.unpack_from(payload)
        if form != STATE_FORMAT_MIN:
            _check_format("the node's state", form, STATE_FORMAT)
        clock, at = _decode_vector(payload, _STATE.size)
        pending, at = _decode_vector(payload, at)
        peers, at = _decode_peers(payload, at)
        digest = UNKNOWN
        if form != STATE_FORMAT_MIN:
            digest = RollingDigest(*_DIGEST.unpack_from(payload, at))
    except (StructError, IndexError, UnicodeDecodeError) as error:
        msg = f"the node's state does not parse: {error}"
        raise CorruptRecordError(msg) from error
    return DurableState(
        replica=ReplicaId(replica),
        clock=clock,
        pending=pending,
        seq=seq,
        hlc=HlcTimestamp(hlc),
        conflicts_ever=conflicts_ever,
        peers=peers,
        digest=digest,
    )


def encode_conflicts(log: tuple[ConflictRecord, ...], dots: NumberedDots) -> bytes:
    """Return a key's conflict log sealed; the inverse of `decode_conflicts`."""
    parts = [_CONFLICTS.pack(CONFLICTS_FORMAT, len(log))]
    for conflict in log:
        raw = record.encode(conflict.loser, dots)
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
            loser = record.decode(payload[at : at + size], dots)
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


def _encode_peers(peers: tuple[PeerAddress, ...]) -> bytes:
    parts = [_U16.pack(len(peers))]
    for peer in peers:
        parts.append(_U64.pack(peer.replica))
        for text in (peer.name, peer.address, peer.region):
            raw = text.encode()
            parts.append(_U16.pack(len(raw)))
            parts.append(raw)
    return b"".join(parts)


def _decode_peers(data: bytes, at: int) -> tuple[tuple[PeerAddress, ...], int]:
    (count,) = _U16.unpack_from(data, at)
    at += _U16.size
    peers = []
    for _ in range(count):
        (replica,) = _U64.unpack_from(data, at)
        at += _U64.size
        texts = []
        for _ in range(3):
            (size,) = _U16.unpack_from(data, at)
            at += _U16.size
            texts.append(str(data[at : at + size], "utf-8"))
            at += size
        name, address, region = texts
        peers.append(PeerAddress(name, address, ReplicaId(replica), region))
    return tuple(peers), at
