"""
What nodes say about pushes without carrying one, and what a turn has to do.

A push is named by its origin and seqs, since an origin uses each seq once (rule
D4).  The names follow the paper: an announcement is its IHAVE, a graft asks for the
payload, a prune turns an eager link into a lazy one.

Reference:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.  Section 3.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kvnode.core.replication.messages import Push
from kvnode.types import Millis, ReplicaId

ANNOUNCED_MAX = 128
"""Ids in one announcement: about 3 KB, a small message on any link."""


NAME_BYTES = 24
"""Of one id on the wire, about."""


class PushId(NamedTuple):
    """Names the push of writes *first*..*last* of *origin*."""

    origin: ReplicaId
    first: int
    last: int


def push_id(push: Push) -> PushId:
    """Return the name of *push*."""
    return PushId(push.origin, push.first, push.last)


class Announce(NamedTuple):
    """The sender has these pushes, and can send them (IHAVE)."""

    ids: tuple[PushId, ...]

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return NAME_BYTES * (1 + len(self.ids))


def announcements(
    told: Mapping[ReplicaId, Sequence[PushId]],
) -> list[tuple[ReplicaId, Announce]]:
    """Return messages of bounded size that tell each peer its names."""
    return [
        (peer, Announce(tuple(names[start : start + ANNOUNCED_MAX])))
        for peer, names in told.items()
        for start in range(0, len(names), ANNOUNCED_MAX)
    ]


class Graft(NamedTuple):
    """
    Send me this push.

    With `keep`, also send me from now on, unasked, what comes by the tree of its
    origin: whoever should have done so has failed repeatedly.
    """

    id: PushId
    keep: bool = False


class Prune(NamedTuple):
    """Do not send me unasked what comes by the tree of *origin*: I have it before."""

    origin: ReplicaId


class Absent(NamedTuple):
    """I have had this push and keep it no longer; a delta will bring it (D1)."""

    id: PushId


Control = Announce | Graft | Prune | Absent


class Forward(NamedTuple):
    """Send *push* to *peer*, as it is."""

    peer: ReplicaId
    push: Push


class SendTo(NamedTuple):
    """Send a message without payload to *peer*; it may be lost."""

    peer: ReplicaId
    message: Control


class WakeAt(NamedTuple):
    """Call `tick` at *due*, or as soon after as can be; earlier wishes stand."""

    due: Millis


Effect = Forward | SendTo | WakeAt
