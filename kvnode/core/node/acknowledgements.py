"""
Writes that wait for replicas before they are answered (rule S4).

A write is durable here before it waits.  When patience ends its caller is told
how many replicas have it, never that it failed: it will still spread.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Outcome, WriteRequest
from kvnode.core.node.events import Reply
from kvnode.core.replication.outbox import Outbox
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import Dot, Millis, ReplicaId


class Listener(Protocol):
    """What is asked of a peer here."""

    address: PeerAddress
    clock: VersionVector
    outbox: Outbox


@dataclass(slots=True)
class Waiting:
    """A request, what came of it, and who is known to have it.

    `regions` are those of other nodes: the own one has the write.
    """

    request: WriteRequest
    outcomes: tuple[Outcome, ...]
    dots: tuple[Dot, Dot]
    regions: frozenset[str]
    deadline: Millis
    holders: dict[ReplicaId, str] = field(default_factory=dict)  # and their regions

    def note(self, peers: Mapping[ReplicaId, Listener]) -> None:
        """Take in what peers have acknowledged and reported."""
        for replica, peer in peers.items():
            if has(peer, self.dots):
                self.holders[replica] = peer.address.region

    def reply(self) -> Reply:
        """Return the reply as of now."""
        holders, needed = len(self.holders), self.request.replicas.needed
        if self.request.replicas.each_region:
            reached = self.regions.intersection(self.holders.values())
            holders, needed = len(reached), 1 + len(self.regions)
        return Reply(self.request.number, self.outcomes, 1 + holders, needed)


class Acknowledgements:
    """The write requests that wait, by their number."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        """Return how many writes wait for replicas."""
        return len(self._waiting)

    def admit(
        self, waiting: Waiting, peers: Mapping[ReplicaId, Listener]
    ) -> Iterator[Reply]:
        """Keep a request until enough replicas have it; yield it if they do."""
        self._waiting[waiting.request.number] = waiting
        return self.heard(peers)

    def withdraw(self, number: int) -> None:
        """Forget a request: its turn could not be made durable."""
        self._waiting.pop(number, None)

    def heard(self, peers: Mapping[ReplicaId, Listener]) -> Iterator[Reply]:
        """Yield replies of requests that have reached enough replicas."""
        for number, waiting in list(self._waiting.items()):
            waiting.note(peers)
            reply = waiting.reply()
            if reply.acknowledged >= reply.needed:
                del self._waiting[number]
                yield reply

    def expire(
        self, peers: Mapping[ReplicaId, Listener], now: Millis
    ) -> Iterator[Reply]:
        """Yield replies of requests whose patience has ended."""
        for number, waiting in list(self._waiting.items()):
            if now >= waiting.deadline:
                waiting.note(peers)
                del self._waiting[number]
                yield waiting.reply()

    def clock_stepped_back(self, span: Millis) -> None:
        """Keep the patience that is left when the wall clock goes back."""
        for waiting in self._waiting.values():
            waiting.deadline = Millis(waiting.deadline - span)


def has(peer: Listener, dots: tuple[Dot, Dot]) -> bool:
    """Tell whether *peer* is known to hold the writes from first to last."""
    first, last = dots
    return peer.outbox.received(first, last) or any(
        a <= first.seq and last.seq <= b for a, b in peer.clock.spans(first.replica)
    )
