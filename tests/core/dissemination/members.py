"""Members, pushes and a tiny network for the tests of this folder."""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence

from kvnode.core.dissemination.dissemination import Dissemination
from kvnode.core.dissemination.messages import (
    Absent,
    Announce,
    Control,
    Effect,
    Forward,
    Graft,
    Prune,
    PushId,
    SendTo,
    WakeAt,
    push_id,
)
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.replication.messages import Push, WireEntry
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis, ReplicaId

NEAR, FAR = Millis(4), Millis(100)


def push(origin: int, seq: int = 1, value_bytes: int = 10) -> Push:
    """Return a push of one write."""
    key = EntryKey(DEFAULT_NAMESPACE, b"k")
    entry = WireEntry(key, bytes(value_bytes))
    return Push(ReplicaId(origin), seq, seq, (entry,))


def name(origin: int, seq: int = 1) -> PushId:
    """Return the id of `push(origin, seq)`."""
    return push_id(push(origin, seq))


def views(
    regions: Mapping[int, str], own: int, unhealthy: Collection[int] = ()
) -> list[MemberView]:
    """Return what *own* knows of the others: 4 ms in its region, else 100 ms."""
    return [
        MemberView(
            ReplicaId(member),
            region,
            NEAR if region == regions[own] else FAR,
            member not in unhealthy,
        )
        for member, region in regions.items()
        if member != own
    ]


def machine(
    regions: Mapping[int, str], own: int, unhealthy: Collection[int] = ()
) -> Dissemination:
    """Return the machine of *own*, who knows all members."""
    made = Dissemination(ReplicaId(own), regions[own])
    made.view_changed(views(regions, own, unhealthy))
    return made


def forwarded(effects: Sequence[Effect]) -> list[int]:
    """Return to whom payloads go."""
    return [effect.peer for effect in effects if isinstance(effect, Forward)]


def told(effects: Sequence[Effect]) -> list[tuple[int, Control]]:
    """Return the messages without payload."""
    return [(e.peer, e.message) for e in effects if isinstance(e, SendTo)]


class TinyNetwork:
    """
    Machines on virtual time, and what becomes of what they send.

    Args:
        regions: The region of each member.
        lost: Which messages are lost, by their number from 0.
        crashed: Members that say nothing.
        unaware: Whether a member takes a crashed one for healthy.
        strangers: Pairs of a member and another that it has not heard of.
    """

    def __init__(
        self,
        regions: Mapping[int, str],
        *,
        lost: Collection[int] = (),
        crashed: Collection[int] = (),
        unaware: Callable[[int, int], bool] = lambda _member, _crashed: True,
        strangers: Collection[tuple[int, int]] = (),
    ) -> None:
        self.regions = regions
        self.holders: dict[PushId, set[int]] = {}
        self.payloads_sent = 0
        self.repeated: list[tuple[int, int, PushId]] = []
        self.machines = {
            member: machine(
                {m: r for m, r in regions.items() if (member, m) not in strangers},
                member,
                {c for c in crashed if not unaware(member, c)},
            )
            for member in regions
            if member not in crashed
        }
        self._lost = lost
        self._messages = 0
        self._events: list[tuple[int, int, int, int, Push | Control | None]] = []
        self._allowed: set[tuple[int, int, PushId]] = set()
        self._sent: set[tuple[int, int, PushId]] = set()

    def originate(self, origin: int, seq: int = 1, now: int = 1000) -> None:
        """Let *origin* make a push."""
        self.holders[name(origin, seq)] = {origin}
        effects = self.machines[origin].originate((push(origin, seq),), Millis(now))
        self._perform(now, origin, effects)

    def lose_no_more(self) -> None:
        """Let all messages from now on arrive."""
        self._lost = ()

    def run(self) -> None:
        """Go on until nobody has anything to do."""
        while self._events:
            now, _, member, sender, message = heapq.heappop(self._events)
            if member in self.machines:
                effects = self._take(member, sender, message, Millis(now))
                self._perform(now, member, effects)

    def lacking(self) -> list[tuple[PushId, int]]:
        """Return who lacks what."""
        return [
            (push_name, member)
            for push_name, holders in self.holders.items()
            for member in sorted(self.machines.keys() - holders)
        ]

    def _take(
        self, member: int, sender: int, message: Push | Control | None, now: Millis
    ) -> list[Effect]:
        taker, peer = self.machines[member], ReplicaId(sender)
        match message:
            case Push():
                holders = self.holders[push_id(message)]
                fresh = member not in holders
                holders.add(member)
                return taker.received(message, peer, now, fresh=fresh)
            case Announce():
                return taker.announced(peer, message, now)
            case Graft():
                self._allowed.add((member, sender, message.id))
                return taker.grafted(peer, message, now)
            case Prune():
                return taker.pruned(peer, message, now)
            case Absent():
                return taker.absent(peer, message, now)
            case None:
                return taker.tick(now)

    def _perform(self, now: int, member: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Forward(peer, sent):
                    self._note_payload(member, peer, push_id(sent))
                    self._send(now, member, peer, sent)
                case SendTo(peer, message):
                    self._send(now, member, peer, message)
                case WakeAt(due):
                    self._add(max(now, due), member, member, None)

    def _note_payload(self, member: int, peer: int, sent: PushId) -> None:
        self.payloads_sent += 1
        link = member, peer, sent
        if link in self._sent and link not in self._allowed:
            self.repeated.append(link)
        self._allowed.discard(link)
        self._sent.add(link)

    def _send(self, now: int, sender: int, peer: int, message: Push | Control) -> None:
        self._messages += 1
        if self._messages - 1 not in self._lost:
            is_near = self.regions[sender] == self.regions[peer]
            flight = (NEAR if is_near else FAR) // 2
            self._add(now + flight, peer, sender, message)

    def _add(
        self, time: int, member: int, sender: int, message: Push | Control | None
    ) -> None:
        order = self._messages, len(self._events)
        heapq.heappush(
            self._events,
            (time, order[0] * 1_000_000 + order[1], member, sender, message),
        )
