"""
Healing: a damaged record is pulled again from peers.

A record that fails its checksum says nothing, not even what it had superseded.
What takes its place must include all that the node claims to cover of the key:

  - the record of one peer, if the peer covers the dots that the index still has
    for the key (invariant I1 at the peer), or the record itself builds on them.
    That is the usual case: the damage costs a round trip;
  - else the records of all other members together.  What none of them has, is
    lost for good, and to claim it harms nobody.  A question to a peer travels
    behind all that it was sent before, so nothing is on its way unseen;
  - else, if a member cannot be asked for long, the records of those that can be.
    Then the node claims no more what they may lack (kvnode.core.replication.claims):
    whoever has it finds the gap in our reports and sends it.

All this is forgotten in a crash; the damage is met again.

Reference:
    docs/decisions/0011-damaged-records-are-pulled-again.md
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import Protocol

from kvnode.core.clocks.key_clock import covers
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.crdt.kinds import join
from kvnode.core.node.events import Tell
from kvnode.core.node.turn import Turn
from kvnode.core.replication.claims import claimable
from kvnode.core.replication.fetch import Fetches
from kvnode.core.versions.merge import merge
from kvnode.core.versions.version import NEVER, Entry
from kvnode.types import Dot, EntryKey, Millis, ReplicaId

DAMAGED_MAX = 1000
"""Keys healed at a time; with more, the store is to be replaced."""

FOUND_MAX = 8
"""Records kept in memory until all members are heard, each as large as a value."""

NOTICED_PER_TURN_MAX = 4
"""Each costs a walk through the index: about 0.5 s for a million rows."""

PATIENCE = Millis(5000)
"""So long a peer that has all is waited for; a partition may be over by then."""

PATIENCE_WITH_ABSENT = Millis(20_000)
"""So long members that are not connected are: what they say may spare a gap."""

ASK_INTERVAL = Millis(1000)
"""Between two pulls of one key."""

LOOK_INTERVAL = Millis(100)
"""How soon a peer that has come to have all is noticed."""


class Healed(Enum):
    """What a pulled record did to a damaged one."""

    NOT_YET = "not yet"  # it may lack what others have
    WHOLE = "whole"  # it includes the damaged one
    REST = "rest"  # what it lacks, no member has
    PARTLY = "partly"  # what it may lack is not claimed any more


class Source(Protocol):
    """What is asked of a connected peer here."""

    clock: VersionVector


@dataclass(slots=True)
class _Damage:
    dots: tuple[Dot, ...]
    noticed_at: Millis
    due_at: Millis = NEVER
    asks: int = 0
    # Whom the key is being pulled from, and what it covered before it was asked.
    asked: dict[ReplicaId, VersionVector] = field(default_factory=dict)
    # Who has answered with what may not be all, and what that is together.
    heard: dict[ReplicaId, VersionVector] = field(default_factory=dict)
    found: Entry | None = None
    # Who covers the key and yet has no record: for now there is no use in asking.
    barren: set[ReplicaId] = field(default_factory=set)


class Healing:
    """The keys whose records are known to be damaged, and who was asked for them."""

    def __init__(self) -> None:
        self._damages: dict[EntryKey, _Damage] = {}

    def __len__(self) -> int:
        """Return how many keys wait to be healed."""
        return len(self._damages)

    def advance(
        self, turn: Turn, peers: Mapping[ReplicaId, Source], fetches: Fetches
    ) -> Iterator[tuple[EntryKey, Healed]]:
        """Notice what *turn* has met, plan pulls that are due; yield what healed."""
        for key in tuple(turn.damaged):
            self._notice(key, turn)
        for key, damage in list(self._damages.items()):
            if 0 < damage.due_at - turn.now <= ASK_INTERVAL:
                continue  # not due; beyond that, the clock was set back
            if not turn.is_damaged(key):
                del self._damages[key]
                continue
            self._ask(key, damage, turn, peers, fetches)
            healed = self._settle(key, damage, turn)
            if healed is not Healed.NOT_YET:
                yield key, healed

    def _notice(self, key: EntryKey, turn: Turn) -> _Damage | None:
        """Return what is known of *key*; None if it cannot be taken care of now."""
        known = self._damages.get(key)
        if known is not None:
            return known
        new = sum(d.noticed_at == turn.now for d in self._damages.values())
        if (
            new >= NOTICED_PER_TURN_MAX
            or len(self._damages) >= DAMAGED_MAX
            or not turn.is_damaged(key)
        ):
            return None
        damage = self._damages[key] = _Damage(turn.dots_of(key), turn.now)
        turn.effects.append(Tell(f"{_named(key)} is damaged: asking peers for it"))
        return damage

    def _ask(
        self,
        key: EntryKey,
        damage: _Damage,
        turn: Turn,
        peers: Mapping[ReplicaId, Source],
        fetches: Fetches,
    ) -> None:
        damage.due_at = Millis(turn.now + LOOK_INTERVAL)
        useful = sorted(peers.keys() - damage.barren)
        holders = [r for r in useful if peers[r].clock.covers_all(damage.dots)]
        if damage.dots and holders:
            chosen = [holders[damage.asks % len(holders)]]
        elif _waited(damage, turn.now, PATIENCE) and self._has_room(damage):
            chosen = [r for r in useful if r not in damage.heard]
            damage.barren.clear()  # they may have been healed until next time
        else:
            chosen = []
        for replica in chosen:
            dot = damage.dots[-1] if damage.dots else Dot(replica, 1)
            if not fetches.wants(replica, key) and fetches.want(replica, key, dot):
                damage.asks += 1
                damage.asked[replica] = peers[replica].clock
                damage.due_at = Millis(turn.now + ASK_INTERVAL)

    def expect(
        self, key: EntryKey, replica: ReplicaId, peer: Source, turn: Turn
    ) -> None:
        """Note that *key* is about to be pulled from a peer for another reason."""
        damage = self._notice(key, turn)
        if damage is not None:
            damage.asked[replica] = peer.clock

    def take(
        self,
        key: EntryKey,
        replica: ReplicaId,
        peer: Source,
        entry: Entry,
        turn: Turn,
    ) -> Healed:
        """Stage *entry*, the whole record of a peer, over the damaged one if it may."""
        damage = self._notice(key, turn)
        if damage is None:
            return Healed.NOT_YET
        if replica not in damage.asked:
            return Healed.NOT_YET  # asked before: it may not have heard all from us
        covered = damage.asked.pop(replica)
        if not peer.clock.includes(covered):
            return Healed.NOT_YET  # it has lost a part since: it says so before
        clock = entry.version.key_clock
        builds_on = all(covers(clock, dot) for dot in damage.dots)
        if damage.dots and (builds_on or covered.covers_all(damage.dots)):
            self._replace(key, entry, damage, turn)
            turn.effects.append(Tell(f"{_named(key)} is whole again"))
            return Healed.WHOLE
        if not self._has_room(damage):
            return Healed.NOT_YET
        if damage.found is not None:
            entry = merge(damage.found, entry, join).entry
        damage.found = entry
        damage.heard[replica] = covered
        return self._settle(key, damage, turn)

    def has_none(self, key: EntryKey, replica: ReplicaId, turn: Turn) -> Healed:
        """Take in that a peer has no record of *key*, or a damaged one."""
        damage = self._damages.get(key)
        if damage is None or replica not in damage.asked:
            return Healed.NOT_YET
        covered = damage.asked.pop(replica)
        if covered.covers_all(damage.dots):
            damage.barren.add(replica)  # it should have one: that is damaged, too
            return Healed.NOT_YET
        damage.heard[replica] = covered
        return self._settle(key, damage, turn)

    def _has_room(self, damage: _Damage) -> bool:
        """Tell whether one more record may be kept until all are there."""
        if damage.found is not None:
            return True
        kept = sum(d.found is not None for d in self._damages.values())
        return kept < FOUND_MAX

    def _settle(self, key: EntryKey, damage: _Damage, turn: Turn) -> Healed:
        """Take what was found over the damaged record, if there is no more to hear."""
        if damage.found is None or not _waited(damage, turn.now, PATIENCE):
            return Healed.NOT_YET
        if all(peer.replica in damage.heard for peer in turn.peers):
            self._replace(key, damage.found, damage, turn)
            turn.effects.append(
                Tell(f"{_named(key)} is what peers have; newer writes of it are lost")
            )
            return Healed.REST
        if not _waited(damage, turn.now, PATIENCE_WITH_ABSENT):
            return Healed.NOT_YET
        known = reduce(VersionVector.join, damage.heard.values(), EMPTY)
        for replica, seq in damage.found.version.index_dots:
            known = known.with_range(replica, seq, seq)  # they may not cover it yet
        turn.clock = claimable(turn, turn.clock, known, {key})
        self._replace(key, damage.found, damage, turn)
        turn.effects.append(
            Tell(
                f"{_named(key)} is what connected peers have; newer writes of it are"
                " lost, unless others have them"
            )
        )
        return Healed.PARTLY

    def _replace(
        self, key: EntryKey, entry: Entry, damage: _Damage, turn: Turn
    ) -> None:
        turn.replace_damaged(key, entry, damage.dots)
        del self._damages[key]

    def drop_of(self, replica: ReplicaId) -> None:
        """Note that a peer's connection, and its pulls with it, are gone."""
        for damage in self._damages.values():
            damage.asked.pop(replica, None)

    def forget(self) -> None:
        """Forget all: the turns in which it was noticed have not happened."""
        self._damages.clear()


def _named(key: EntryKey) -> str:
    return f"the record of {key.key!r} in namespace {key.namespace}"


def _waited(damage: _Damage, now: Millis, patience: Millis) -> bool:
    return abs(now - damage.noticed_at) >= patience  # clocks may jump back
