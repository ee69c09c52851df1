"""
The CRDT types by the kind of their entries: where bytes meet types.

`join` is what `kvnode.core.versions.merge` asks for.  None of the functions knows
about versions; what is joined under one key is decided there.
"""

import json
from base64 import b64encode
from hashlib import sha256

from kvnode.core.crdt.base import StateCrdt
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.document import Document
from kvnode.core.crdt.set import ObservedRemoveSet
from kvnode.core.versions.version import CRDT_KINDS, Kind


def join(kind: Kind, a: bytes, b: bytes) -> bytes:
    """
    Return the join of two encoded states of one CRDT kind.

    Equal bytes cost a comparison, which is what a repeated delivery brings.

    Raises:
        CorruptRecordError: One of the states is damaged.
    """
    assert kind in CRDT_KINDS, "only CRDT states are joined"
    if a == b:
        return a
    if kind is Kind.COUNTER:
        return PnCounter.decode(a).merge(PnCounter.decode(b)).encode()
    if kind is Kind.SET:
        return ObservedRemoveSet.decode(a).merge(ObservedRemoveSet.decode(b)).encode()
    return Document.decode(a).merge(Document.decode(b)).encode()


def readable(kind: Kind, value: bytes) -> bytes:
    """
    Return what GetReply.value holds for an entry of *kind* with *value*.

    A counter becomes its decimal sum, a set a JSON list of base64 members in
    order of their bytes, a document the JSON of its roots; a register stays.

    Raises:
        CorruptRecordError: The state is damaged.
    """
    if kind is Kind.COUNTER:
        return str(PnCounter.decode(value).value).encode()
    if kind is Kind.SET:
        members = ObservedRemoveSet.decode(value).value
        return json.dumps([b64encode(m).decode() for m in members]).encode()
    if kind is Kind.DOCUMENT:
        return Document.decode(value).value.encode()
    return value


def fingerprint(kind: Kind, value: bytes) -> bytes:
    """
    Return 32 bytes that are equal for equal contents, and only then.

    Raises:
        CorruptRecordError: A document's state is damaged.
    """
    # All other encodings are canonical: their hash needs no decoding.
    if kind is Kind.DOCUMENT:
        return Document.decode(value).fingerprint()
    return sha256(value).digest()


STATES: dict[Kind, type[StateCrdt[object]]] = {
    Kind.COUNTER: PnCounter,
    Kind.SET: ObservedRemoveSet,
    Kind.DOCUMENT: Document,
}
"""The type of each CRDT kind's states."""
