"""
Entry keys as LMDB keys, in the same order.

LMDB's keys end at 511 bytes; a user's key may have 512, and a namespace comes
before it.  So namespaces are numbered by a table, from 1, and a row of the
*short* database is found under

    number     u16, big-endian
    key        at most 509 bytes

The few longer keys are split.  Their first 500 bytes, the *head*, get an id of
their own in the database of heads, and the row goes to the *long* database:

    heads:     number u16, head 500 bytes  ->  id u32
    long:      id u32, tail 10 to 12 bytes ->  row

All heads have one length, so going through the heads in order, and for each
through its tails in order, meets the long keys in byte order.  A scan merges
that sequence with the short rows by their full keys; where there are no heads,
which is nearly always, it is spared.
"""

from struct import Struct

from kvnode.errors import StoreFullError
from kvnode.types import Namespace

LMDB_KEY_BYTES_MAX = 511
"""Compiled into LMDB."""

NUMBER_BYTES = 2
SHORT_KEY_BYTES_MAX = LMDB_KEY_BYTES_MAX - NUMBER_BYTES
HEAD_BYTES = 500
NAMESPACES_MAX = 65_535

_U16 = Struct(">H")
_U32 = Struct(">I")


class NamespaceTable:
    """
    Numbers for namespaces, from 1 in order of first use.

    The owner makes new numbers durable in the same transaction as the first row
    that uses them; `names` lists them by number.
    """

    def __init__(self, names: tuple[Namespace, ...] = ()) -> None:
        self.names = list(names)
        self._prefixes = {name: _U16.pack(n) for n, name in enumerate(names, 1)}

    def find(self, namespace: Namespace) -> bytes | None:
        """Return the two bytes that the namespace's keys begin with, if any."""
        return self._prefixes.get(namespace)

    def intern(self, namespace: Namespace) -> bytes:
        """
        Return the namespace's two bytes, numbering it if it is new.

        Raises:
            StoreFullError: There are `NAMESPACES_MAX` namespaces already.
        """
        prefix = self._prefixes.get(namespace)
        if prefix is None:
            if len(self.names) == NAMESPACES_MAX:
                msg = (
                    f"namespace {namespace!r} finds no room: this store holds"
                    f" {NAMESPACES_MAX} namespaces, which is its limit"
                )
                raise StoreFullError(msg)
            self.names.append(namespace)
            prefix = self._prefixes[namespace] = _U16.pack(len(self.names))
        return prefix

    def name(self, prefix: bytes) -> Namespace:
        """Return the namespace of two bytes; IndexError if there is none."""
        number = int.from_bytes(prefix)
        if number == 0:
            msg = "namespace number 0 is nobody's"
            raise IndexError(msg)
        return self.names[number - 1]


def is_long(key: bytes) -> bool:
    """Tell whether a user's key is too long for one LMDB key."""
    return len(key) > SHORT_KEY_BYTES_MAX


def split(prefix: bytes, key: bytes) -> tuple[bytes, bytes]:
    """Return (key in the database of heads, tail) of a long key."""
    assert is_long(key), "short keys are not split"
    return prefix + key[:HEAD_BYTES], key[HEAD_BYTES:]


def encode_head_id(number: int) -> bytes:
    """Return the id of the *number*-th head, counted from 0."""
    return _U32.pack(number)
