"""Nodes that forget what they must not, or forget that they have (section 5)."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node import bootstrap
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.incoming import Incoming
from kvnode.core.node.members import Members
from kvnode.core.node.replicator import Replicator
from kvnode.core.node.turn import Turn
from kvnode.core.replication import delta
from kvnode.core.replication.messages import DeltaRequest
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import DurableState
from kvnode.runtime.driver import Driver
from kvnode.types import ReplicaId


class _Reachable:
    """A roster in which only some members count."""

    def __init__(self, roster: Roster, counted: Collection[ReplicaId]) -> None:
        self._roster = roster
        self._counted = counted

    def members(self) -> tuple[Member, ...]:
        return tuple(m for m in self._roster.members() if m.replica in self._counted)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever a roster has
        return getattr(self._roster, name)


def floor_without_the_unreachable(patch: pytest.MonkeyPatch) -> None:
    """G1: who cannot be reached is not waited for."""
    propose = Forgetting.propose

    def hasty(
        self: Forgetting,
        turn: Turn,
        own: ReplicaId,
        held: VersionVector,
        connected: Collection[ReplicaId],
    ) -> None:
        roster = turn.roster
        turn.roster = _Reachable(roster, {own, *connected})  # type: ignore[assignment]  # as far as it is asked
        propose(self, turn, own, held, connected)
        turn.roster = roster

    patch.setattr(Forgetting, "propose", hasty)


def _floor_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Deltas are asked for and taken whatever is forgotten here."""

    @contextmanager
    def groundless(turn: Turn) -> Iterator[None]:
        floor, turn.floor = turn.floor, GROUND
        yield
        turn.floor = turn.floor.join(floor)

    for name in ("ask_for_delta", "page"):
        method = getattr(Incoming, name)

        def careless(
            self: Incoming,
            *arguments: Any,  # noqa: ANN401 -- a peer, perhaps a page, and a turn
            method: Callable[..., object] = method,
        ) -> object:
            with groundless(arguments[-1]):
                return method(self, *arguments)

        patch.setattr(Incoming, name, careless)


def old_backup_merged_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """G2b: a store from before the floor goes on, and is asked for what it has."""
    _floor_not_looked_at(patch)

    def never(self: Members, *_: object) -> None:
        del self

    refusal = delta._refusal

    def careless(state: DurableState, request: DeltaRequest) -> str:
        reason = refusal(state, request)
        return "" if reason == delta._BEFORE_FLOOR else reason

    patch.setattr(Members, "start_over", never)
    patch.setattr(delta, "_refusal", careless)


def fence_ignored(patch: pytest.MonkeyPatch) -> None:
    """G3: who was removed comes back as if nothing had been."""

    def gone(self: Roster, replica: ReplicaId) -> bool:
        del self, replica
        return False

    patch.setattr(Roster, "gone", gone)


def serves_while_being_filled(patch: pytest.MonkeyPatch) -> None:
    """D10: clients are answered from half of a snapshot."""
    not_serving = Driver._not_serving

    def hasty(self: Driver) -> str:
        reason = not_serving(self)
        return "" if "being filled" in reason else reason

    patch.setattr(Driver, "_not_serving", hasty)


def last_snapshot_claimed_for_all(patch: pytest.MonkeyPatch) -> None:
    """D10: a bootstrap that went on elsewhere claims what its last sender covers."""
    take_page = bootstrap.take_page

    def careless(catch_up: Any, turn: Turn) -> None:  # noqa: ANN401 -- a CatchUp
        take_page(catch_up, turn)
        assert turn.filling is not None
        turn.filling = turn.filling._replace(covers=catch_up.snapshot_clock)

    patch.setattr("kvnode.core.node.incoming.take_page", careless)


def unfilled_taken_for_empty(patch: pytest.MonkeyPatch) -> None:
    """D10: a newcomer takes a peer that is being filled for one of a new cluster."""

    def deaf(self: Replicator, replica: ReplicaId, turn: Turn) -> None:
        del self, replica, turn

    patch.setattr(Replicator, "_heard_of_filling", deaf)


def empty_store_starts_over(patch: pytest.MonkeyPatch) -> None:
    """D10: it does so for a floor, though there is nothing that must be judged."""
    unfilled_taken_for_empty(patch)
    heard_floor = Members.heard_floor

    def hasty(self: Members, replica: ReplicaId, floor: Floor, turn: Turn) -> None:
        links = self._links
        self._links = links._replace(fill=lambda _: False)
        heard_floor(self, replica, floor, turn)
        self._links = links

    patch.setattr(Members, "heard_floor", hasty)
