"""Each rule, and a state that breaks it."""

from dataclasses import replace

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.quorum_log import LogEntry, QuorumLog
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import Following, Role
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.types import Millis, ReplicaId
from tests.simulation.explored_replicas import Mind, ViolationError
from tests.simulation.shard_rules import judge

A, B, C = OWNS = ReplicaId(1), ReplicaId(2), ReplicaId(3)
HELD = (Configuration(1, A, OWNS), Configuration(2, B, OWNS))
X, Y, Z = LogEntry(1, b"x"), LogEntry(1, b"y"), LogEntry(2, b"z")
NOW = Millis(0)


def mind(own: ReplicaId, *entries: LogEntry, committed: int = 0) -> Mind:
    """Return a replica that follows."""
    return Mind(own, NOW, 1, committed, entries, Following(NOW))


def leading(configuration: Configuration, *, is_open: bool = False) -> Role:
    """Return the lead of an epoch."""
    turn = ShardTurn(NOW, QuorumLog(), promised=configuration.epoch, committed=0)
    leadership = Leadership(configuration, configuration.leader, ShardSettings(), turn)
    leadership.is_open = is_open
    return leadership


def judged(
    *minds: Mind,
    told: tuple[LogEntry, ...] = (),
    held: tuple[Configuration, ...] = HELD,
    disks: tuple[Mind, ...] | None = None,
) -> None:
    """Judge a shard whose disks are as its replicas, unless others are given."""
    judge(minds, disks or minds, told, held)


def test_shard_whose_majority_has_what_was_told_is_well() -> None:
    """One replica may lack it, and another have more."""
    leader = replace(mind(B, X, Z, committed=1), promised=2, role=leading(HELD[1]))

    judged(mind(A, X, committed=1), leader, mind(C), told=(X,))


def test_committed_entry_that_is_another_than_was_told_is_noticed() -> None:
    """What was told stays for ever."""
    with pytest.raises(ViolationError, match="for committed"):
        judged(mind(A, Y, committed=1), mind(B, X), mind(C, X), told=(X,))


def test_logs_that_part_before_an_entry_in_common_are_noticed() -> None:
    """The same number and epoch stand for all before."""
    with pytest.raises(ViolationError, match="do not match at entry 2"):
        judged(mind(A, X, Z), mind(B, Y, Z), mind(C))


def test_disk_that_does_not_match_is_noticed() -> None:
    """A crash would bring its log back."""
    minds = mind(A), mind(B), mind(C, X)

    with pytest.raises(ViolationError, match="do not match"):
        judged(*minds, disks=(minds[0], mind(B, Y), minds[2]))


def test_leader_that_the_authority_has_never_held_is_noticed() -> None:
    """Who leads is decided by the authority alone."""
    leader = replace(mind(C, X), promised=2, role=leading(Configuration(2, C, OWNS)))

    with pytest.raises(ViolationError, match="never held"):
        judged(mind(A), mind(B), leader)


def test_leader_that_has_not_promised_its_epoch_is_noticed() -> None:
    """It would take in what the leader before sends."""
    leader = replace(mind(B, X), promised=1, role=leading(HELD[1]))

    with pytest.raises(ViolationError, match="promised 1"):
        judged(mind(A), leader, mind(C))


def test_two_leaders_of_one_epoch_are_noticed() -> None:
    """Both have the same name here, as where an identity was copied."""
    leader = replace(mind(B, X), promised=2, role=leading(HELD[1]))

    with pytest.raises(ViolationError, match="two lead"):
        judged(leader, leader, mind(C))


def test_open_leader_without_an_entry_of_its_own_is_noticed() -> None:
    """Raft, section 5.4.2: what came before is committed by being followed."""
    leader = replace(
        mind(B, X, Z, committed=1), promised=2, role=leading(HELD[1], is_open=True)
    )

    with pytest.raises(ViolationError, match="committed nothing in 2"):
        judged(mind(A, X), leader, mind(C, X), told=(X,))


def test_open_leader_without_what_was_told_before_is_noticed() -> None:
    """Leader completeness."""
    leader = replace(
        mind(B, Z, committed=1), promised=2, role=leading(HELD[1], is_open=True)
    )

    with pytest.raises(ViolationError, match="is open in 2 without"):
        judged(mind(A, Z, X), leader, mind(C, Z, X), told=(Z, X))


def test_majority_without_what_was_told_is_noticed() -> None:
    """Nobody has taken over yet, but who does could lose it."""
    with pytest.raises(ViolationError, match="are sealed"):
        judged(mind(A, X, committed=1), mind(B), mind(C), told=(X,))


def test_majority_whose_newest_log_lacks_what_was_told_is_noticed() -> None:
    """Raft, figure 8: the newer log wins, though it is shorter."""
    with pytest.raises(ViolationError, match="are sealed"):
        judged(mind(A, X, Y), mind(B, X, Y), mind(C, Z), told=(X, Y))


def test_former_replicas_are_the_majority_while_a_shard_moves() -> None:
    """Who takes over meanwhile asks them."""
    moving = Configuration(3, A, (A, B, ReplicaId(4)), (A, B, C))
    minds = mind(A, X), mind(B), mind(C), mind(ReplicaId(4), X)

    with pytest.raises(ViolationError, match="are sealed"):
        judged(*minds, told=(X,), held=(*HELD, moving))
    judged(*minds, told=(X,), held=(*HELD, moving, moving.arrived))
