"""
Who votes: a set of identities, and the view in which they do.

Views of one lineage are numbered, and a number stands for one electorate alone: the
first is pledged by all its members, each later one is chosen by the one before.  The
lineage is the smallest identity of the first electorate, which has pledged itself once,
so two foundings never share one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from kvnode.types import ReplicaId

VOTERS_MAX: Final = 5
"""Three survive one loss and five two; more cost every change more than they save."""

VOTER_NAME_BYTES_MAX: Final = 255
"""As of a host, which a node's name may be."""


class View(NamedTuple):
    """One electorate's time."""

    lineage: ReplicaId
    number: int

    def is_before(self, other: "View") -> bool:
        """Tell whether *other* is a later view of the same lineage."""
        return self.lineage == other.lineage and self.number < other.number

    @property
    def next(self) -> "View":
        """Return the view after this one."""
        return self._replace(number=self.number + 1)


class Member(NamedTuple):
    """
    A voter.

    Attributes:
        identity: Made with its disk.
        name: Of the node where it can be asked.
    """

    identity: ReplicaId
    name: str


@dataclass(frozen=True, slots=True)
class Electorate:
    """
    Those who vote in one view.

    Attributes:
        view: Theirs alone.
        members: 1 to VOTERS_MAX, by identity, ascending; each name once.
    """

    view: View
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        assert self.view.number >= 1, "views are numbered from 1"
        assert 1 <= len(self.members) <= VOTERS_MAX, "somebody votes, and not too many"
        assert self.members == tuple(sorted(self.members)), "each in order"
        assert len(self.identities) == len(self.members), "each identity once"
        assert len(set(self.names)) == len(self.members), "each name once"

    @classmethod
    def founded_by(cls, members: Collection[Member]) -> "Electorate":
        """Return the first electorate of a lineage."""
        ordered = tuple(sorted(members))
        return cls(View(ordered[0].identity, 1), ordered)

    @property
    def identities(self) -> frozenset[ReplicaId]:
        """Return who votes."""
        return frozenset(member.identity for member in self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Return where they can be asked."""
        return tuple(member.name for member in self.members)

    def has(self, voter: ReplicaId) -> bool:
        """Tell whether *voter* votes."""
        return any(member.identity == voter for member in self.members)

    def with_replaced(self, name: str, newcomer: Member) -> "Electorate":
        """Return the next electorate, in which *newcomer* votes for who was *name*."""
        kept = [member for member in self.members if member.name != name]
        assert len(kept) == len(self.members) - 1, "who is replaced has voted"
        return Electorate(self.view.next, tuple(sorted([*kept, newcomer])))
