"""Replicas of a shard with one thing wrong: the judge of `ShardWorld` notices each."""

from collections.abc import Callable

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    Committed,
    Confirmed,
    TurnResult,
)
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.messages import Request, Seal, Sealed
from kvnode.core.objects.shard_replica import ShardReplica
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.core.objects.takeover import Takeover
from kvnode.types import Millis, ReplicaId
from tests.core.objects.shard_scenarios import (
    answers_come_late,
    figure_8,
    lead_is_taken_back_unheard,
    leased_answers_come_late,
    mover_crashes,
    power_fails,
    promise_meets_the_leader_before,
)
from tests.core.objects.shard_world import World, judged

SEEDS = 60

Break = Callable[[pytest.MonkeyPatch], None]
Scenario = Callable[[int], list[str]]


def no_seal(patch: pytest.MonkeyPatch) -> None:
    """Its own promise is enough."""
    patch.setattr(
        Configuration,
        "is_sealed_by",
        lambda self, some: not set(self.electorate).isdisjoint(some),
    )


def no_adoption(patch: pytest.MonkeyPatch) -> None:
    """Its own log is as good as any."""

    def sealed(
        self: Takeover, sender: ReplicaId, answer: Sealed, _turn: object
    ) -> bool:
        self._sealed[sender] = answer.last
        return self.configuration.is_sealed_by(self._sealed)

    patch.setattr(Takeover, "sealed", sealed)


def open_at_once(patch: pytest.MonkeyPatch) -> None:
    """It serves before an entry of its own epoch is committed."""
    append = Leadership.append

    def appended(self: Leadership, data: bytes, turn: ShardTurn) -> None:
        append(self, data, turn)
        self.is_open = True

    patch.setattr(Leadership, "append", appended)


def old_epochs_count(patch: pytest.MonkeyPatch) -> None:
    """An entry of an earlier epoch is committed by being held (Raft, figure 8)."""

    def commit(self: Leadership, turn: ShardTurn) -> None:
        held = self._majority_of(
            self._followers[r].matched for r in self.configuration.replicas
        )
        if held > turn.committed:
            turn.committed = held
            self.is_open = held >= self._first
            turn.at_once.append(Committed(held))

    patch.setattr(Leadership, "_commit", commit)


def reads_are_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    """Who believes to lead answers."""

    def send(self: Leadership, turn: ShardTurn) -> None:
        tokens = tuple(token for _, token in self._asking)
        self._asking.clear()
        if tokens:
            turn.at_once.append(Confirmed(tokens))
        sends(self, turn)

    sends = Leadership.send
    patch.setattr(Leadership, "send", send)


def confirmed_by_earlier_rounds(patch: pytest.MonkeyPatch) -> None:
    """A round that was sent before the read began confirms it."""
    patch.setattr(
        Leadership,
        "confirm",
        lambda self, token: self._asking.append((self._round, token)),
    )


def lease_counts_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """It is the replicas' promise, which began when the message came to them."""
    count = Leadership._count_rounds

    def counted(self: Leadership, turn: ShardTurn) -> None:
        before = self._confirmed_at
        count(self, turn)
        if self._confirmed_at != before:
            self._confirmed_at = turn.now

    patch.setattr(Leadership, "_count_rounds", counted)


def lease_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """Replicas let themselves be sealed in spite of it."""
    seal = ShardReplica._be_sealed

    def be_sealed(
        self: ShardReplica, sender: ReplicaId, message: Seal, turn: ShardTurn
    ) -> None:
        self._leased_until = Millis(0)
        seal(self, sender, message, turn)

    patch.setattr(ShardReplica, "_be_sealed", be_sealed)


def any_release_counts(patch: pytest.MonkeyPatch) -> None:
    """A lease ends when the leader of an earlier one has given that up."""
    seal = ShardReplica._be_sealed

    def be_sealed(
        self: ShardReplica, sender: ReplicaId, message: Seal, turn: ShardTurn
    ) -> None:
        self._leased_in = 1
        seal(self, sender, message, turn)

    patch.setattr(ShardReplica, "_be_sealed", be_sealed)


def others_give_leases_up(patch: pytest.MonkeyPatch) -> None:
    """Who is sealed says that whoever led leads no more."""
    sealed = Takeover.sealed

    def heard(
        self: Takeover, sender: ReplicaId, answer: Sealed, turn: ShardTurn
    ) -> bool:
        return sealed(self, sender, answer._replace(released=self.epoch - 1), turn)

    patch.setattr(Takeover, "sealed", heard)


def answers_before_durable(patch: pytest.MonkeyPatch) -> None:
    """What is said of the disk leaves before it is there."""
    patch.setattr(ShardTurn, "answer", ShardTurn.tell)


def promises_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """They are not on the disk."""
    result = ShardTurn.result

    def without(self: ShardTurn) -> TurnResult:
        found = result(self)
        if found.persist is None:
            return found
        return found._replace(persist=found.persist._replace(promised=0))

    patch.setattr(ShardTurn, "result", without)


def old_epochs_are_taken_in(patch: pytest.MonkeyPatch) -> None:
    """A deposed leader's entries are."""
    receive = ShardReplica._receive_request

    def received(
        self: ShardReplica, sender: ReplicaId, message: Request, turn: ShardTurn
    ) -> None:
        turn.promised = 0
        receive(self, sender, message, turn)

    patch.setattr(ShardReplica, "_receive_request", received)


def moves_without_the_former(patch: pytest.MonkeyPatch) -> None:
    """The new replicas are asked what was committed."""
    patch.setattr(Configuration, "electorate", property(lambda self: self.replicas))


def serves_before_it_arrived(patch: pytest.MonkeyPatch) -> None:
    """The authority still sends who takes over to the former replicas."""
    commit = Leadership._commit

    def committed(self: Leadership, turn: ShardTurn) -> None:
        before, self.configuration = self.configuration, self.configuration.arrived
        commit(self, turn)
        self.configuration = before

    patch.setattr(Leadership, "_commit", committed)


def trouble(seed: int) -> list[str]:
    """Whatever can happen."""
    return judged(World(seed))


BROKEN: list[tuple[Break, Scenario]] = [
    (no_seal, trouble),
    (no_adoption, trouble),
    (open_at_once, trouble),
    (old_epochs_are_taken_in, trouble),
    (serves_before_it_arrived, trouble),
    (lease_is_not_kept, trouble),
    (any_release_counts, lead_is_taken_back_unheard),
    (others_give_leases_up, trouble),
    (lease_counts_from_the_answer, leased_answers_come_late),
    (reads_are_not_confirmed, answers_come_late),
    (confirmed_by_earlier_rounds, answers_come_late),
    (answers_before_durable, power_fails),
    (promises_are_forgotten, promise_meets_the_leader_before),
    (old_epochs_count, figure_8),
    (moves_without_the_former, mover_crashes),
]


def noticed(scenario: Scenario, seed: int) -> bool:
    """Tell whether a seed shows that something is wrong."""
    try:
        return bool(scenario(seed))
    except AssertionError:
        return True  # the machine itself has noticed


@pytest.mark.parametrize(
    ("broken", "scenario"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN]
)
def test_broken_replica_is_noticed(
    broken: Break, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an entry that changed or is lost, a read that missed one, or a standstill."""
    broken(monkeypatch)

    assert any(noticed(scenario, seed) for seed in range(SEEDS))
