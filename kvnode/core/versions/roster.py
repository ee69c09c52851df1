"""
The roster: every replica that ever joined, and what became of it.

It decides who must have seen a deletion before it may be forgotten (rule G1), so it
is durable and changes by explicit acts alone: a replica joins by saying hello, and
ends by leaving or by being removed.  Whether it can be reached just now is another
question (rule M3, kvnode.core.membership).

Rosters are joined record by record: the later standing wins, so a removal can never
be undone by hearsay (rule M2); among equal standings the larger incarnation, which a
replica raises when its name, address or region changes.  That is a join of chains,
hence idempotent, commutative and associative.

Reference:
    Das, Gupta & Motivala, 2002.  SWIM: incarnation numbers.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.types import Dot, ReplicaId

MEMBERS_MAX = 4096
"""Records kept, those of replicas that are gone among them: 4 for each of 1,024."""

NOT_CLOSED = (1 << 63) - 1
"""Above every seq: all that is covered of the replica is somewhere, or may come."""

_ROW = Struct(">QQBQQQQ")


class Standing(IntEnum):
    """What a replica is to the cluster; only ever grows."""

    MEMBER = 0
    LEFT = 1  # it said so itself, and all it had written was elsewhere
    REMOVED = 2  # somebody declared it gone, and it is fenced for good


class Member(NamedTuple):
    """
    One replica as the roster has it.

    `name`, `address` (host:port, empty if it only dials) and `region` are labels
    of incarnation *incarnation*; the identity is `replica` alone.  Of one that is
    gone, writes after `closed_above` may be covered though they are lost
    (kvnode.core.node.closing).  Writes up to `given_up` some store has had, put
    aside and not kept (kvnode.core.replication.start_over): sessions may know them.
    Writes from `fenced_from` on nobody takes in (0: all are taken), save if it turns
    out that a member has them; those after `lost_above` nobody has or ever takes in.
    """

    replica: ReplicaId
    name: str
    address: str = ""
    region: str = ""
    incarnation: int = 0
    standing: Standing = Standing.MEMBER
    closed_above: int = NOT_CLOSED
    given_up: int = 0
    fenced_from: int = 0
    lost_above: int = NOT_CLOSED

    @property
    def ends_at(self) -> int:
        """Return the last seq that is still taken in; NOT_CLOSED = all are."""
        if self.lost_above != NOT_CLOSED:
            return self.lost_above
        return self.fenced_from - 1 if self.fenced_from else NOT_CLOSED

    def join(self, other: "Member") -> "Member":
        """Return the record that counts of two of one replica."""
        assert self.replica == other.replica, "records of one replica are joined"
        return max(self, other, key=_precedence)._replace(
            closed_above=min(self.closed_above, other.closed_above),
            given_up=max(self.given_up, other.given_up),
            fenced_from=max(self.fenced_from, other.fenced_from),
            lost_above=min(self.lost_above, other.lost_above),
        )


def _precedence(member: Member) -> tuple[int, int, str, str, str]:
    return (
        member.standing,
        member.incarnation,
        member.name,
        member.address,
        member.region,
    )


class Roster:
    """
    An immutable map from replica to its record, at most MEMBERS_MAX.

    `gone_for_good` are the records of those that have left or were removed.
    """

    __slots__ = ("_digest", "_ends", "_records", "gone_for_good")

    def __init__(self, records: Iterable[Member] = ()) -> None:
        self._records = {m.replica: m for m in sorted(records)}
        self._digest: int | None = None
        self.gone_for_good = tuple(
            m for m in self._records.values() if m.standing is not Standing.MEMBER
        )
        self._ends = {
            m.replica: m.ends_at for m in self.gone_for_good if m.ends_at != NOT_CLOSED
        }

    def get(self, replica: ReplicaId) -> Member | None:
        """Return the record of *replica*, if it ever joined."""
        return self._records.get(replica)

    def __iter__(self) -> Iterator[Member]:
        """Yield all records, ascending by replica."""
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def members(self) -> tuple[Member, ...]:
        """Return those that count: neither left nor removed."""
        return tuple(m for m in self if m.standing is Standing.MEMBER)

    def counts(self, replica: ReplicaId) -> bool:
        """Tell whether *replica* has joined and is not gone."""
        record = self._records.get(replica)
        return record is not None and record.standing is Standing.MEMBER

    def gone(self, replica: ReplicaId) -> bool:
        """Tell whether *replica* has left or was removed."""
        record = self._records.get(replica)
        return record is not None and record.standing is not Standing.MEMBER

    def fences(self, dots: Iterable[Dot]) -> bool:
        """Tell whether one of *dots* is a write that nobody takes in any more."""
        ends = self._ends
        return bool(ends) and any(
            dot.seq > ends.get(dot.replica, NOT_CLOSED) for dot in dots
        )

    def fences_part_of(self, clock: VersionVector) -> bool:
        """Tell whether *clock* covers a write that nobody takes in any more."""
        return any(clock.newest(replica) > end for replica, end in self._ends.items())

    def join(self, others: Iterable[Member]) -> "Roster":
        """
        Return the roster that knows what *others* say as well.

        Newcomers beyond MEMBERS_MAX are not taken; what is known of others is.
        """
        changed: dict[ReplicaId, Member] = {}
        for other in others:
            mine = changed.get(other.replica) or self._records.get(other.replica)
            if mine is None and len(self._records) + len(changed) >= MEMBERS_MAX:
                continue
            joined = other if mine is None else mine.join(other)
            if joined != mine:
                changed[other.replica] = joined
        if not changed:
            return self
        return Roster((self._records | changed).values())

    def digest(self) -> int:
        """Return 64 bits that are equal for equal rosters, labels left out."""
        if self._digest is None:
            total = blake2b(digest_size=8)
            for m in self:
                labelled = (m.replica, m.incarnation, m.standing)
                seqs = (m.closed_above, m.given_up, m.fenced_from, m.lost_above)
                total.update(_ROW.pack(*labelled, *seqs))
            self._digest = int.from_bytes(total.digest())
        return self._digest

    def __eq__(self, other: object) -> bool:
        """Equal rosters have equal records."""
        return isinstance(other, Roster) and self._records == other._records

    def __hash__(self) -> int:
        return self.digest()

    def __repr__(self) -> str:
        return f"Roster({list(self)})"


NOBODY = Roster()
