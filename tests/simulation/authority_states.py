"""
The states of the authority that were reached, by number, without what is over.

What was asked is over once no answer to it can ever do anything to who asked:

1.  Who follows looks at no answer.  It asks again if it is suspected to, and an answer
    to what it had asked before counts then; so what it asked is over once nobody is
    suspected any more.  What it wants changed may be changed nevertheless.
2.  Who leads in an epoch, or is about to, looks at nothing of earlier ones.  It may
    follow later, and be suspected then; so that counts, too, once nobody is any more.
3.  A change that comes too late comes too late for ever, since nothing is held twice:
    who asked for it hears what is held instead, like one that only asks.

One state of the authority is within another if that has held the same, and all that
may still be answered or changed in the one may be so in the other, which may answer
with something older as well.  What was asked needs no answer, so whatever can come of
the one can come of the other.
"""

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.shard_replica import Following
from tests.simulation.explored_authority import Authority
from tests.simulation.explored_replicas import Mind
from tests.simulation.numbered import Numbered


class AuthorityStates:
    """States of the authority of one shard."""

    def __init__(self) -> None:
        self._states = Numbered[Authority]()
        self._held = Numbered[tuple[Configuration, ...]]()
        self._held_in: dict[int, int] = {}
        self._within: dict[tuple[int, int], bool] = {}
        self._waited_for: dict[tuple[int, int, int | None], int] = {}

    def number(self, state: Authority) -> int:
        """Return the number of a state."""
        return self._states.number(state)

    def state(self, number: int) -> Authority:
        """Return the state that has a number."""
        return self._states.value(number)

    def held(self, number: int) -> int:
        """Return a number for all that has been held in a state."""
        found = self._held_in.get(number)
        if found is None:
            held = self.state(number).held
            found = self._held_in[number] = self._held.number(held)
        return found

    def is_within(self, one: int, other: int) -> bool:
        """Tell whether whatever can come of state *one* can come of *other*."""
        if one == other:
            return True
        found = self._within.get((one, other))
        if found is None:
            within = self.state(one).is_within(self.state(other))
            found = self._within[one, other] = within
        return found

    def waited_for(self, number: int, host: int, heard_from: int | None) -> int:
        """Return a state without what is over for a host (`heard_from`)."""
        key = number, host, heard_from
        found = self._waited_for.get(key)
        if found is None:
            kept = self.state(number).worth_keeping(host, heard_from)
            found = self._waited_for[key] = self.number(kept)
        return found


def heard_from(mind: Mind, *, is_suspected: bool) -> int | None:
    """
    Return from which epoch on an answer can do anything to a replica; None = never.

    Args:
        mind: What it is.
        is_suspected: Whether anybody may be suspected still.
    """
    if is_suspected:
        return 0
    if isinstance(mind.role, Following):
        return None
    return 0 if mind.configuration is None else mind.configuration.epoch
