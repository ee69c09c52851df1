"""
Documents that people edit together: maps, lists and texts, as Yjs has them.

A document is a set of operations, each with an id (client, clock), and a set of
deletions.  Both only grow, so merging is union; what a reader sees follows from
the two sets alone.  The store never edits a document.  Clients make the
operations, under client ids of their own, and send them as Yjs updates.

The state is a Yjs update (format byte, then update format version 1) with
everything known.  Updates are merged as sets first and only then integrated,
because a document that gets its updates out of order may keep some of them
parked for good.  If everything could be integrated the compacted form is kept:
it drops deleted content, joins runs, and is canonical.  Otherwise, as long as
operations are missing that others build on, the union is kept as it is, so
that nothing is lost; its bytes then depend on the road, and `fingerprint` goes
by the sets instead.

The Yjs library is imported by the first document, as most nodes never hold one and
it takes a sixth of the time in which they start.

Ids are the clients' promise: two different operations under one id, from a client
id used twice, leave a document that no two replicas need to agree upon.

References:
    Nicolaescu, Jahns, Derntl & Klamma, 2016.  Near real-time peer-to-peer
        shared editing on extensible data types: YATA, what Yjs implements.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from kvnode.core.crdt.varint import encode_varint
from kvnode.core.crdt.yjs_nesting import nesting_depth
from kvnode.core.crdt.yjs_update import (
    DEPTH_MAX,
    Ranges,
    Update,
    normalised,
    read_state_vector,
    read_update,
)
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.limits import DOCUMENT_BYTES_MAX

if TYPE_CHECKING:
    from pycrdt import Array, Doc, Map, Text

    _Yjs = Doc[Map[object] | Array[object] | Text]

FORMAT = 1

_NOTHING = b"\x00\x00"
"""The update without operations and deletions."""
_NOTHING_KNOWN = b"\x00"
"""The state vector of an empty document."""
_READER = 0
"""Client id of our documents; they make no operations, so it shows nowhere."""


class _RefusedError(Exception):
    """The Yjs library refused its input, in whichever of its ways."""


@contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise _RefusedError(str(error)) from error
    except BaseException as error:
        # A panic of the native code: no Exception, and no class to import.
        if type(error).__name__ != "PanicException":
            raise
        raise _RefusedError(str(error)) from error


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """
    A document's state; equal states hold equal operations and deletions.

    Attributes:
        update: All of it as one Yjs update.
    """

    update: bytes = _NOTHING

    @property
    def value(self) -> str:
        """
        Return the document as JSON: an object of its roots, keys sorted.

        An update names its roots but not their types, so a root is read by what
        it holds: a string if it holds characters (formats and embedded objects
        are left out), else an object if it has keys, else a list if it has
        elements, else null.  XML becomes strings, bytes lists of numbers, and
        what JSON cannot say null.

        Raises:
            CorruptRecordError: Its operations contradict each other.
        """
        try:
            with _library():
                document = _integrated(self.update)
                roots = {name: _read_root(document, name) for name in document.keys()}  # noqa: SIM118 -- a Doc is no dict
        except (_RefusedError, RecursionError) as error:
            raise _unreadable(self.update, error) from error
        return json.dumps(
            roots, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )

    def apply(self, update: bytes) -> Self:
        """
        Return the document after a client's Yjs update.

        Cost: that of integrating the whole document; reading its blocks as well
        if the update makes new shared types.

        Raises:
            InvalidArgumentError: The update is malformed, nests deeper than
                yjs_update.DEPTH_MAX, contradicts the document, or takes it past
                limits.DOCUMENT_BYTES_MAX.
        """
        _check_size(len(update))
        try:
            read = read_update(update)
            with _library():
                merged = _union(self.update, update)
                compact = _compacted(merged)
        except (_RefusedError, ValueError) as error:
            msg = (
                f"the update of {len(update)} bytes is not a valid Yjs update: {error}"
            )
            raise InvalidArgumentError(msg) from error
        if any(block.makes_type for block in read.blocks):
            _check_depth(compact)
        _check_size(len(compact))
        return type(self)(compact)

    def diff(self, state_vector: bytes) -> bytes:
        """
        Return as a Yjs update what *state_vector* lacks; empty means nothing known.

        Raises:
            InvalidArgumentError: The state vector is malformed.
        """
        try:
            read_state_vector(state_vector or _NOTHING_KNOWN)
            with _library():
                return _beyond(state_vector or _NOTHING_KNOWN, self.update)
        except (_RefusedError, ValueError) as error:
            msg = (
                f"the state vector of {len(state_vector)} bytes is not a valid Yjs"
                f" state vector: {error}"
            )
            raise InvalidArgumentError(msg) from error

    def merge(self, other: Self) -> Self:
        """
        Return the union.

        Raises:
            CorruptRecordError: One of the states does not parse.
        """
        if self.update == other.update:
            return self
        try:
            with _library():
                merged = _union(self.update, other.update)
        except _RefusedError as error:
            msg = (
                f"document states of {len(self.update)} and {len(other.update)} bytes"
                f" cannot be merged: {error}"
            )
            raise CorruptRecordError(msg) from error
        try:
            with _library():
                return type(self)(_compacted(merged))
        except _RefusedError:
            # Each half was fine where it was accepted.  Merging must not stop at
            # what some client did wrong; readers are told.
            return type(self)(merged)

    def encode(self) -> bytes:
        """Return the state as bytes; canonical unless operations are missing."""
        return bytes((FORMAT,)) + self.update

    def fingerprint(self) -> bytes:
        """
        Return 32 bytes, equal for equal operations and deletions.

        Raises:
            CorruptRecordError: The state does not parse.
        """
        implied: Ranges | None = None
        try:
            with _library():
                document = _integrated(self.update)
                if _missing(self.update, document) is None:
                    return sha256(document.get_update()).digest()
                # What integration deletes by consequence may be spelled out or not.
                implied = read_update(document.get_update(document.get_state())).deleted
        except _RefusedError:
            pass  # contradictions: nobody can say what they delete by consequence
        try:
            known = read_update(self.update)
        except ValueError as error:
            raise _unreadable(self.update, error) from error
        sets = [_encode_ranges(known.operations)]
        if implied is not None:
            deleted = {client: [*ranges] for client, ranges in known.deleted.items()}
            for client, ranges in implied.items():
                deleted.setdefault(client, []).extend(ranges)
            sets.append(_encode_ranges(normalised(deleted)))
        return sha256(b"".join((b"incomplete", *sets))).digest()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """
        Return the state that *data* encodes; the update itself is not examined.

        Raises:
            CorruptRecordError: The format is unknown.
        """
        if len(data) < 1 + len(_NOTHING) or data[0] != FORMAT:
            msg = (
                f"document state of {len(data)} bytes has not format {FORMAT}, the one"
                " that this version reads"
            )
            raise CorruptRecordError(msg)
        return cls(data[1:])

    def __eq__(self, other: object) -> bool:
        """Equal states hold equal operations and deletions."""
        if not isinstance(other, Document):
            return NotImplemented
        return self.update == other.update or self.fingerprint() == other.fingerprint()

    def __hash__(self) -> int:
        return hash(self.fingerprint())


def _integrated(update: bytes) -> "_Yjs":
    from pycrdt import Doc

    document: _Yjs = Doc(client_id=_READER)
    document.apply_update(update)
    return document


def _union(a: bytes, b: bytes) -> bytes:
    from pycrdt import merge_updates

    # Of two contents under one id, a client's fault, the library takes the first.
    return merge_updates(min(a, b), max(a, b))


def _beyond(state_vector: bytes, update: bytes) -> bytes:
    from pycrdt import get_update

    return get_update(update, state_vector)


def _compacted(update: bytes) -> bytes:
    document = _integrated(update)
    if _missing(update, document) is not None:
        return update
    return document.get_update()


def _missing(update: bytes, document: "_Yjs") -> Update | None:
    """Return what of *update* the document could not integrate, if anything."""
    vector = document.get_state()
    rest = read_update(_beyond(vector, update))
    known = read_state_vector(vector)
    waiting = any(
        ranges[-1][1] > known.get(client, 0) for client, ranges in rest.deleted.items()
    )
    return rest if rest.blocks or waiting else None


def _read_root(document: "_Yjs", name: str) -> object:
    from pycrdt import Array, Map, Text

    # A root takes the type that it is asked for; none of this is kept.
    text = document.get(name, type=Text)
    keyed = document.get(name, type=Map[object])
    listed = document.get(name, type=Array[object])
    with document.transaction() as transaction:
        native = transaction._txn
        return (
            str(text)
            or json.loads(keyed.integrated.to_json(native))
            or json.loads(listed.integrated.to_json(native))
            or None
        )


def _check_size(size_bytes: int) -> None:
    if size_bytes > DOCUMENT_BYTES_MAX:
        msg = (
            f"the document would take {size_bytes} bytes, the limit is"
            f" {DOCUMENT_BYTES_MAX} (DOCUMENT_BYTES_MAX); split it over several keys"
        )
        raise InvalidArgumentError(msg)


def _check_depth(update: bytes) -> None:
    # Not the update's own depth: it hangs what it brings under what is there.
    if nesting_depth(read_update(update).blocks, depth_max=DEPTH_MAX) > DEPTH_MAX:
        msg = (
            f"shared types would nest deeper than {DEPTH_MAX} (DEPTH_MAX); use plain"
            " values within them, or several keys"
        )
        raise InvalidArgumentError(msg)


def _unreadable(update: bytes, error: Exception) -> CorruptRecordError:
    return CorruptRecordError(
        f"document state of {len(update)} bytes cannot be integrated: {error};"
        " delete the key, or put a new value"
    )


def _encode_ranges(ranges: Ranges) -> bytes:
    out = bytearray(encode_varint(len(ranges)))
    for client, found in ranges.items():
        out += encode_varint(client) + encode_varint(len(found))
        for first, end in found:
            out += encode_varint(first) + encode_varint(end)
    return bytes(out)
