"""
A suspicion: how long a member has to refute before it counts as dead.

SWIM gives every suspect the same span.  Lifeguard starts with a long one and
shortens it as other members, probing for themselves, come to the same suspicion.
A node that hears no confirmation may be the one that is cut off or starved, and
gives its suspect the benefit of that doubt; a member that has crashed is soon
suspected by many.

References:
    Das, Gupta & Motivala, 2002.  SWIM.  Section 4.2.
    Dadgar, Phillips & Currey, 2018.  Lifeguard: Local Health Aware Suspicion.
"""

from dataclasses import dataclass, field
from math import floor, log, log10

from kvnode.types import Millis, ReplicaId

CONFIRMATIONS_MAX = 3
"""Lifeguard's K: confirmations that make a suspicion as short as it gets."""


def suspicion_timeout(
    *, confirmations: int, confirmations_needed: int, shortest: Millis, longest: Millis
) -> Millis:
    """
    Return how long a suspected member has to refute.

    The span starts at *longest* and falls with the logarithm of independent
    confirmations, so the first few count most; it never falls below *shortest*.

    Args:
        confirmations: Distinct members other than the first accuser that share
            the suspicion, >= 0.
        confirmations_needed: Confirmations at which the span is *shortest*,
            >= 0.  Zero means nobody else can confirm (a two-node cluster).
        shortest: Lower bound, > 0 ms.
        longest: Upper bound, >= *shortest*, in ms.

    Returns:
        Whole milliseconds in [shortest, longest], rounded down.

    Raises:
        ValueError: An argument is outside its range.

    Source:
        Lifeguard (2018), the Local Health Aware Suspicion formula.
    """
    if confirmations < 0 or confirmations_needed < 0:
        msg = f"counts must be >= 0: {confirmations}, {confirmations_needed}"
        raise ValueError(msg)
    if not 0 < shortest <= longest:
        msg = f"need 0 < shortest <= longest: {shortest}, {longest}"
        raise ValueError(msg)
    if confirmations >= confirmations_needed:
        return shortest
    fall = log(confirmations + 1) / log(confirmations_needed + 1)
    return Millis(max(shortest, floor(longest - fall * (longest - shortest))))


def shortest_suspicion(
    *, members: int, multiplier: int, probe_interval: Millis
) -> Millis:
    """
    Return the shortest span in which a refutation can make its way there and back.

    Rumors take a time that grows with the logarithm of the number of members.

    Args:
        members: Of the whole cluster, this node included, >= 1.
        multiplier: Probe intervals for a cluster of up to ten, >= 1.
        probe_interval: Of a healthy node, in ms.

    Source:
        SWIM (2002), section 4.2, with the decimal logarithm of Lifeguard (2018).
    """
    return Millis(floor(multiplier * max(1.0, log10(members)) * probe_interval))


@dataclass(slots=True)
class Suspicion:
    """
    One suspicion as one node holds it.

    Attributes:
        began_at: When this node came to it; times are the node's steady time.
        first_accuser: Whose suspicion this node heard of first; may be itself.
        confirmations_needed: For the shortest span, >= 0.
        shortest: Span with all confirmations.
        longest: Span without any.
        deadline: When the suspect counts as dead; only ever gets earlier.
    """

    began_at: Millis
    first_accuser: ReplicaId
    confirmations_needed: int
    shortest: Millis
    longest: Millis
    deadline: Millis = field(init=False)
    _confirmers: set[ReplicaId] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Set the first, latest deadline."""
        self._set_deadline()

    def confirm(self, accuser: ReplicaId) -> bool:
        """
        Count *accuser*; tell whether that was news.

        It is not if it has accused before, or if nobody's word is needed any
        more: only what is news is passed on, so that a suspicion costs each
        node a bounded number of messages.
        """
        if accuser == self.first_accuser or accuser in self._confirmers:
            return False
        if len(self._confirmers) >= self.confirmations_needed:
            return False
        self._confirmers.add(accuser)
        self._set_deadline()
        return True

    def _set_deadline(self) -> None:
        span = suspicion_timeout(
            confirmations=len(self._confirmers),
            confirmations_needed=self.confirmations_needed,
            shortest=self.shortest,
            longest=self.longest,
        )
        self.deadline = Millis(self.began_at + span)
