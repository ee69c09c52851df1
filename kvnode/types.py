"""
Names for the plain values that every layer passes around.

Integers with a unit or a meaning get a type of their own, so that a timestamp
cannot be handed over where a sequence number is due.
"""

from typing import NamedTuple, NewType

Millis = NewType("Millis", int)
"""A span, or a time since 1970, in whole milliseconds."""

ReplicaId = NewType("ReplicaId", int)
"""
64 random bits, made with a data directory; 0 stands for nobody.

A restored backup or a wiped directory gets a new one, always: an identity used
twice loses writes silently.
"""

HlcTimestamp = NewType("HlcTimestamp", int)
"""64 bits: 48 of ms since 1970, then 16 of counter (Kulkarni et al., 2014)."""

ZERO_HLC = HlcTimestamp(0)
"""Below every timestamp."""

Namespace = NewType("Namespace", str)
"""1 to 64 characters of `a-z A-Z 0-9 . _ -`; a leading underscore is ours."""

DEFAULT_NAMESPACE = Namespace("default")
SYSTEM_NAMESPACE = Namespace("_system")


class Dot(NamedTuple):
    """One accepted client write: the *seq*-th of *replica*, from 1, used once."""

    replica: ReplicaId
    seq: int


class LostWrites(NamedTuple):
    """
    Writes *first* to *last* of a replica that is gone: no node has them, or ever will.

    `name` is that of the node that it was, which another replica may have by now.
    """

    replica: ReplicaId
    name: str
    first: int
    last: int


class EntryKey(NamedTuple):
    """Where an entry lives: a key of 1 to 512 bytes within a namespace."""

    namespace: Namespace
    key: bytes
