"""
Of states that differ in what may still happen, those in which most may.

One state stands for another if it is the same, but more messages are under way, more
is to be answered by the authority, or more may happen by the bounds.  Whatever can come
of the other can come of it, too, with more of the same again: no message has to arrive,
no question has to be answered, and nothing that may happen has to.  Rules are about
what replicas hold and the authority has held, and that is the same.

How many entries and reads are left is part of what must be the same: those that come
are told apart by that.
"""

from operator import le

from tests.simulation.authority_states import AuthorityStates
from tests.simulation.shard_space import Bounds, State

_Scope = tuple[tuple[int, ...], int, Bounds]
"""What may still happen: messages, the authority's state, bounds."""


class Widest:
    """Of all states that were ever added, those that no other one stands for."""

    def __init__(self, authorities: AuthorityStates) -> None:
        self._authorities = authorities
        self._scopes: dict[tuple[object, ...], list[_Scope]] = {}

    def add(self, state: State) -> bool:
        """Add a state unless another one stands for it; tell whether it is new."""
        scope = _scope(state)
        scopes = self._scopes.setdefault(self._rest(state), [])
        for each in scopes:
            if self._is_within(scope, each):
                return False
        if scopes:
            scopes[:] = [each for each in scopes if not self._is_within(each, scope)]
        scopes.append(scope)
        return True

    def __contains__(self, state: State) -> bool:
        """Tell whether no other state stands for one that was added."""
        return _scope(state) in self._scopes[self._rest(state)]

    def _rest(self, state: State) -> tuple[object, ...]:
        minds, _, authority, told, floors, crashing, left = state
        held = self._authorities.held(authority)
        return minds, held, told, floors, crashing, left.proposals, left.reads

    def _is_within(self, one: _Scope, other: _Scope) -> bool:
        return (
            not any(map(_lacks, one[0], other[0]))
            and self._authorities.is_within(one[1], other[1])
            and (one[2] == other[2] or all(map(le, one[2], other[2])))
        )


def _scope(state: State) -> _Scope:
    return state.inbound, state.authority, state.left


def _lacks(one: int, other: int) -> int:
    return one & ~other
