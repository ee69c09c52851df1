"""What the replicas of a shard say to each other as protobuf, and back."""

from collections.abc import Callable, Iterable
from typing import Final, assert_never

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.map_change import ENTRY_BYTES_MAX, KEY_BYTES_MAX
from kvnode.core.objects.messages import (
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
from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.errors import PeerProtocolError
from kvnode.types import Millis

NUMBER_MAX: Final = 1 << 62
"""Of epochs, entries and rounds: a million a second reach it in 146,000 years."""

DURATION_MILLIS_MAX: Final = 60_000
"""Of leases: a node that claims more would let a shard stand still for as long."""


def encode_shard_message(shard: str, message: PeerMessage) -> pb.ShardMessage:  # noqa: C901, PLR0911 -- one case each
    """Return *message* for *shard* in its envelope."""
    match message:
        case Append(epoch, round_, previous, entries, committed, lease):
            append = pb.ShardAppend(
                epoch=epoch,
                round=round_,
                previous=_encode_position(previous),
                entries=map(_encode_entry, entries),
                committed=committed,
                lease_ms=lease,
            )
            return pb.ShardMessage(shard=shard, append=append)
        case Appended(epoch, round_, number):
            appended = pb.ShardAppended(epoch=epoch, round=round_, number=number)
            return pb.ShardMessage(shard=shard, appended=appended)
        case Mismatch(epoch, round_, common):
            mismatch = pb.ShardMismatch(
                epoch=epoch, round=round_, common=_encode_position(common)
            )
            return pb.ShardMessage(shard=shard, mismatch=mismatch)
        case Seal(epoch, released):
            seal = pb.ShardSeal(epoch=epoch, released=released)
            return pb.ShardMessage(shard=shard, seal=seal)
        case Sealed(epoch, last, released):
            sealed = pb.ShardSealed(
                epoch=epoch, last=_encode_position(last), released=released
            )
            return pb.ShardMessage(shard=shard, sealed=sealed)
        case Leased(epoch, remaining):
            leased = pb.ShardLeased(epoch=epoch, remaining_ms=remaining)
            return pb.ShardMessage(shard=shard, leased=leased)
        case Refused(epoch, promised):
            refused = pb.ShardRefused(epoch=epoch, promised=promised)
            return pb.ShardMessage(shard=shard, refused=refused)
        case Pull(epoch, position):
            pull = pb.ShardPull(epoch=epoch, position=_encode_position(position))
            return pb.ShardMessage(shard=shard, pull=pull)
        case Pulled(epoch, previous, entries, last):
            pulled = pb.ShardPulled(
                epoch=epoch,
                previous=_encode_position(previous),
                entries=map(_encode_entry, entries),
                last=_encode_position(last),
            )
            return pb.ShardMessage(shard=shard, pulled=pulled)
        case SnapshotPage() | PagesTaken() | SnapshotWanted():
            return _encode_of_snapshot(shard, message)
        case _:
            assert_never(message)


def _encode_of_snapshot(
    shard: str, message: SnapshotPage | PagesTaken | SnapshotWanted
) -> pb.ShardMessage:
    match message:
        case SnapshotPage(epoch, picture, number, base, rows):
            page = pb.ShardSnapshotPage(
                epoch=epoch,
                picture=picture,
                number=number,
                base=_encode_position(base),
                rows=[pb.ShardSnapshotPage.Row(key=k, value=v) for k, v in rows],
            )
            return pb.ShardMessage(shard=shard, snapshot_page=page)
        case PagesTaken(epoch, picture, number):
            taken = pb.ShardPagesTaken(epoch=epoch, picture=picture, number=number)
            return pb.ShardMessage(shard=shard, pages_taken=taken)
        case SnapshotWanted(epoch):
            wanted = pb.ShardSnapshotWanted(epoch=epoch)
            return pb.ShardMessage(shard=shard, snapshot_wanted=wanted)
        case _:
            assert_never(message)


def decode_shard_message(message: pb.ShardMessage) -> PeerMessage:
    """
    Return what *message* says.

    Raises:
        PeerProtocolError: No correct peer sends it.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        msg = f"a message for shard {message.shard[:64]!r} says nothing that is known"
        raise PeerProtocolError(msg)
    return _DECODERS[kind](message)


def _decode_append(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.append
    lease = message.lease_ms
    if lease > DURATION_MILLIS_MAX:
        msg = f"a lease of {lease} ms is above all that there can be"
        raise PeerProtocolError(msg)
    return Append(
        _epoch(message.epoch),
        _number(message.round),
        _position(message.previous),
        _entries(message.entries),
        _number(message.committed),
        Millis(lease),
    )


def _decode_appended(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.appended
    return Appended(
        _epoch(message.epoch), _number(message.round), _number(message.number)
    )


def _decode_mismatch(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.mismatch
    return Mismatch(
        _epoch(message.epoch), _number(message.round), _position(message.common)
    )


def _decode_seal(envelope: pb.ShardMessage) -> PeerMessage:
    return Seal(_epoch(envelope.seal.epoch), _number(envelope.seal.released))


def _decode_sealed(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.sealed
    return Sealed(
        _epoch(message.epoch), _position(message.last), _number(message.released)
    )


def _decode_leased(envelope: pb.ShardMessage) -> PeerMessage:
    remaining = min(envelope.leased.remaining_ms, DURATION_MILLIS_MAX)
    return Leased(_epoch(envelope.leased.epoch), Millis(remaining))


def _decode_refused(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.refused
    return Refused(_epoch(message.epoch), _epoch(message.promised))


def _decode_pull(envelope: pb.ShardMessage) -> PeerMessage:
    return Pull(_epoch(envelope.pull.epoch), _position(envelope.pull.position))


def _decode_pulled(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.pulled
    return Pulled(
        _epoch(message.epoch),
        _position(message.previous),
        _entries(message.entries),
        _position(message.last),
    )


def _decode_snapshot_page(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.snapshot_page
    rows = tuple((row.key, row.value) for row in message.rows)
    for key, value in rows:
        if not 0 < len(key) <= KEY_BYTES_MAX or len(value) > ENTRY_BYTES_MAX:
            msg = f"a row of {len(key)} and {len(value)} bytes is in no state"
            raise PeerProtocolError(msg)
    return SnapshotPage(
        _epoch(message.epoch),
        message.picture,
        _number(message.number),
        _position(message.base),
        rows,
    )


def _decode_pages_taken(envelope: pb.ShardMessage) -> PeerMessage:
    message = envelope.pages_taken
    return PagesTaken(_epoch(message.epoch), message.picture, _number(message.number))


def _decode_snapshot_wanted(envelope: pb.ShardMessage) -> PeerMessage:
    return SnapshotWanted(_epoch(envelope.snapshot_wanted.epoch))


_DECODERS: Final[dict[str, Callable[[pb.ShardMessage], PeerMessage]]] = {
    "append": _decode_append,
    "appended": _decode_appended,
    "mismatch": _decode_mismatch,
    "seal": _decode_seal,
    "sealed": _decode_sealed,
    "leased": _decode_leased,
    "refused": _decode_refused,
    "pull": _decode_pull,
    "pulled": _decode_pulled,
    "snapshot_page": _decode_snapshot_page,
    "pages_taken": _decode_pages_taken,
    "snapshot_wanted": _decode_snapshot_wanted,
}


def _encode_position(position: Position) -> pb.LogPosition:
    return pb.LogPosition(epoch=position.epoch, number=position.number)


def _encode_entry(entry: LogEntry) -> pb.ShardEntry:
    return pb.ShardEntry(epoch=entry.epoch, data=entry.data)


def _position(message: pb.LogPosition) -> Position:
    return Position(_number(message.epoch), _number(message.number))


def _entries(messages: Iterable[pb.ShardEntry]) -> tuple[LogEntry, ...]:
    return tuple(map(_entry, messages))


def _entry(message: pb.ShardEntry) -> LogEntry:
    if len(message.data) > ENTRY_BYTES_MAX:
        msg = f"an entry of {len(message.data)} bytes is larger than any may be"
        raise PeerProtocolError(msg)
    return LogEntry(_epoch(message.epoch), message.data)


def _epoch(number: int) -> int:
    if number == 0:
        msg = "epoch 0 is nobody's"
        raise PeerProtocolError(msg)
    return _number(number)


def _number(number: int) -> int:
    if number > NUMBER_MAX:
        msg = f"{number} is above all epochs and entries that there can be"
        raise PeerProtocolError(msg)
    return number
