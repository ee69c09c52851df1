"""From protobuf replies to the values of kvnode.client.values."""

import json

from kvnode._pb import admin_pb2, kv_pb2
from kvnode.client.values import (
    UNTOLD_DIGEST,
    Change,
    Changes,
    ClockEntry,
    Conflict,
    ConflictPage,
    Departure,
    Digest,
    DigestStatus,
    FillingStatus,
    FloorStatus,
    ForgettingStatus,
    Item,
    JsonValue,
    Kind,
    Lag,
    MemberStatus,
    NodeStatus,
    OriginLag,
    Page,
    PeerStatus,
    RepairResult,
    RescueFile,
    Standing,
    Value,
    WriteResult,
)
from kvnode.errors import PeerProtocolError
from kvnode.types import HlcTimestamp, ReplicaId

_KINDS = {
    kv_pb2.VALUE_TYPE_ABSENT: Kind.ABSENT,
    kv_pb2.VALUE_TYPE_REGISTER: Kind.REGISTER,
    kv_pb2.VALUE_TYPE_COUNTER: Kind.COUNTER,
    kv_pb2.VALUE_TYPE_SET: Kind.SET,
    kv_pb2.VALUE_TYPE_DOCUMENT: Kind.DOCUMENT,
}

_STANDINGS = {
    admin_pb2.STANDING_MEMBER: Standing.MEMBER,
    admin_pb2.STANDING_LEFT: Standing.LEFT,
    admin_pb2.STANDING_REMOVED: Standing.REMOVED,
}


def _kind(number: kv_pb2.ValueType.ValueType) -> Kind:
    kind = _KINDS.get(number)
    if kind is None:
        msg = f"the node sent a value of type {number}: this client is too old for it"
        raise PeerProtocolError(msg)
    return kind


def _metadata(text: str) -> JsonValue:
    if not text:
        return None
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        msg = f"the node sent metadata that is no JSON: {error}"
        raise PeerProtocolError(msg) from error
    return value


def _seconds(millis: int) -> float | None:
    return millis / 1000 if millis else None


def value_of(reply: kv_pb2.GetReply) -> Value | None:
    """Return what a read found, None for an absent key."""
    number = reply.type
    if number == kv_pb2.VALUE_TYPE_ABSENT:
        return None
    return Value(
        reply.value,
        _metadata(reply.metadata),
        reply.version,
        _seconds(reply.expires_at_ms),
        HlcTimestamp(reply.hlc),
        reply.stale,
        _kind(number),
    )


def write_result_of(reply: kv_pb2.WriteReply) -> WriteResult:
    """Return what became of a write."""
    return WriteResult(
        reply.applied,
        reply.version,
        reply.current_version,
        reply.replicas,
        HlcTimestamp(reply.hlc),
    )


def page_of(reply: kv_pb2.ListReply, *, values: bool) -> Page:
    """Return one page of a listing, with values only if asked for."""
    items = tuple(
        Item(
            item.key,
            item.value if values else None,
            _metadata(item.metadata),
            item.version,
            _seconds(item.expires_at_ms),
            _kind(item.type),
        )
        for item in reply.items
    )
    return Page(items, reply.complete, reply.cursor, reply.stale)


def _conflict(conflict: kv_pb2.Conflict) -> Conflict:
    return Conflict(
        conflict.namespace,
        conflict.key,
        _kind(conflict.type),
        conflict.value,
        _metadata(conflict.metadata),
        conflict.version,
        HlcTimestamp(conflict.hlc),
        ReplicaId(conflict.replica),
        conflict.winner_version,
        conflict.noticed_at_ms / 1000,
    )


def conflict_page_of(reply: kv_pb2.ConflictsReply) -> ConflictPage:
    """Return one page of a conflict log."""
    return ConflictPage(
        tuple(_conflict(conflict) for conflict in reply.conflicts),
        reply.complete,
        reply.cursor,
        reply.total_ever,
    )


def changes_of(reply: kv_pb2.WatchReply) -> Changes:
    """Return one step of a watch."""
    return Changes(
        tuple(Change(change.key, value_of(change.entry)) for change in reply.changes),
        reply.resume_token,
        tuple(_conflict(conflict) for conflict in reply.conflicts),
    )


def _clock_entry(entry: admin_pb2.ClockEntry) -> ClockEntry:
    return ClockEntry(ReplicaId(entry.replica), entry.covered, entry.newest)


def _peer(peer: admin_pb2.PeerStatus) -> PeerStatus:
    return PeerStatus(
        name=peer.name,
        address=peer.address,
        replica=ReplicaId(peer.replica),
        region=peer.region,
        connected=peer.connected,
        missing_there=peer.missing_there,
        missing_here=peer.missing_here,
        outbox_bytes=peer.outbox_bytes,
        delay_ms=peer.delay_ms,
        blocked=peer.blocked,
        heard_seconds_ago=_ago(peer.heard_ms_ago),
        protocol=peer.protocol,
    )


def _ago(millis: int) -> float | None:
    return None if millis < 0 else millis / 1000


def member_of(member: admin_pb2.MemberStatus) -> MemberStatus:
    """Return one replica that ever joined."""
    return MemberStatus(
        name=member.name,
        replica=ReplicaId(member.replica),
        address=member.address,
        region=member.region,
        standing=_STANDINGS.get(member.standing, Standing.MEMBER),
        incarnation=member.incarnation,
        is_self=member.self,
        connected=member.connected,
        heard_seconds_ago=_ago(member.heard_ms_ago),
        missing_there=member.missing_there,
        missing_here=member.missing_here,
        former=member.former,
        health=member.health,
        rtt_seconds=member.rtt_us / 1e6 if member.HasField("rtt_us") else None,
        clock_offset_seconds=member.clock_offset_ms / 1000
        if member.HasField("clock_offset_ms")
        else None,
    )


def _floor(floor: admin_pb2.FloorStatus) -> FloorStatus:
    return FloorStatus(
        HlcTimestamp(floor.hlc),
        _ago(floor.age_ms) if floor.hlc else None,
        tuple(_clock_entry(entry) for entry in floor.vector),
    )


def departure_of(reply: admin_pb2.LeaveReply) -> Departure:
    """Return who has heard that a node has left."""
    return Departure(reply.told, reply.members)


def lag_of(reply: admin_pb2.LagReply) -> Lag:
    """Return how far behind every other node one is."""
    return Lag(
        reply.name,
        tuple(
            OriginLag(
                name=each.name,
                replica=ReplicaId(each.replica),
                region=each.region,
                standing=_STANDINGS.get(each.standing),
                connected=each.connected,
                missing=each.missing,
                behind_seconds=each.behind_ms / 1000
                if each.HasField("behind_ms")
                else None,
                holders=tuple(each.holders),
            )
            for each in reply.origins
        ),
    )


def status_of(reply: admin_pb2.StatusReply) -> NodeStatus:
    """Return a node's account of itself."""
    return NodeStatus(
        name=reply.name,
        region=reply.region,
        replica=ReplicaId(reply.replica),
        version=reply.version,
        cluster=reply.cluster,
        uptime_seconds=reply.uptime_ms / 1000,
        entry_count=reply.entry_count,
        disk_bytes=reply.disk_bytes,
        disk_free_bytes=reply.disk_free_bytes,
        resident_bytes=reply.resident_bytes,
        durability=reply.durability,
        accepting_writes=reply.accepting_writes,
        refusing_because=reply.refusing_because,
        clock=tuple(_clock_entry(entry) for entry in reply.clock),
        peers=tuple(_peer(peer) for peer in reply.peers),
        conflicts_ever=reply.conflicts_ever,
        uncovered_batches=reply.uncovered_batches,
        namespaces=tuple(reply.namespaces),
        data_directory=reply.data_directory,
        hlc=HlcTimestamp(reply.hlc),
        digests=digest_status_of(reply.digests)
        if reply.HasField("digests")
        else UNTOLD_DIGEST,
        members=tuple(map(member_of, reply.members)),
        floor=_floor(reply.floor),
        forgetting=ForgettingStatus(
            reply.forgetting.settled,
            reply.forgetting.dropped,
            tuple(reply.forgetting.hindrances),
        ),
        filling=_filling(reply.filling) if reply.HasField("filling") else None,
        rescued=tuple(
            RescueFile(each.name, each.size_bytes, each.written_at_ms / 1000)
            for each in reply.rescued
        ),
    )


def digest_status_of(told: admin_pb2.DigestStatus) -> DigestStatus:
    """Return how a node's digest stands."""
    return DigestStatus(
        f"{told.total:016x}",
        told.known,
        told.incomparable_because,
        f"{told.view:016x}",
        tuple(_clock_entry(entry) for entry in told.floor),
        HlcTimestamp(told.floor_hlc),
        told.comparisons,
        told.differences,
        tuple(told.alarms),
        told.scans,
        told.scans_wrong,
        told.repairs,
        told.repaired_entries,
        told.repairing_with,
    )


def repair_of(reply: admin_pb2.RepairReply) -> RepairResult:
    """Return what a repair has found and mended."""
    return RepairResult(
        reply.peer,
        reply.differing_keys,
        reply.sent_entries,
        reply.received_entries,
        reply.changed_here,
        reply.changed_there,
        reply.refused_here,
        reply.refused_there,
        reply.damaged_keys,
        reply.messages,
        reply.bytes,
        reply.duration_ms / 1000,
    )


def _filling(filling: admin_pb2.FillingStatus) -> FillingStatus:
    return FillingStatus(filling.done, filling.expected, filling.percent, filling.donor)


def digest_of(reply: admin_pb2.DigestReply) -> Digest:
    """Return a node's fingerprint."""
    return Digest(
        reply.digest,
        reply.entry_count,
        reply.live_count,
        tuple(_clock_entry(entry) for entry in reply.clock),
    )
