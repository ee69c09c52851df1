"""Clocks, floors and entries as protobuf, and back: what many messages are made of."""

from collections.abc import Iterable

from kvnode._pb import peer_pb2 as pb
from kvnode.core.clocks.version_vector import Spans, VersionVector
from kvnode.core.replication.messages import WireEntry
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import HLC_END
from kvnode.errors import PeerProtocolError
from kvnode.types import EntryKey, HlcTimestamp, Namespace, ReplicaId


def encode_clock(clock: VersionVector) -> pb.Clock:
    """Return *clock* as a message."""
    message = pb.Clock()
    for replica, spans in clock.items():
        entry = message.entries.add(replica=replica)
        rest: Iterable[tuple[int, int]] = spans
        if spans[0][0] == 1:
            entry.covered = spans[0][1]
            rest = spans[1:]
        for first, last in rest:
            entry.beyond.add(first=first, last=last)
    return message


def decode_clock(message: pb.Clock) -> VersionVector:
    """
    Return the clock of *message*.

    Raises:
        PeerProtocolError: Replicas or intervals are out of order, or intervals
            are empty or touch.
    """
    spans: dict[ReplicaId, Spans] = {}
    before = -1
    for entry in message.entries:
        if entry.replica <= before:
            msg = f"clock entry {entry.replica:016x} follows {before:016x}"
            raise PeerProtocolError(msg)
        before = entry.replica
        found = [(1, entry.covered)] if entry.covered else []
        found.extend((i.first, i.last) for i in entry.beyond)
        edge = -1
        for first, last in found:
            if not edge + 1 < first <= last:
                msg = f"clock intervals {found} are not ascending and apart"
                raise PeerProtocolError(msg)
            edge = last
        if found:
            spans[ReplicaId(entry.replica)] = tuple(found)
    return VersionVector(spans)


def encode_floor(floor: Floor) -> pb.Floor:
    """Return *floor* as a message."""
    return pb.Floor(vector=encode_clock(floor.vector), hlc=floor.hlc)


def decode_floor(message: pb.Floor) -> Floor:
    """
    Return the floor of *message*.

    Raises:
        PeerProtocolError: Its clock is none, or its timestamp beyond any clock.
    """
    if message.hlc >= HLC_END:
        msg = f"a floor at {message.hlc} is above what any clock reaches"
        raise PeerProtocolError(msg)
    return Floor(decode_clock(message.vector), HlcTimestamp(message.hlc))


def encode_entry(entry: WireEntry) -> pb.EntryRecord:
    """Return *entry* as a message."""
    (namespace, key), record, value_bytes = entry
    return pb.EntryRecord(
        namespace=namespace, key=key, record=record, value_bytes=value_bytes
    )


def decode_entries(messages: Iterable[pb.EntryRecord]) -> tuple[WireEntry, ...]:
    """Return the entries of *messages*; their records are not examined."""
    return tuple(
        WireEntry(EntryKey(Namespace(m.namespace), m.key), m.record, m.value_bytes)
        for m in messages
    )
