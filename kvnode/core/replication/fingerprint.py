"""
Fingerprints of entries, and how a turn changes the digest of the store.

A fingerprint is 64 bits of BLAKE2b over a key and what replicas must agree upon:

    of every entry    kind, timestamp, dot, deadline, base, metadata
    of a CRDT         also the newest dots of all its contributors, which say
                      what is in it: full states always travel
    the value         of registers, counters and sets as stored, since the
                      encodings of these are canonical.  Of a value above
                      VALUE_BYTES_MAX only its size and CRC-32: BLAKE2b would
                      hold up the event loop for 30 ms at 25 MiB.  Of a document
                      nothing: equal documents have unequal bytes, and telling
                      would cost an integration; its dots have to do.

What decides nothing is left out, so that a node may forget it by itself: a
register's key clock, which is pruned (rule R3), and dependencies, which need not
be kept once they are stable.  So nodes with equal clocks and equal floors (rule
G2) that hold nothing uncovered have equal digests, or one of them is wrong (D9).

How wide.  Among a million keys two different stores have equal digests by
accident once in 2^64 comparisons, and the fingerprints of any two of the entries
collide once in 10^7 stores.  Against somebody who can choose fingerprints a sum
of 64 bits is no defence (Wagner, 2002).  Nobody can: the stamp, which the node
gives to a write, is part of what is hashed; and a peer that lies does not need a
collision.  The digest finds accidents, not attacks.

References:
    Bellare & Micciancio, 1997.  A new paradigm for collision-free hashing.
    Wagner, 2002.  A generalized birthday problem.
"""

from hashlib import blake2b
from struct import Struct
from zlib import crc32

from kvnode.core.versions.rolling_digest import TOTAL_END, RollingDigest
from kvnode.core.versions.version import CRDT_KINDS, Entry, Kind, Version
from kvnode.types import EntryKey

VALUE_BYTES_MAX = 64 * 1024
"""Hashed in 80 us: a value of this size costs more elsewhere."""

_HEAD = Struct(">BIIIQQQQ")
_MASK = TOTAL_END - 1
_BASE = Struct(">HQQ")
_DOT = Struct(">QQ")
_U32 = Struct(">I")


def fingerprint(key: EntryKey, entry: Entry) -> int:
    """
    Return 64 bits that are equal for entries that replicas consider equal.

    Cost: about 1.7 us, and 1.2 ns for each byte of the value.
    """
    namespace, name = key
    version, value, metadata = entry
    kind, hlc, (replica, seq), _, _, deadline, _ = version
    merging = b""
    if kind in CRDT_KINDS:
        merging = _merging_part(version)
        if kind is Kind.DOCUMENT:
            value = b""
    size = len(value)
    if size > VALUE_BYTES_MAX:
        value = _U32.pack(crc32(value))
    # The sizes keep apart what is joined: no two entries give the same bytes.
    head = _HEAD.pack(
        kind,
        len(namespace),
        len(name),
        size,
        hlc,
        replica,
        seq,
        deadline & _MASK,  # one before 1970 must not stop the node that is told it
    )
    parts = (head, namespace.encode(), name, merging, metadata.encode(), value)
    return int.from_bytes(blake2b(b"".join(parts), digest_size=8).digest())


def _merging_part(version: Version) -> bytes:
    """Return what tells the state of a CRDT: its base and contributors."""
    others = sorted(version.others)
    base = _BASE.pack(len(others), *version.base)
    return b"".join((base, *(_DOT.pack(*dot) for dot in others)))


class DigestChange:
    """What one turn does to the digest: the first and the last entry of each key."""

    __slots__ = ("_after", "_before", "_breaks")

    def __init__(self) -> None:
        self._before: dict[EntryKey, Entry | None] = {}
        self._after: dict[EntryKey, Entry | None] = {}
        self._breaks = False

    def __bool__(self) -> bool:
        """Tell whether anything was replaced."""
        return bool(self._after)

    def replace(self, key: EntryKey, before: Entry | None, after: Entry | None) -> None:
        """
        Note that *after* takes the place of *before*.

        Either may be None: nothing was stored, or the entry goes altogether.
        """
        self._before.setdefault(key, before)
        self._after[key] = after

    def replace_damaged(self, key: EntryKey, after: Entry | None) -> None:
        """Note that *after* takes the place of a record that cannot be read."""
        self._breaks = True
        self.replace(key, None, after)

    def applied_to(self, digest: RollingDigest) -> RollingDigest:
        """Return what becomes of *digest*; two fingerprints a key at most."""
        difference = 0
        for key, after in self._after.items():
            before = self._before[key]
            if before is after:
                continue
            if before is not None:
                difference -= fingerprint(key, before)
            if after is not None:
                difference += fingerprint(key, after)
        changed = digest.changed(difference) if difference else digest
        return changed.broken() if self._breaks else changed
