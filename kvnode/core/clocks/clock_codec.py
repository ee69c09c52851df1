"""
Version vectors as bytes: in stored state and in resume tokens.

    format   u8   1
    count    u16  replicas, ascending
    each:    u64 replica, u16 intervals, then u64 first and u64 last of each
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.errors import CorruptRecordError
from kvnode.types import ReplicaId

_HEAD = Struct(">BH")
_REPLICA = Struct(">QH")
_INTERVAL = Struct(">QQ")
_FORMAT = 1


def encode_clock(clock: VersionVector) -> bytes:
    """Return *clock* as bytes; equal clocks give equal bytes."""
    items = clock.items()
    parts = [_HEAD.pack(_FORMAT, len(items))]
    for replica, spans in items:
        parts.append(_REPLICA.pack(replica, len(spans)))
        parts.extend(_INTERVAL.pack(first, last) for first, last in spans)
    return b"".join(parts)


def decode_clock(data: bytes) -> VersionVector:
    """
    Return the clock that was encoded.

    Raises:
        CorruptRecordError: The bytes are not of that form.
    """
    try:
        form, count = _HEAD.unpack_from(data)
        at = _HEAD.size
        spans: dict[ReplicaId, tuple[tuple[int, int], ...]] = {}
        for _ in range(count):
            replica, size = _REPLICA.unpack_from(data, at)
            at += _REPLICA.size
            end = at + size * _INTERVAL.size
            found = tuple((a, b) for a, b in _INTERVAL.iter_unpack(data[at:end]))
            if len(found) != size or not _ascending(found):
                msg = "a clock's intervals are not ascending and apart"
                raise CorruptRecordError(msg)
            spans[ReplicaId(replica)] = found
            at = end
    except StructError as error:
        msg = f"a clock of {len(data)} bytes does not parse"
        raise CorruptRecordError(msg) from error
    if form != _FORMAT or at != len(data):
        msg = f"a clock of {len(data)} bytes has an unknown form"
        raise CorruptRecordError(msg)
    return VersionVector(spans)


def _ascending(spans: tuple[tuple[int, int], ...]) -> bool:
    edge = -1
    for first, last in spans:
        if not max(edge + 1, 0) < first <= last:
            return False
        edge = last
    return bool(spans)
