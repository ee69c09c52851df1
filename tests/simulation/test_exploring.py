"""
All states of a shard within small bounds; larger ones are explored by a command.

Figures of larger bounds: docs/decisions/0033-all-states-of-a-shard.md.
"""

from collections.abc import Callable, Sequence

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import Message
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.shard_replica import ShardReplica
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.core.objects.takeover import Takeover
from kvnode.types import ReplicaId
from tests.simulation import explored_mail, explored_replicas, shard_space
from tests.simulation.explored_authority import Authority
from tests.simulation.explored_mail import Letters
from tests.simulation.explored_replicas import Mind, Replicas, Turn
from tests.simulation.exploring import explore, main
from tests.simulation.shard_rules import judge
from tests.simulation.shard_space import Bounds, ShardSpace, State
from tests.simulation.test_shard_sabotage import (
    answers_before_durable,
    confirmed_by_earlier_rounds,
    no_adoption,
    no_seal,
    old_epochs_are_taken_in,
    open_at_once,
    promises_are_forgotten,
    reads_are_not_confirmed,
    serves_before_it_arrived,
)

STATES_MAX = 50_000
"""More than any of these bounds has: a test ends in seconds whatever is wrong."""

Break = Callable[[pytest.MonkeyPatch], None]
A, B, C, D = (ReplicaId(number) for number in range(1, 5))

WHOLE = {
    "an entry and a takeover": (Bounds(takeovers=1, proposals=1), {(C, 3)}),
    "a takeover and a move": (Bounds(takeovers=1, moves=1), {(A, 3), (D, 4)}),
    "a takeover and a crash": (Bounds(takeovers=1, crashes=1), {(A, 3), (B, 3)}),
    "a move and a crash": (Bounds(moves=1, crashes=1), {(A, 3)}),
    "a takeover and a read": (Bounds(takeovers=1, reads=1), {(B, 3)}),
    "two takeovers, and an authority that is silent once": (
        Bounds(takeovers=2, failures=1),
        {(A, 4), (B, 4), (C, 4)},
    ),
}
"""Bounds, and leaders of which some history within them must have told."""


@pytest.mark.parametrize(("bounds", "served"), WHOLE.values(), ids=WHOLE)
def test_no_state_within_the_bounds_breaks_a_rule(
    bounds: Bounds, served: set[tuple[ReplicaId, int]]
) -> None:
    """Every order of what can happen, and every loss and repetition of messages."""
    found = explore(bounds, states_max=STATES_MAX)

    assert not found.violation, found.history
    assert found.is_whole
    assert served <= found.served


def no_promise_of_its_own(patch: pytest.MonkeyPatch) -> None:
    """Who takes over takes in what the leader before sends until it is sealed."""

    def take_over(
        self: ShardReplica, configuration: Configuration, turn: ShardTurn
    ) -> None:
        self._heard_of(configuration.epoch, self._own)
        self._role = Takeover(configuration, self._own, self._settings, turn)

    patch.setattr(ShardReplica, "_take_over", take_over)


# Not among them, since they take 10 to 60 s: `moves_without_the_former` and
# `old_epochs_count`; found by hand, within the bounds that decision 33 names.
BROKEN: list[tuple[Break, Bounds]] = [
    (no_seal, Bounds(takeovers=1, proposals=1)),
    (no_adoption, Bounds(takeovers=1, proposals=1)),
    (no_promise_of_its_own, Bounds(takeovers=1)),
    (open_at_once, Bounds(takeovers=1)),
    (old_epochs_are_taken_in, Bounds(takeovers=1, proposals=1)),
    (serves_before_it_arrived, Bounds(moves=1)),
    (reads_are_not_confirmed, Bounds(takeovers=1, reads=1)),
    (confirmed_by_earlier_rounds, Bounds(takeovers=1, proposals=1, reads=1)),
    (answers_before_durable, Bounds(proposals=1, crashes=1)),
    (promises_are_forgotten, Bounds(takeovers=1)),
]


@pytest.mark.parametrize(
    ("broken", "bounds"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN]
)
def test_broken_replica_comes_to_a_state_that_breaks_a_rule(
    broken: Break, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exploration that finds nothing says something only if it finds these."""
    broken(monkeypatch)

    assert explore(bounds, states_max=STATES_MAX).violation


def leave_nothing_out(patch: pytest.MonkeyPatch) -> None:
    """Let all stay, come one by one, and be told apart by rounds and leases, too."""

    def kept(_self: Letters, _number: int, _disk: int | None, letters: int) -> int:
        return letters

    def waited_for(self: Authority, _host: int, _heard_from: int | None) -> Authority:
        return self

    def said(_self: Replicas, message: Message) -> Message:
        return message

    def is_echo(_turn: Turn, _number: int) -> bool:
        return False

    def is_quiet(_self: Replicas, _number: int, _turn: Turn) -> bool:
        return False

    def with_rounds(**_: bool) -> Replicas:
        return Replicas(reads=True)

    patch.setattr(Letters, "worth_keeping", kept)
    patch.setattr(Authority, "worth_keeping", waited_for)
    patch.setattr(Replicas, "_plain", said)
    patch.setattr(Replicas, "is_quiet", is_quiet)
    patch.setattr(shard_space, "Replicas", with_rounds)
    patch.setattr(explored_mail, "is_echo", is_echo)
    patch.setattr(explored_replicas, "OF_LEASES", explored_replicas.OF_TIME)


def explore_plainly(space: ShardSpace) -> int:
    """Look at every state; return how many there are."""
    seen: set[State] = {space.start}
    waiting = [space.start]
    while waiting:
        for _, after in space.following(waiting.pop()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return len(seen)


def watch(patch: pytest.MonkeyPatch) -> set[object]:
    """Return a set to which all is added that the rules see."""
    seen: set[object] = set()

    def judged(
        minds: Sequence[Mind],
        disks: Sequence[Mind],
        told: tuple[LogEntry, ...],
        held: Sequence[Configuration],
    ) -> None:
        whole = (*minds, *disks)
        seen.add((tuple(shown(each) for each in whole), told, tuple(held)))
        judge(minds, disks, told, held)

    patch.setattr(shard_space, "judge", judged)
    return seen


def shown(mind: Mind) -> tuple[object, ...]:
    """Return what the rules look at in a replica."""
    leading = mind.leadership
    return (
        mind.promised,
        mind.committed,
        mind.entries,
        mind.configuration,
        leading is not None and leading.is_open,
    )


@pytest.mark.parametrize(
    "bounds", [Bounds(takeovers=1, crashes=1), Bounds(moves=1, crashes=1)], ids=str
)
def test_states_that_are_left_out_show_nothing_else_to_the_rules(
    bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all messages and all states, replicas come to the same things together."""
    with monkeypatch.context() as patch:
        seen = watch(patch)
        found = explore(bounds)
    with monkeypatch.context() as patch:
        plainly_seen = watch(patch)
        leave_nothing_out(patch)
        states = explore_plainly(ShardSpace(bounds))

    assert states > found.states
    assert plainly_seen == seen


def test_exploration_that_is_cut_short_says_so() -> None:
    """What was not looked at may be wrong."""
    found = explore(Bounds(takeovers=2), states_max=10)

    assert not found.is_whole
    assert found.states == 10


def test_history_of_a_violation_leads_to_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command tells what has happened, one thing a line."""
    old_epochs_are_taken_in(monkeypatch)

    assert main(["--takeovers", "1", "--proposals", "1"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  replica 1 proposes") for line in lines)
    assert any("suspects" in line for line in lines)
    assert "took back" in lines[-1]


def test_entry_that_is_proposed_is_committed_by_some_history() -> None:
    """A start from which nothing goes on would break no rule either."""
    space = ShardSpace(Bounds(proposals=1))

    explore_plainly(space)

    committed = {
        entry.data
        for each in space.replicas.minds
        for entry in each.entries[: each.committed]
    }
    assert b"1" in committed
