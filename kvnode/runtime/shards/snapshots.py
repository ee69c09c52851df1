"""All states on their way from one node or to it, and what is said about them."""

from collections.abc import Callable
from typing import assert_never

from kvnode.core.objects.events import (
    SendSnapshot,
    SnapshotArrived,
    SnapshotEnded,
    SnapshotTaken,
)
from kvnode.core.objects.messages import (
    PagesTaken,
    SnapshotMessage,
    SnapshotPage,
    SnapshotWanted,
)
from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.shard_replica import Uniform
from kvnode.runtime.background import Background
from kvnode.runtime.shards.hosted_shard import HostedShard
from kvnode.runtime.shards.state.snapshot_receiver import SnapshotReceiver
from kvnode.runtime.shards.state.snapshot_sender import Send, SnapshotSender
from kvnode.types import Millis, ReplicaId

WANTED_EVERY = Millis(1000)
"""A lost state is asked for again after so long."""


class Snapshots:
    """What one node's shards send each other of their states, beside their logs."""

    def __init__(
        self,
        shards: Callable[[str], HostedShard],
        send: Send,
        background: Background,
        *,
        uniform: Uniform,
    ) -> None:
        """
        Begin with none on their way.

        Args:
            shards: Returns a shard by name.
            send: Sends a message, which may be lost.
            background: Where the work is done.
            uniform: Draws what tells pictures apart.
        """
        self._shards = shards
        self._send = send
        self._background = background
        self._wanted_at: dict[str, Millis] = {}
        self._sender = SnapshotSender(
            send,
            background,
            uniform=uniform,
            promised=self._promised,
            ended=self._ended,
        )
        self._receiver = SnapshotReceiver(
            send, background, promised=self._promised, arrived=self._has_arrived
        )

    def begin(self, here: HostedShard, effect: SendSnapshot) -> None:
        """Send the state of a shard; it is told `SnapshotEnded` in the end."""
        self._sender.begin(here.name, effect.receiver, effect.epoch, here.applier)

    def heard(
        self, here: HostedShard, sender: ReplicaId, message: SnapshotMessage
    ) -> None:
        """Take in a message of another node."""
        match message:
            case SnapshotPage():
                self._receiver.heard(here.name, sender, message, here.applier)
            case PagesTaken():
                self._sender.heard(here.name, sender, message)
            case SnapshotWanted(epoch):
                leading = here.replica.leadership
                if (
                    here.leads
                    and leading is not None
                    and leading.epoch == epoch
                    and sender in leading.configuration.replicas
                ):
                    self.begin(here, SendSnapshot(sender, epoch))
            case _:
                assert_never(message)

    def want(
        self, here: HostedShard, leader: ReplicaId, epoch: int, now: Millis
    ) -> None:
        """Ask who leads for a state that is lost here, once in a while."""
        wanted_at = self._wanted_at.get(here.name)
        if wanted_at is None or now - wanted_at >= WANTED_EVERY:
            self._wanted_at[here.name] = now
            self._send(leader, here.name, SnapshotWanted(epoch))

    def compact(self, here: HostedShard) -> None:
        """Write a checkpoint if it is time, and cut the log as far as it may be."""
        if here.compaction.is_due:
            self._background.start(here.compaction.checkpoint())
        held = self._sender.held(here.name, here.applier.applied_bytes)
        number = here.compaction.cut(here.replica.committed, held)
        if number:
            here.take(SnapshotTaken(number))

    def _promised(self, shard: str) -> int:
        return self._shards(shard).replica.promised

    def _ended(self, shard: str, receiver: ReplicaId) -> None:
        self._shards(shard).take(SnapshotEnded(receiver))

    def _has_arrived(
        self, shard: str, sender: ReplicaId, epoch: int, base: Position
    ) -> None:
        self._shards(shard).take(SnapshotArrived(sender, epoch, base))
