"""Entries, as few nodes make them, for the tests of this folder."""

from kvnode.core.clocks.key_clock import KeyClock
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, HlcTimestamp, ReplicaId

A, B, C = (ReplicaId(n) for n in (0xA, 0xB, 0xC))


def at(name: bytes) -> EntryKey:
    """Return a key in the default namespace."""
    return EntryKey(DEFAULT_NAMESPACE, name)


def register(dot: Dot, value: bytes = b"value", *, hlc: int = 0) -> Entry:
    """Return a register whose stamp is its seq, or *hlc*."""
    return Entry(Version(Kind.REGISTER, HlcTimestamp(hlc or dot.seq), dot), value)


def counter(*dots: Dot) -> Entry:
    """Return a counter that each replica of *dots* has raised by its seq."""
    state = PnCounter()
    for replica, seq in dots:
        state = state.add(replica, seq)
    newest = max(dots, key=lambda dot: dot.seq)
    others: KeyClock = tuple(sorted(dot for dot in dots if dot != newest))
    version = Version(Kind.COUNTER, HlcTimestamp(newest.seq), newest, others)
    return Entry(version, state.encode())
