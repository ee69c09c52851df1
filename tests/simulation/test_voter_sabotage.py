"""Voters and proposers with one thing wrong: the judges notice each."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from kvnode.authority import replacement
from kvnode.core.objects.caspaxos import Attempt, Changed, VoterState
from kvnode.core.objects.voters import duty as voter_duty
from kvnode.core.objects.voters import memory as voter_memory
from kvnode.core.objects.voters import succession as voter_succession
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.duty import Duty, Found, Standings
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import (
    Inquire,
    Standing,
    Vote,
    Voted,
    VoterAnswer,
)
from kvnode.types import ReplicaId
from tests.simulation.voter_scenarios import (
    answer_comes_late_while_founding,
    disk_is_lost_after_founding,
    newcomer_has_not_heard_of_it,
    trouble,
)
from tests.simulation.voter_walk import (
    Walk,
    minority_value_meets_a_look,
    process_starts_again,
    promise_outlives_its_view,
    walked,
)
from tests.simulation.voter_world import SlowStore, VoterWorld, judged

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SEEDS = 60
WALKS = 400

Break = Callable[[pytest.MonkeyPatch], None]


def wiped_voter_goes_on(patch: pytest.MonkeyPatch) -> None:
    """It has another disk and the same identity."""
    fresh = VoterWorld.new_disk

    def new_disk(self: VoterWorld, wiped: SlowStore | None = None) -> SlowStore:
        if wiped is None:
            return fresh(self)
        return SlowStore(wiped.memory.voter, self.random)

    patch.setattr(VoterWorld, "new_disk", new_disk)


def seal_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """A voter reports what it holds and goes on voting."""

    def sealed(
        memory: VoterMemory, request: Electorate, configured: tuple[str, ...]
    ) -> tuple[VoterMemory, VoterAnswer]:
        after, answer = seal(memory, request, configured)
        return after._replace(successor=memory.successor), answer

    seal = voter_memory._sealed
    patch.setattr(voter_memory, "_sealed", sealed)


def sealed_voter_votes(patch: pytest.MonkeyPatch) -> None:
    """In its old view."""

    def voted(
        memory: VoterMemory, request: Vote, configured: tuple[str, ...]
    ) -> tuple[VoterMemory, VoterAnswer]:
        after, answer = vote(memory._replace(successor=None), request, configured)
        return after._replace(successor=memory.successor), answer

    vote = voter_memory._voted
    patch.setattr(voter_memory, "_voted", voted)


def old_view_is_answered(patch: pytest.MonkeyPatch) -> None:
    """A voter answers in whatever view it is asked."""

    def voted(
        memory: VoterMemory, request: Vote, configured: tuple[str, ...]
    ) -> tuple[VoterMemory, VoterAnswer]:
        if memory.electorate is not None and memory.successor is None:
            own = request._replace(view=memory.electorate.view)
            after, answer = vote(memory, own, configured)
            assert isinstance(answer, Voted)
            return after, answer._replace(view=request.view)
        return vote(memory, request, configured)

    vote = voter_memory._voted
    patch.setattr(voter_memory, "_voted", voted)


def new_view_begins_with_what_is_here(patch: pytest.MonkeyPatch) -> None:
    """A voter votes in the new view before it has what a majority held."""

    def installed(
        memory: VoterMemory, electorate: Electorate, _: Mapping[str, VoterState]
    ) -> VoterMemory:
        return install(memory, electorate, memory.registers)

    install = voter_memory._installed
    patch.setattr(voter_memory, "_installed", installed)


def one_seal_is_enough(patch: pytest.MonkeyPatch) -> None:
    """What a single voter reports is taken for everything."""
    patch.setattr(
        voter_succession,
        "has_majority",
        lambda some, of: not set(some).isdisjoint(of),
    )


def promises_are_not_carried_over(patch: pytest.MonkeyPatch) -> None:
    """A register keeps the ballot of its value alone."""

    def merged(
        reports: list[Mapping[str, VoterState]],
    ) -> Mapping[str, VoterState]:
        return {
            name: VoterState(state.accepted.ballot, state.accepted)
            for name, state in merge(reports).items()
        }

    merge = voter_succession.merged
    patch.setattr(voter_succession, "merged", merged)


def promises_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """A look takes for held what a majority has accepted alike."""

    def shown(self: Attempt, voter: ReplicaId, state: VoterState) -> Attempt:
        return show(self, voter, state._replace(promised=state.accepted.ballot))

    show = Attempt._shown
    patch.setattr(Attempt, "_shown", shown)


def one_look_is_enough(patch: pytest.MonkeyPatch) -> None:
    """A look believes the first voter."""

    def shown(self: Attempt, voter: ReplicaId, state: VoterState) -> Attempt:
        after = show(self, voter, state)
        if after.outcome is None:
            held = state.accepted.value
            return replace(after, outcome=Changed(held, held))
        return after

    show = Attempt._shown
    patch.setattr(Attempt, "_shown", shown)


def fresh_is_enough_to_found(patch: pytest.MonkeyPatch) -> None:
    """Nobody pledges: who finds all fresh founds."""

    def pledge_or_found(
        _own: Standing, electorate: Electorate, _named: Standings
    ) -> Duty:
        return Found(electorate)

    def founded(self: VoterMemory, electorate: Electorate) -> VoterMemory:
        return self._replace(electorate=electorate)

    patch.setattr(voter_duty, "_pledge_or_found", pledge_or_found)
    patch.setattr(VoterMemory, "founded", founded)


def majority_founds(patch: pytest.MonkeyPatch) -> None:
    """Those who do not answer are founded without."""

    def duty_of_founder(own: Standing, heard: Standings) -> Duty:
        there = tuple(name for name in own.configured if name in heard)
        if 2 * len(there) <= len(own.configured):
            return found(own, heard)
        alike = {name: heard[name]._replace(configured=there) for name in there}
        return found(own._replace(configured=there), alike)

    found = voter_duty._duty_of_founder
    patch.setattr(voter_duty, "_duty_of_founder", duty_of_founder)


def newcomer_is_not_enlisted(patch: pytest.MonkeyPatch) -> None:
    """It is chosen and does not know of it."""
    patch.setattr(replacement, "Enlist", Inquire)
    patch.setattr(replacement, "_check_enlisted", lambda *_: None)


def ballots_are_used_again(patch: pytest.MonkeyPatch) -> None:
    """A process that starts again goes by the name that it had."""
    patch.setattr(Walk, "process", lambda _: ReplicaId(70))


def nothing_ever_happened(patch: pytest.MonkeyPatch) -> None:
    """Who has asked voters to accept says that they have not."""
    patch.setattr(Bid, "may_have_made", lambda *_: False)


def last_write_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Voters answer before their disk is done."""

    async def persist(self: SlowStore, memory: VoterMemory) -> None:
        self._memory, self.before = memory, self._memory

    async def crash(self: VoterWorld, name: str) -> None:
        await end(self, name)
        store = self.machines[name].store
        store._memory = store.before or store._memory

    end = VoterWorld.crash
    patch.setattr(SlowStore, "persist", persist)
    patch.setattr(VoterWorld, "crash", crash)


def in_trouble(seed: int) -> list[str]:
    """Look at a world in which whatever can happens."""
    return judged(trouble, seed)


def on_a_walk(seed: int) -> list[str]:
    """Look at a walk."""
    return walked(seed).violations()


Look = Callable[[int], list[str]]

BROKEN: list[tuple[Break, Look, int]] = [
    (wiped_voter_goes_on, in_trouble, SEEDS),
    (nothing_ever_happened, in_trouble, SEEDS),
    (last_write_is_lost, in_trouble, SEEDS),
    (seal_is_not_kept, on_a_walk, WALKS),
    (sealed_voter_votes, on_a_walk, WALKS),
    (old_view_is_answered, on_a_walk, WALKS),
    (new_view_begins_with_what_is_here, on_a_walk, WALKS),
    (one_seal_is_enough, on_a_walk, WALKS),
    (promises_are_not_carried_over, promise_outlives_its_view, 1),
    (ballots_are_used_again, process_starts_again, 1),
    (promises_are_not_looked_at, minority_value_meets_a_look, 1),
    (one_look_is_enough, on_a_walk, WALKS),
    (one_look_is_enough, in_trouble, SEEDS),
    (
        fresh_is_enough_to_found,
        lambda seed: judged(answer_comes_late_while_founding, seed),
        1,
    ),
    (majority_founds, lambda seed: judged(disk_is_lost_after_founding, seed), 1),
    (
        newcomer_is_not_enlisted,
        lambda seed: judged(newcomer_has_not_heard_of_it, seed),
        10,
    ),
]


def noticed(look: Look, seed: int) -> bool:
    """Tell whether a seed shows that something is wrong."""
    try:
        return bool(look(seed))
    except AssertionError:
        return True  # the machine itself has noticed


@pytest.mark.parametrize(
    ("broken", "look", "seeds"), BROKEN, ids=[broken.__name__ for broken, *_ in BROKEN]
)
def test_broken_voter_is_noticed(
    broken: Break, look: Look, seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a change that is lost, a value from nowhere, two electorates, or an assert."""
    broken(monkeypatch)

    assert any(noticed(look, seed) for seed in range(seeds))
