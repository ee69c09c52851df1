"""
Hypothesis strategies for the values of the core.

Where values must fit together to mean anything, as the versions of one key do,
a strategy does not draw fields: it draws what replicas do, does it, and hands
out what came of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pycrdt
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import tick
from kvnode.core.clocks.key_clock import KeyClock, extend, join_sorted
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.crdt import Document, ObservedRemoveSet, PnCounter, fingerprint, join
from kvnode.core.versions.merge import Merged, merge
from kvnode.core.versions.version import (
    CRDT_KINDS,
    NEVER,
    ORIGIN,
    Entry,
    Kind,
    Stamp,
    Version,
)
from kvnode.limits import COUNTER_ABS_MAX, KEY_CLOCK_ENTRIES_MAX
from kvnode.types import ZERO_HLC, Dot, HlcTimestamp, Millis, ReplicaId

REPLICAS = tuple(ReplicaId(n) for n in (3, 2**63 + 5, 0x0123_4567_89AB_CDEF))
MEMBERS = (b"a", b"b", b"\x00\xff", b"m" * 300)

replica_ids = st.integers(1, 2**64 - 1).map(ReplicaId)
hlc_timestamps = st.integers(0, 2**63 - 1).map(HlcTimestamp)


def dots(seq_max: int = 2**48 - 1) -> st.SearchStrategy[Dot]:
    """Dots of any replica, of a few replicas most of the time."""
    replicas = st.sampled_from(REPLICAS) | replica_ids
    return st.builds(Dot, replicas, st.integers(1, seq_max))


def key_clocks(size_max: int = 5) -> st.SearchStrategy[KeyClock]:
    """Key clocks in any order, one dot a replica."""
    unique = st.lists(dots(), max_size=size_max, unique_by=lambda dot: dot.replica)
    return unique.map(tuple)


def intervals(end: int = 24) -> st.SearchStrategy[tuple[int, int]]:
    """Closed intervals within 1..end."""
    bounds = st.tuples(st.integers(1, end), st.integers(1, end))
    return bounds.map(lambda pair: (min(pair), max(pair)))


@st.composite
def version_vectors(draw: st.DrawFn) -> VersionVector:
    """Vectors of a few replicas, gaps and all, that share many dots."""
    vector = VersionVector()
    ranges = st.lists(st.tuples(st.sampled_from(REPLICAS), intervals()), max_size=6)
    for replica, (first, last) in draw(ranges):
        vector = vector.with_range(replica, first, last)
    return vector


def pn_counters() -> st.SearchStrategy[PnCounter]:
    """Counters of a few replicas, at their limits too."""
    amounts = st.integers(-9, 9) | st.sampled_from((COUNTER_ABS_MAX, -COUNTER_ABS_MAX))

    def build(deltas: dict[ReplicaId, list[int]]) -> PnCounter:
        # Each replica counts for itself, and has not seen the others' sums.
        state = PnCounter()
        for replica, own in deltas.items():
            alone = PnCounter()
            for delta in own:
                if all(
                    abs(part) + abs(delta) <= COUNTER_ABS_MAX
                    for _, *parts in alone.sums
                    for part in parts
                ):
                    alone = alone.add(replica, delta)
            state = state.merge(alone)
        return state

    replicas = st.sampled_from(REPLICAS)
    return st.dictionaries(replicas, st.lists(amounts, max_size=3)).map(build)


@st.composite
def observed_remove_sets(draw: st.DrawFn) -> ObservedRemoveSet:
    """Sets whose contexts cover their tags; any of them may be merged."""
    seqs = st.integers(1, 6)
    context = draw(st.dictionaries(st.sampled_from(REPLICAS), seqs))
    covered = [Dot(r, n) for r, newest in context.items() for n in range(1, newest + 1)]
    if not covered:
        return ObservedRemoveSet()
    tags = st.frozensets(st.sampled_from(covered), min_size=1, max_size=3)
    members = draw(st.dictionaries(st.sampled_from(MEMBERS), tags))
    return ObservedRemoveSet(members, context)


Shared = pycrdt.Text | pycrdt.Map[object] | pycrdt.Array[object]


def _edit(document: pycrdt.Doc[Shared], step: int) -> None:
    document["text"] = text = pycrdt.Text()
    document["map"] = keyed = pycrdt.Map[object]()
    document["list"] = listed = pycrdt.Array[object]()
    match step % 6:
        case 0:
            text.insert(0, "héllo")
        case 1:
            keyed["key"] = step
        case 2:
            listed.extend([{"step": step}, step])
        case 3:
            keyed["inner"] = pycrdt.Map({"deep": pycrdt.Array([step])})
        case 4:
            del listed[0]
        case _:
            del text[0:1]


def _yjs_updates() -> tuple[bytes, ...]:
    """Return what three clients made, partly together, one edit an update."""
    updates: list[bytes] = []
    clients = [pycrdt.Doc[Shared](client_id=n) for n in (7, 2**32 - 1, 11)]
    for step in range(18):
        document = clients[step * 5 % 3]
        before = document.get_state()
        _edit(document, step // 3)
        updates.append(document.get_update(before))
        if step % 7 == 5:
            other = clients[(step + 1) % 3]
            other.apply_update(document.get_update(other.get_state()))
    updates.append(clients[0].get_update())  # compacted by its maker
    return tuple(updates)


YJS_UPDATES = _yjs_updates()
"""Updates of one document; most build on others."""


def documents() -> st.SearchStrategy[Document]:
    """States of one document that know any part of YJS_UPDATES."""

    def build(updates: list[bytes]) -> Document:
        state = Document()
        for update in updates:
            state = state.apply(update)
        return state

    return st.lists(st.sampled_from(YJS_UPDATES), max_size=6).map(build)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Entries with any combination of fields that a record can hold."""
    kind = draw(st.sampled_from(Kind))
    stamps = st.builds(Stamp, hlc_timestamps, replica_ids)
    version = Version(
        kind=kind,
        hlc=draw(hlc_timestamps),
        dot=draw(dots()),
        others=draw(key_clocks()),
        dependencies=draw(key_clocks()),
        deadline=Millis(draw(st.just(NEVER) | st.integers(1, 2**64 - 1))),
        base=draw(st.just(ORIGIN) | stamps),
    )
    metadata = draw(st.sampled_from(("", '{"a":1}', '"é"')))
    return Entry(version, draw(st.binary(max_size=40)), metadata)


class Op(NamedTuple):
    """What a replica does to the key, or which replica it hears from."""

    name: str  # put delete counter set document hear
    at: int  # index of the replica
    now: Millis  # what its wall clock says; clocks need not agree nor advance
    pick: int  # chooses among what the operation could do


OP_NAMES = ("put", "delete", "counter", "set", "document", "hear", "hear")


def operations(
    names: tuple[str, ...] = OP_NAMES, *, size_max: int = 14
) -> st.SearchStrategy[list[Op]]:
    """Lists of operations for `History.run`."""
    wall_clocks = st.integers(1, 6).map(Millis)
    replica = st.integers(0, len(REPLICAS) - 1)
    op = st.builds(Op, st.sampled_from(names), replica, wall_clocks, st.integers(0, 30))
    return st.lists(op, min_size=1, max_size=size_max)


@dataclass(slots=True)
class KeyReplica:
    """
    A replica's view of one key, written to as a node writes (rule R1).

    With `obeys_r1` off a write is stamped by the wall clock, made monotonic for the
    replica, whatever the stamp of what it overwrites.
    """

    replica: ReplicaId
    merge: Callable[[Entry | None, Entry], Merged]
    obeys_r1: bool = True
    entry: Entry | None = None
    seq: int = 0
    hlc: HlcTimestamp = ZERO_HLC

    def hear(self, incoming: Entry) -> None:
        """Merge what arrived."""
        self.entry = self.merge(self.entry, incoming).entry

    def write(self, op: Op) -> Entry | None:
        """Return the entry that *op* makes, or None if its type is wrong here."""
        match op.name:
            case "put":
                deadline = Millis(op.pick % 4)  # 0 is never
                return self._replace(op, Kind.REGISTER, b"%d" % op.pick, deadline)
            case "delete":
                return self._replace(op, Kind.TOMBSTONE, b"", NEVER)
            case "counter":
                return self._contribute(op, Kind.COUNTER)
            case "set":
                return self._contribute(op, Kind.SET)
            case _:
                return self._contribute(op, Kind.DOCUMENT)

    def _stamp(self, op: Op) -> tuple[HlcTimestamp, Dot]:
        # The store's other keys take seqs too.
        self.seq += 1 + op.pick % 3
        seen = self.entry.version.hlc if self.entry else ZERO_HLC
        if self.obeys_r1:
            self.hlc = tick(self.hlc, seen, now=op.now)
        else:
            self.hlc = tick(self.hlc, now=op.now)
        return self.hlc, Dot(self.replica, self.seq)

    def _replace(self, op: Op, kind: Kind, value: bytes, deadline: Millis) -> Entry:
        hlc, dot = self._stamp(op)
        known = self.entry.version.key_clock if self.entry else ()
        clock = extend(known, dot, entries_max=KEY_CLOCK_ENTRIES_MAX)
        version = Version(kind, hlc, dot, clock[:-1], deadline=deadline)
        self.entry = Entry(version, value)
        return self.entry

    def _contribute(self, op: Op, kind: Kind) -> Entry | None:
        stored = self.entry
        live = stored is not None and stored.live(op.now)
        if stored is not None and live and stored.version.kind is not kind:
            return None
        known = join_sorted(stored.version.key_clock, ()) if stored else ()
        base, state = ORIGIN, None
        if stored is not None:
            base = stored.version.base if live else stored.version.stamp
            state = stored.value if live else None
        hlc, dot = self._stamp(op)
        value = self._operate(kind, state, dot, op.pick)
        others = tuple(sorted(d for d in known if d.replica != self.replica))
        self.entry = Entry(Version(kind, hlc, dot, others, base=base), value)
        return self.entry

    @staticmethod
    def _operate(kind: Kind, state: bytes | None, dot: Dot, pick: int) -> bytes:
        if kind is Kind.COUNTER:
            counter = PnCounter.decode(state) if state else PnCounter()
            return counter.add(dot.replica, pick - 15).encode()
        if kind is Kind.SET:
            members = ObservedRemoveSet.decode(state) if state else ObservedRemoveSet()
            chosen = MEMBERS[pick % 4 : pick % 4 + 2]
            add, remove = (chosen, ()) if pick % 3 else ((), chosen)
            return members.update(dot, add=add, remove=remove).encode()
        document = Document.decode(state) if state else Document()
        return document.apply(YJS_UPDATES[pick % len(YJS_UPDATES)]).encode()


@dataclass(slots=True)
class History:
    """What came of some operations on one key at a few replicas."""

    replicas: list[KeyReplica]
    writes: list[Entry] = field(default_factory=list)  # as they were made
    seen: list[Entry] = field(default_factory=list)  # whatever a replica ever held

    @classmethod
    def run(
        cls,
        ops: list[Op],
        *,
        merge: Callable[[Entry | None, Entry], Merged],
        obeys_r1: bool = True,
    ) -> "History":
        """Perform *ops* in turn; `hear` merges another replica's entry."""
        history = cls([KeyReplica(r, merge, obeys_r1) for r in REPLICAS])
        for op in ops:
            replica = history.replicas[op.at]
            if op.name == "hear":
                sender = history.replicas[(op.at + 1 + op.pick % 2) % len(REPLICAS)]
                if sender.entry is not None:
                    replica.hear(sender.entry)
            elif (entry := replica.write(op)) is not None:
                history.writes.append(entry)
            if replica.entry is not None:
                history.seen.append(replica.entry)
        return history


def merge_entries(stored: Entry | None, incoming: Entry) -> Merged:
    """Merge as a node does."""
    return merge(stored, incoming, join)


def histories(names: tuple[str, ...] = OP_NAMES) -> st.SearchStrategy[History]:
    """Histories of one key under the store's own rules, at least one write long."""

    def run(ops: list[Op]) -> History:
        return History.run(ops, merge=merge_entries)

    return operations(names).map(run).filter(lambda history: bool(history.writes))


def content(entry: Entry | None) -> object:
    """Return what two replicas must agree upon: bytes of a document may differ."""
    if entry is None or entry.version.kind not in CRDT_KINDS:
        return entry
    version, value, metadata = entry
    return version, fingerprint(version.kind, value), metadata
