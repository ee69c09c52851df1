"""
State-based replicated data types.

A state is an element of a join-semilattice, and `merge` is the least upper
bound of two states:

    idempotent     a.merge(a) == a
    commutative    a.merge(b) == b.merge(a)
    associative    a.merge(b).merge(c) == a.merge(b.merge(c))

An operation returns a state that is above the one it was applied to.  So
replicas that have received the same operations hold equal states, whatever the
order, grouping and repetition of delivery: strong eventual consistency.

Here the full state of a value always travels, never a delta.  A value is
small beside what it costs to prove that no delta is missing; and types that
summarise what they have seen as one number a replica may do so.

What the laws are about is the content.  Where equal contents have equal
encodings, `fingerprint` is a hash of the encoding; only the document, whose
encoding is another project's, must do more.

References:
    Shapiro, Preguica, Baquero & Zawirski, 2011.  Conflict-free replicated data
        types.
"""

from typing import Protocol, Self, TypeVar

ValueT_co = TypeVar("ValueT_co", covariant=True)


class StateCrdt(Protocol[ValueT_co]):
    """An immutable state of a replicated data type."""

    @property
    def value(self) -> ValueT_co:
        """Return what a reader sees."""

    def merge(self, other: Self) -> Self:
        """Return the least upper bound of both states."""

    def encode(self) -> bytes:
        """Return the state as bytes; the inverse of `decode`."""

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are equal for equal contents, and only then."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """
        Return the state that *data* encodes.

        Raises:
            CorruptRecordError: No correct node wrote these bytes.
        """
