"""
Applying one client's commands to a turn.

Stamps follow rule R1: a write's timestamp is above the clock's, the stored
version's and the session's, and its key clock is the stored one's with the own
dot added.  So a causally later write always has the larger timestamp.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from kvnode.core.clocks.hybrid_logical_clock import absorb, tick
from kvnode.core.clocks.key_clock import KeyClock, extend, join_sorted
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.document import Document
from kvnode.core.crdt.set import ObservedRemoveSet
from kvnode.core.node.commands import (
    AddToCounter,
    Applied,
    Command,
    ConditionFailed,
    Delete,
    Outcome,
    Put,
    Refused,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.node.turn import Turn
from kvnode.core.versions.floor import origin_of
from kvnode.core.versions.session import Session
from kvnode.core.versions.version import (
    NEVER,
    Entry,
    Kind,
    Stamp,
    Version,
)
from kvnode.errors import (
    CorruptRecordError,
    DamagedRecordError,
    InvalidArgumentError,
)
from kvnode.limits import KEY_CLOCK_ENTRIES_MAX
from kvnode.types import ZERO_HLC, Dot, EntryKey, HlcTimestamp, Millis, ReplicaId

Update = Callable[[bytes, Dot], bytes]
"""Returns a CRDT's next state from its last (empty: none) and the write's dot."""


class Writer:
    """Makes versions in the name of *replica* for one session, in one turn."""

    def __init__(
        self, replica: ReplicaId, turn: Turn, session: Session, *, ahead_max: Millis
    ) -> None:
        self._replica = replica
        self._ahead_max = ahead_max
        self._turn = turn
        self._session = session
        # The own earlier writes need no mention: a push is covered in order.
        self._dependencies = tuple(
            d
            for d in session.seen
            if not turn.floor.vector.covers(d)  # every member does
            and (d.replica != replica or not turn.clock.covers(d))
        )

    def apply(self, command: Command) -> Outcome:
        """Stage *command*, or tell why it does not happen."""
        try:
            return self._apply(command)
        except CorruptRecordError as error:
            # Damage to one key must not stop the node that serves all others.
            message = f"the key is damaged: {error}"
            damaged = isinstance(error, DamagedRecordError)
            return Refused(wrong_type=False, message=message, damaged=damaged)

    def _apply(self, command: Command) -> Outcome:
        match command:
            case Put():
                return self._put(command)
            case Delete(key, if_dot):
                stored = self._turn.entry(key)
                if if_dot is not None and not self._is_at(stored, if_dot):
                    return ConditionFailed(stored)
                return self._store(key, stored, Kind.TOMBSTONE, Entry)
            case AddToCounter(key, amount):
                return self._update(key, Kind.COUNTER, partial(_added, amount))
            case UpdateSet(key):
                return self._update(key, Kind.SET, partial(_updated, command))
            case UpdateDocument(key, update):
                return self._update(key, Kind.DOCUMENT, partial(_merged, update))
            case _:
                assert_never(command)

    def _put(self, command: Put) -> Outcome:
        stored = self._turn.entry(command.key)
        if command.if_absent and self._visible(stored) is not None:
            return ConditionFailed(stored)
        if command.if_dot is not None and not self._is_at(stored, command.if_dot):
            return ConditionFailed(stored)
        return self._store(
            command.key,
            stored,
            Kind.REGISTER,
            lambda version: Entry(
                version._replace(deadline=command.deadline)
                if command.deadline != NEVER
                else version,
                command.value,
                command.metadata,
            ),
        )

    def _visible(self, stored: Entry | None) -> Entry | None:
        return stored if stored and stored.live(self._turn.now) else None

    def _is_at(self, stored: Entry | None, dot: Dot) -> bool:
        visible = self._visible(stored)
        return visible is not None and visible.version.dot == dot

    def _next_stamp(self, stored: Entry | None) -> tuple[HlcTimestamp, Dot]:
        turn = self._turn
        above = stored.version.hlc if stored else ZERO_HLC
        stamp = tick(turn.hlc, above, self._session.hlc, now=turn.now)
        # Overwriting a version from the future must not take the clock there (C2).
        turn.hlc = absorb(
            tick(turn.hlc, now=turn.now), stamp, now=turn.now, ahead_max=self._ahead_max
        )
        turn.seq += 1
        return stamp, Dot(self._replica, turn.seq)

    def _store(
        self,
        key: EntryKey,
        stored: Entry | None,
        kind: Kind,
        make: Callable[[Version], Entry],
    ) -> Outcome:
        hlc, dot = self._next_stamp(stored)
        others: KeyClock = ()
        if stored:
            clock = extend(
                stored.version.key_clock, dot, entries_max=KEY_CLOCK_ENTRIES_MAX
            )
            others = clock[:-1]
        dependencies = self._travelling_dependencies(key)
        entry = make(Version(kind, hlc, dot, others, dependencies))
        self._turn.originate(key, entry, stored)
        return Applied(entry)

    def _travelling_dependencies(self, key: EntryKey) -> tuple[Dot, ...]:
        """
        Return the dependencies of the next write of *key*.

        It travels instead of the turn's earlier write of the key, and for it.
        """
        earlier = self._turn.originated.get(key)
        if earlier is None:
            return self._dependencies
        return join_sorted(earlier.entry.version.dependencies, self._dependencies)

    def _update(self, key: EntryKey, kind: Kind, update: Update) -> Outcome:
        stored = self._turn.entry(key)
        base, state, metadata = origin_of(self._turn.floor), b"", ""
        others: KeyClock = ()
        if stored is not None:
            version = stored.version
            if version.kind is kind:
                base, state, metadata = version.base, stored.value, stored.metadata
            elif stored.live(self._turn.now):
                return Refused(
                    wrong_type=True,
                    message=f"the key holds a {version.kind.name.lower()}, not a"
                    f" {kind.name.lower()}; delete it first",
                )
            else:
                base = Stamp(version.hlc, version.dot.replica)
            others = _contributors_but(version.key_clock, self._replica)
        before = self._turn.hlc
        hlc, dot = self._next_stamp(stored)
        try:
            next_state = update(state, dot)
        except InvalidArgumentError as error:
            self._take_back(before)
            return Refused(wrong_type=False, message=str(error))
        except CorruptRecordError:
            self._take_back(before)
            raise
        if stored is not None and state and next_state == state:
            self._take_back(before)
            return Applied(stored)
        dependencies = self._travelling_dependencies(key)
        if stored and stored.version.base == base:
            dependencies = join_sorted(stored.version.dependencies, dependencies)
        version = Version(kind, hlc, dot, others, dependencies, NEVER, base)
        entry = Entry(version, next_state, metadata)
        self._turn.originate(key, entry, stored)
        return Applied(entry)

    def _take_back(self, hlc: HlcTimestamp) -> None:
        """Undo a stamp that no write will carry: no seq may be skipped."""
        self._turn.hlc = hlc
        self._turn.seq -= 1


def _added(amount: int, state: bytes, dot: Dot) -> bytes:
    counter = PnCounter.decode(state) if state else PnCounter()
    return counter.add(dot.replica, amount).encode()


def _updated(command: UpdateSet, state: bytes, dot: Dot) -> bytes:
    members = ObservedRemoveSet.decode(state) if state else ObservedRemoveSet()
    return members.update(dot, add=command.add, remove=command.remove).encode()


def _merged(update: bytes, state: bytes, dot: Dot) -> bytes:
    del dot  # Yjs tells operations apart by itself
    document = Document.decode(state) if state else Document()
    return document.apply(update).encode()


def _contributors_but(clock: KeyClock, replica: ReplicaId) -> KeyClock:
    return tuple(sorted(dot for dot in clock if dot.replica != replica))
