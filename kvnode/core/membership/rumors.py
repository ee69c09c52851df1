"""
Rumors: updates that ride on pings and acks, each for a limited number of times.

A rumor that every member passes on lambda * log(n) times reaches all n of them
with high probability, and as it rides on messages that are sent anyway it costs no
message of its own.  When there are more than fit into one, those that were sent
least go first, so that news is not held up by what most have heard.

About each member only the newest rumor is kept, so there are at most as many as
members.

References:
    Das, Gupta & Motivala, 2002.  SWIM.  Section 4.1.
    Demers et al., 1987.  Epidemic algorithms for replicated database maintenance.
"""

from itertools import islice
from math import ceil, log2

from kvnode.core.membership.messages import Update
from kvnode.types import ReplicaId


def retransmissions(members: int, multiplier: int) -> int:
    """
    Return how often each member passes a rumor on, >= 1.

    Args:
        members: Of the whole cluster, >= 1.
        multiplier: The paper's lambda, >= 1: the odds that a member never hears
            of a rumor fall with n to the power of it.
    """
    return multiplier * ceil(log2(members + 1))


class Rumors:
    """The rumors of one node, in classes by how often each has been sent."""

    def __init__(self) -> None:
        self._classes: list[dict[ReplicaId, Update]] = [{}]
        self._sent: dict[ReplicaId, int] = {}

    def __len__(self) -> int:
        """Return about how many members there are rumors."""
        return len(self._sent)

    def add(self, update: Update) -> None:
        """Spread *update* from now on, instead of what was said of its replica."""
        self.drop(update.replica)
        self._sent[update.replica] = 0
        self._classes[0][update.replica] = update

    def drop(self, replica: ReplicaId) -> None:
        """Stop all talk about *replica*."""
        sent = self._sent.pop(replica, None)
        if sent is not None:
            del self._classes[sent][replica]

    def take(self, room: int, times: int) -> tuple[Update, ...]:
        """
        Return the updates for one message and count them as sent.

        Args:
            room: How many at most, >= 0.
            times: How often each is sent in all, >= 1.

        Cost: O(room + times), however many rumors there are.
        """
        if not self._sent:
            return ()
        taken: list[Update] = []
        for rumors in self._classes:
            taken.extend(islice(rumors.values(), room - len(taken)))
            if len(taken) == room:
                break
        for update in taken:
            self._count(update, times)
        return tuple(taken)

    def _count(self, update: Update, times: int) -> None:
        """Move *update* to the end of the next class, or drop it."""
        sent = self._sent[update.replica]
        del self._classes[sent][update.replica]
        if sent + 1 >= times:
            del self._sent[update.replica]
            return
        if sent + 1 == len(self._classes):
            self._classes.append({})
        self._sent[update.replica] = sent + 1
        self._classes[sent + 1][update.replica] = update
