"""A shard keeps what it acknowledged, and its reads see it, whatever happens."""

from collections.abc import Callable

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Distrusted,
    Propose,
    Received,
    Reconfigure,
    Send,
    Suspected,
    Swap,
    TakeLead,
    Tick,
)
from kvnode.core.objects.messages import (
    Append,
    Appended,
    Leased,
    Pulled,
    Refused,
    Seal,
    Sealed,
)
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import ShardReplica
from kvnode.types import Millis, ReplicaId
from tests.core.objects.shard_scenarios import (
    answers_come_late,
    figure_8,
    lead_is_taken_back_unheard,
    leased_answers_come_late,
    led,
    mover_crashes,
    power_fails,
    promise_meets_the_leader_before,
)
from tests.core.objects.shard_world import World, ended, judged

A, B, C = map(ReplicaId, (1, 2, 3))
SETTINGS = ShardSettings()
HELD = Configuration(1, A, (A, B, C))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("replicas", [3, 5])
def test_shard_survives_trouble(seed: int, replicas: int) -> None:
    """Nothing acknowledged is lost, no read is stale, and it goes on in the end."""
    assert judged(World(seed, replicas=replicas)) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "scenario",
    [
        answers_come_late,
        leased_answers_come_late,
        lead_is_taken_back_unheard,
        power_fails,
        promise_meets_the_leader_before,
        figure_8,
        mover_crashes,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_shard_survives_what_chance_hardly_finds(
    scenario: Callable[[int], list[str]], seed: int
) -> None:
    """Each is where a broken variant fails (tests/simulation)."""
    assert scenario(seed) == []


@pytest.mark.parametrize("replicas", [1, 2, 3, 5, 7])
def test_shard_of_any_size_is_led_and_answers(replicas: int) -> None:
    """One replica alone is its own majority; of two, both are needed."""
    world = World(1, replicas=replicas)
    led(world)
    world.read()
    world.run(200)

    assert world.reads == 1
    assert ended(world) == []


def test_shard_moves_to_other_machines_and_goes_on() -> None:
    """The leader stays, the others are new, and have everything."""
    world = World(2)
    leader, others = led(world)
    fresh = [world.add_host(), world.add_host()]
    for own in fresh:
        world.start(own)

    world.step(leader, Reconfigure((leader, *fresh)))
    world.run(3000)
    for own in others:
        world.crash(own)

    assert world.held.replicas == (leader, *fresh)
    assert not world.held.former
    assert ended(world) == []


def test_leader_that_is_alone_gives_up_by_itself() -> None:
    """It fails what waits, instead of keeping callers waiting for ever."""
    world = World(3, settings=ShardSettings(lease=Millis(0)))
    leader, others = led(world)
    world.cut = {(own, leader) for own in others}
    world.run(SETTINGS.patience + 500)

    assert leader not in [host.own for host in world.leaders]


def replica(own: ReplicaId = B, *, promised: int = 0, now: int = 0) -> ShardReplica:
    """Return a replica that is never more patient than it must be."""
    return ShardReplica(
        own, SETTINGS, uniform=lambda low, _: low, now=Millis(now), promised=promised
    )


def heartbeat(epoch: int, *entries: LogEntry) -> Append:
    """Return what a leader sends to begin with."""
    return Append(epoch, 1, ORIGIN, entries, 0, SETTINGS.lease)


def test_replica_refuses_what_is_of_an_earlier_epoch() -> None:
    """And says which it has promised, so that the other gives up."""
    one = replica(promised=5)

    for message in (heartbeat(4), Seal(4)):
        result = one.step([Received(A, message)], Millis(9000))
        assert result.effects == (Send(A, Refused(4, 5)),)
        assert result.persist is None


def test_replica_that_heard_a_leader_is_not_sealed_until_its_lease_ends() -> None:
    """Seals of others wait; so a leader may answer without asking."""
    one = replica()
    one.step([Received(A, heartbeat(1))], Millis(5000))

    early = one.step([Received(C, Seal(2))], Millis(5100))
    late = one.step([Received(C, Seal(2))], Millis(5600))

    assert early.effects == (Send(C, Leased(2, Millis(500))),)
    assert late.effects == (Send(C, Sealed(2, ORIGIN)),)
    assert late.persist is not None
    assert late.persist.promised == 2


def test_replica_that_has_just_started_may_have_promised_a_lease() -> None:
    """It has forgotten to whom, so it waits as long as any lease lasts."""
    one = replica(promised=1, now=1000)

    early = one.step([Received(C, Seal(2))], Millis(1599))

    assert early.effects == (Send(C, Leased(2, Millis(1))),)


def test_replica_that_asks_for_no_lease_may_have_promised_one_all_the_same() -> None:
    """The leader before it started may have had another setting."""
    settings = ShardSettings(lease=Millis(0))
    one = ShardReplica(B, settings, uniform=lambda low, _: low, now=Millis(1000))

    early = one.step([Received(C, Seal(2))], Millis(1599))

    assert early.effects == (Send(C, Leased(2, Millis(1))),)


def test_entries_of_an_earlier_leader_come_too_late_for_who_takes_over() -> None:
    """What it has adopted meanwhile may be committed, and they would replace it."""
    one = replica(promised=3, now=1000)  # under a lease, for all that it knows
    one.step([Suspected()], Millis(1100))
    one.step([AuthoritySaid(Configuration(4, C, HELD.replicas))], Millis(1110))
    one.step([Suspected()], Millis(1120))
    claim = Configuration(4, C, HELD.replicas)
    one.step([AuthoritySaid(claim)], Millis(1130))
    one.step([AuthoritySaid(claim.taken_over_by(B))], Millis(1140))
    committed = LogEntry(4, b"committed in epoch 4, in which B was not sealed")
    last = Position(4, 1)
    sealed = [Received(own, Sealed(5, last)) for own in (A, C)]
    one.step(sealed, Millis(1150))
    one.step([Received(C, Pulled(5, ORIGIN, (committed,), last))], Millis(1160))
    assert one.log.has(last)

    late = one.step([Received(A, heartbeat(3, LogEntry(3, b"late")))], Millis(1170))

    assert Send(A, Refused(3, 5)) in late.effects
    assert one.log.has(last)


def test_replica_that_is_told_to_take_over_does_so_though_the_leader_lives() -> None:
    """The authority may be further away than it is from heartbeat to heartbeat."""
    one = replica()
    alive = Received(A, heartbeat(1))
    one.step([alive], Millis(5000))

    one.step([TakeLead()], Millis(5010))
    one.step([alive], Millis(5100))
    claim = one.step([AuthoritySaid(HELD)], Millis(5190))
    one.step([alive], Millis(5200))
    taken = one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(5390))

    assert Swap(HELD, HELD.taken_over_by(B)) in claim.at_once
    assert taken.persist is not None
    assert taken.persist.promised == 2


def test_replica_that_has_lost_patience_finds_it_again_when_the_leader_speaks() -> None:
    """Nobody told it to take over: it was only slow to hear."""
    one = replica()
    one.step([Tick()], Millis(9000))

    one.step([Received(A, heartbeat(1))], Millis(9100))
    late = one.step([AuthoritySaid(HELD)], Millis(9190))

    assert late.at_once == ()


def test_own_seal_waits_for_the_lease_that_was_given_to_another() -> None:
    """Its promise does not count among those sealed before."""
    one = replica()
    one.step([Received(A, heartbeat(1))], Millis(5000))
    one.step([Suspected()], Millis(5010))
    one.step([AuthoritySaid(HELD)], Millis(5020))
    one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(5030))

    early = one.step([Received(B, Seal(2))], Millis(5100))
    late = one.step([Received(B, Seal(2))], Millis(5600))

    assert Send(B, Leased(2, Millis(500))) in early.effects
    assert Send(B, Sealed(2, ORIGIN)) in late.effects


def test_lease_that_its_leader_has_given_up_need_not_be_waited_for() -> None:
    """Who led the epoch of the lease has said that it leads no more."""
    one = replica()
    one.step([Received(A, heartbeat(3))], Millis(5000))

    earlier = one.step([Received(C, Seal(4, 2))], Millis(5010))
    released = one.step([Received(C, Seal(4, 3))], Millis(5020))

    assert earlier.effects == (Send(C, Leased(4, Millis(590))),)
    assert released.effects == (Send(C, Sealed(4, ORIGIN)),)


def test_replica_that_has_just_started_knows_up_to_which_epoch_it_is_leased() -> None:
    """To nobody of a later one than it had promised."""
    one = replica(promised=3, now=1000)

    earlier = one.step([Received(C, Seal(4, 2))], Millis(1010))
    released = one.step([Received(C, Seal(4, 3))], Millis(1020))

    assert earlier.effects == (Send(C, Leased(4, Millis(590))),)
    assert released.effects == (Send(C, Sealed(4, ORIGIN)),)


def test_leader_that_is_sealed_says_that_it_leads_no_more() -> None:
    """Again if it is asked again: the answer may have been lost."""
    world = World(4)
    leader, (other, _) = led(world)
    leading = world.hosts[leader].replica
    assert leading is not None
    assert leading.leadership is not None
    epoch, last = leading.leadership.epoch, leading.log.last

    turns = [
        leading.step([Received(other, Seal(epoch + 1))], world.steady(leader))
        for _ in range(2)
    ]

    sealed = Send(other, Sealed(epoch + 1, last, epoch))
    assert [turn.effects for turn in turns] == [(sealed,), (sealed,)]


def test_lead_is_taken_from_a_leader_that_is_there_before_its_lease_ends() -> None:
    """In the time of some messages and syncs; from one that is gone it takes longer."""
    for seed in range(20):
        world = World(seed, settings=ShardSettings(lease=Millis(600)))
        world.disk_takes = (5,)
        _, (heir, _) = led(world)
        began = world.now
        world.step(heir, TakeLead())
        while [host.own for host in world.leaders] != [heir]:
            world.run(1)
            assert world.now - began < 600, "the lease was waited for"


def test_replica_that_is_told_to_lead_is_not_held_up_by_the_leader() -> None:
    """One that only suspects it follows again when it hears it."""
    for event, is_held_up in ((Suspected(), True), (TakeLead(), False)):
        one = replica()
        one.step([Received(A, heartbeat(1))], Millis(5000))
        one.step([event], Millis(5010))
        one.step([Received(A, heartbeat(1))], Millis(5015))
        claimed = one.step([AuthoritySaid(HELD)], Millis(5020)).at_once
        one.step([Received(A, heartbeat(1))], Millis(5025))
        held = one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(5030)).at_once

        assert (Swap(HELD, HELD.taken_over_by(B)) in claimed) is not is_held_up
        assert (Send(A, Seal(2)) in held) is not is_held_up


def test_order_that_comes_again_does_not_begin_anew() -> None:
    """An authority that is slow would never be waited for."""
    one = replica()
    one.step([Received(A, heartbeat(1))], Millis(5000))
    asked = [one.step([TakeLead()], Millis(5010 + n)).at_once for n in range(3)]
    claimed = one.step([AuthoritySaid(HELD)], Millis(5020)).at_once
    again = one.step([TakeLead()], Millis(5030)).at_once
    one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(5040))

    assert asked == [(AskAuthority(),), (), ()]
    assert claimed == (Swap(HELD, HELD.taken_over_by(B)),)
    assert again == ()
    assert one.leading == (2, B)


def test_leader_of_before_does_not_calm_who_knows_of_a_later_one() -> None:
    """The authority may have named it, and its answer may have been lost."""
    one = replica()
    one.step([Received(A, heartbeat(1))], Millis(5000))
    one.step([TakeLead()], Millis(5010))
    one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(5020))
    one.step([AuthorityFailed()], Millis(5030))
    for now in range(5100, 6030, 100):
        heard = one.step([Received(A, heartbeat(1)), Tick()], Millis(now)).at_once
        assert heard == ()

    late = one.step([Received(A, heartbeat(1)), Tick()], Millis(6100)).at_once

    assert late == (AskAuthority(),)


def test_authority_that_answers_after_a_later_promise_makes_no_leader() -> None:
    """Somebody else has taken over since it was asked."""
    one = replica()
    one.step([Tick()], Millis(1000))
    one.step([AuthoritySaid(HELD)], Millis(1010))
    one.step([Tick()], Millis(2010))
    one.step([AuthoritySaid(HELD)], Millis(2020))
    one.step([Received(C, Seal(3))], Millis(2030))

    late = one.step([AuthoritySaid(HELD.taken_over_by(B))], Millis(2040))

    assert late.at_once == ()
    assert one.promised == 3


def test_replica_asks_the_authority_when_it_hears_nobody() -> None:
    """And claims the next epoch only of what the authority says."""
    one = replica()
    assert one.step([Tick()], Millis(999)).at_once == ()

    asked = one.step([Tick()], Millis(1000)).at_once
    first = one.step([AuthoritySaid(HELD)], Millis(1010)).at_once
    one.step([Tick()], Millis(2010))
    claimed = one.step([AuthoritySaid(HELD)], Millis(2020)).at_once

    assert asked == (AskAuthority(),)
    assert first == ()  # the first it hears of that epoch: its leader may have begun
    assert claimed == (Swap(HELD, Configuration(2, B, (A, B, C))),)


def test_answer_that_is_older_than_a_claim_does_not_take_it_back() -> None:
    """Else two answers, each late by one claim, would raise the epoch for ever."""
    held = Configuration(5, A, (A, B, C))
    one = replica(promised=5)
    one.step([Suspected()], Millis(1000))
    claimed = one.step([AuthoritySaid(held)], Millis(1010)).at_once

    older = one.step([AuthoritySaid(Configuration(4, C, (A, B, C)))], Millis(1020))
    again = one.step([AuthoritySaid(held)], Millis(1030)).at_once
    taken = one.step([AuthoritySaid(held.taken_over_by(B))], Millis(1040))

    assert older.at_once == ()
    assert claimed == again == (Swap(held, held.taken_over_by(B)),)
    assert taken.persist is not None
    assert taken.persist.promised == 6


def test_authority_that_does_not_answer_is_asked_again() -> None:
    """A shard goes on as soon as the authority does."""
    one = replica(promised=1)
    one.step([Tick()], Millis(1000))
    one.step([AuthorityFailed()], Millis(1500))

    assert one.step([Tick()], Millis(2499)).at_once == ()
    assert one.step([Tick()], Millis(2500)).at_once == (AskAuthority(),)


def test_replica_that_is_none_of_the_shard_claims_nothing() -> None:
    """The shard has moved away, or its disk is not the one that was named."""
    one = replica(ReplicaId(9), promised=1)
    one.step([Tick()], Millis(1000))

    assert one.step([AuthoritySaid(HELD)], Millis(1010)).at_once == ()


def test_entries_are_durable_before_they_are_acknowledged() -> None:
    """The answer is among the effects of a turn that has something to make durable."""
    one = replica()

    result = one.step([Received(A, heartbeat(1, LogEntry(1, b"x")))], Millis(10))

    assert result.at_once == ()
    assert result.persist is not None
    assert result.persist.first == 1
    assert result.persist.entries == (LogEntry(1, b"x"),)
    assert one.log.last == Position(1, 1)


@pytest.mark.parametrize("sent_at", [0, SETTINGS.heartbeat // 3])
def test_shards_beat_at_the_same_time_whenever_they_have_sent_last(
    sent_at: int,
) -> None:
    """So the heartbeats of all that a node leads go together, and the answers, too."""
    world = World(4)
    leader, followers = led(world)
    leading = world.hosts[leader].replica
    assert leading is not None
    beat = SETTINGS.heartbeat
    start = (world.now // beat + 2) * beat
    leading.step([Tick()], Millis(start))
    leading.step([Propose(1, b"x")], Millis(start + sent_at))

    assert leading.step([Tick()], Millis(start + beat - 1)).at_once == ()
    turn = leading.step([Tick()], Millis(start + beat))
    sent = [each for each in (*turn.at_once, *turn.effects) if isinstance(each, Send)]
    assert {each.receiver for each in sent} == set(followers)


def _turns_of_proposal(world: World, leader: ReplicaId) -> tuple[set[ReplicaId], ...]:
    """Return whom a leader sends an entry at once, and whom with its own disk."""
    leading = world.hosts[leader].replica
    assert leading is not None
    turn = leading.step([Propose(1, b"x")], Millis(world.now))
    assert turn.persist is not None, "it has something to write"
    return tuple(
        {
            each.receiver
            for each in effects
            if isinstance(each, Send) and isinstance(each.message, Append)
        }
        for effects in (turn.at_once, turn.effects)
    )


@pytest.mark.parametrize("replicas", [3, 5])
def test_entry_goes_first_to_as_many_as_make_a_majority(replicas: int) -> None:
    """The others get it when the leader's own disk has it."""
    world = World(4, replicas=replicas)
    leader, followers = led(world)
    at_once, later = _turns_of_proposal(world, leader)
    assert len(at_once) == replicas // 2
    assert at_once | later == set(followers)
    assert not at_once & later


def test_entry_goes_first_to_who_is_ahead() -> None:
    """One that lags, or is silent, is not what a majority waits for."""
    world = World(4)
    leader, followers = led(world)
    leading = world.hosts[leader].replica
    assert leading is not None
    for ahead in followers:
        entry = leading.log.last.number + 1
        _turns_of_proposal(world, leader)
        assert leading.leadership is not None
        number = leading.leadership.epoch
        answer = Appended(number, leading.leadership._round, entry)
        leading.step([Received(ahead, answer)], Millis(world.now))
        assert _turns_of_proposal(world, leader)[0] == {ahead}


def test_second_leader_of_an_epoch_is_a_breach_of_protocol() -> None:
    """The authority gives an epoch once."""
    world = World(4)
    leader, (other, _) = led(world)
    leading = world.hosts[leader].replica
    assert leading is not None
    assert leading.leadership is not None

    rival = Received(other, heartbeat(leading.leadership.epoch))
    (dropped,) = leading.step([rival], Millis(world.now)).at_once[:1]

    assert isinstance(dropped, Distrusted)
    assert dropped.sender == other
    assert "is led from here" in dropped.reason


def test_message_of_a_bad_peer_is_dropped_alone() -> None:
    """What came with it in the turn happens."""
    world = World(4)
    leader, (other, _) = led(world)
    leading = world.hosts[leader].replica
    assert leading is not None
    assert leading.leadership is not None
    last = leading.log.last
    too_far = Appended(leading.leadership.epoch, 1, last.number + 9)

    turn = leading.step(
        [Propose(1, b"before"), Received(other, too_far), Propose(2, b"behind")],
        Millis(world.now),
    )

    assert turn.persist is not None
    assert [entry.data for entry in turn.persist.entries] == [b"before", b"behind"]
    assert Distrusted(
        other, f"entry {last.number + 9} was never sent in epoch {last.epoch}"
    ) in list(turn.at_once)
