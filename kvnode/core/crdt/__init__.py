"""
CRDT values: counter, set and document, behind one set of functions.

`kinds` is the door for all that has a kind and bytes; the value types
themselves are `PnCounter`, `ObservedRemoveSet` and `Document`.
"""

from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.document import Document
from kvnode.core.crdt.kinds import fingerprint, join, readable
from kvnode.core.crdt.set import ObservedRemoveSet

__all__ = [
    "Document",
    "ObservedRemoveSet",
    "PnCounter",
    "fingerprint",
    "join",
    "readable",
]
