"""The whole machine of one node, message by message."""

from collections.abc import Callable, Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.events import (
    Effect,
    Event,
    HealthChanged,
    Heard,
    IncarnationRaised,
    Measured,
    MembersKnown,
    Received,
    SendTo,
    Tick,
)
from kvnode.core.membership.messages import (
    UPDATES_MAX,
    Ack,
    Health,
    Message,
    Nack,
    Ping,
    PingRequest,
    Update,
)
from kvnode.core.membership.settings import SwimSettings
from kvnode.core.membership.swim import Swim
from kvnode.types import Millis, ReplicaId
from tests.core.membership.updates import (
    OTHERS,
    OWN,
    STRANGER,
    A,
    B,
    C,
    D,
    alive,
    dead,
    suspect,
)

EPOCH = 1_700_000_000_000
TICK = 50


class Driven:
    """A failure detector under test, with its clock and chance."""

    def __init__(
        self,
        others: tuple[ReplicaId, ...] = OTHERS,
        settings: SwimSettings | None = None,
    ) -> None:
        self.now = EPOCH
        self.rng = Random(1)
        self.swim = Swim(OWN, 0, settings or SwimSettings())
        self.step(MembersKnown((OWN, *others)))

    def step(self, event: Event, after: int = 0) -> list[Effect]:
        """Let *after* ms pass, then *event* happen."""
        self.now += after
        return self.swim.step(event, Millis(self.now), self.rng)

    def hear(self, peer: ReplicaId, message: Message) -> list[Effect]:
        """Let *message* of *peer* come."""
        return self.step(Received(peer, message))

    def ticks(self, millis: int) -> list[Effect]:
        """Let time pass as it does for a process that runs."""
        effects: list[Effect] = []
        for _ in range(0, millis, TICK):
            effects += self.step(Tick(), TICK)
        return effects

    def probe(self) -> tuple[ReplicaId, Ping]:
        """Let time pass until a probe begins; return whom it asks what."""
        while True:
            for peer, message in sent(self.step(Tick(), TICK)):
                if isinstance(message, Ping):
                    return peer, message

    def answer(self, peer: ReplicaId, ping: Ping) -> list[Effect]:
        """Let *peer*, whose clock is right, answer *ping*."""
        return self.hear(peer, Ack(ping.number, Millis(self.now)))

    def quiet(self) -> None:
        """Let all probes be answered until there is no rumor left to tell."""
        while True:
            peer, ping = self.probe()
            self.answer(peer, ping)
            if not ping.updates:
                return


def sent(effects: Iterable[Effect]) -> list[tuple[ReplicaId, Message]]:
    """Return what *effects* send to whom."""
    return [(e.peer, e.message) for e in effects if isinstance(e, SendTo)]


def changes(effects: Iterable[Effect]) -> list[HealthChanged]:
    """Return the changes of belief among *effects*."""
    return [effect for effect in effects if isinstance(effect, HealthChanged)]


# -- probing -------------------------------------------------------------------


def test_silent_target_is_suspected_only_after_helpers_failed_too() -> None:
    """SWIM section 3.1: the indirect stage precedes any verdict."""
    node = Driven()
    target, ping = node.probe()

    assert sent(node.ticks(450)) == []
    asked = sent(node.ticks(50))
    assert len({helper for helper, _ in asked}) == 3
    for helper, message in asked:
        assert helper != target
        assert isinstance(message, PingRequest)
        assert (message.number, message.target) == (ping.number, target)
    assert changes(node.ticks(450)) == []
    assert changes(node.ticks(50)) == [HealthChanged(target, Health.SUSPECT)]


@pytest.mark.parametrize("how", ["ack", "ack of a helper", "any message"])
def test_any_sign_of_life_ends_the_wait(how: str) -> None:
    """Of the target; a helper's ack is one of it."""
    node = Driven()
    target, ping = node.probe()
    (helper, _), *_ = sent(node.ticks(500))
    match how:
        case "ack":
            node.answer(target, ping)
        case "ack of a helper":
            node.answer(helper, ping)
        case _:
            node.step(Heard(target))

    assert changes(node.ticks(500)) == []
    assert node.swim.health(target) is Health.ALIVE


def test_sign_of_life_of_anybody_else_does_not_clear_the_target() -> None:
    """Nor an ack of an earlier ping, by a helper."""
    node = Driven()
    target, ping = node.probe()
    (helper, _), *_ = sent(node.ticks(500))
    node.step(Heard(helper))
    node.hear(helper, Ack(ping.number - 1, Millis(node.now)))

    assert changes(node.ticks(500)) == [HealthChanged(target, Health.SUSPECT)]


@given(seed=st.integers(), answers=st.lists(st.booleans(), max_size=20))
def test_probe_rounds_come_to_an_end_and_the_next_begins(
    seed: int, answers: list[bool]
) -> None:
    """Whoever answers: at most nine intervals pass between two probes."""
    node = Driven()
    node.rng = Random(seed)
    for answered in answers:
        before = node.now
        peer, ping = node.probe()
        if answered:
            node.answer(peer, ping)

        assert node.now - before <= 9 * 1000 + TICK


def test_member_alone_probes_nobody() -> None:
    """And is healthy."""
    node = Driven(())

    assert node.ticks(3000) == []
    assert node.swim.health(OWN) is Health.ALIVE
    assert node.swim.members() == ()


def test_first_probes_of_nodes_that_start_together_are_spread() -> None:
    """A thousand nodes must not all send in the same millisecond."""
    starts = set()
    for seed in range(20):
        node = Driven()
        node.rng = Random(seed)
        node.probe()
        starts.add(node.now)

    assert len(starts) > 5


def test_suspects_are_not_asked_to_help() -> None:
    """They would not answer, and the prober would doubt itself."""
    node = Driven((A, B, C))
    node.quiet()
    target, _ = node.probe()
    others = {A, B, C} - {target}
    suspected = min(others)
    node.hear(max(others), Ping(1, OWN, (suspect(suspected, 0, max(others)),)))

    asked = [peer for peer, message in sent(node.ticks(500)) if is_request(message)]

    assert asked == [max(others)]


def is_request(message: Message) -> bool:
    """Tell whether *message* asks for an indirect ping."""
    return isinstance(message, PingRequest)


# -- measuring -----------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-70_000, 0, 1234])
def test_direct_ack_measures_distance_and_clock(ahead: int) -> None:
    """The midpoint of NTP: 40 ms there and back, its clock that far ahead."""
    node = Driven()
    target, ping = node.probe()
    node.now += 40
    ack = Ack(ping.number, Millis(node.now - 20 + ahead))

    effects = node.hear(target, ack)

    assert effects == [Measured(target, Millis(40), Millis(ahead))]
    (shown,) = [m for m in node.swim.members() if m.replica == target]
    assert (shown.rtt, shown.heard_ago) == (40, 0)
    assert node.hear(target, ack) == []


def test_ack_after_another_sign_of_life_still_measures() -> None:
    """The round was answered, but not that ping."""
    node = Driven()
    target, ping = node.probe()
    node.step(Heard(target))

    assert node.answer(target, ping) == [Measured(target, Millis(0), Millis(0))]


def test_helpers_ack_measures_nothing() -> None:
    """It says how far the target is from the helper."""
    node = Driven()
    _, ping = node.probe()
    (helper, _), *_ = sent(node.ticks(500))

    assert node.answer(helper, ping) == []


@pytest.mark.parametrize("jump", [-3000, -20, 3000])
def test_clock_that_jumped_between_ping_and_ack_measures_nothing(jump: int) -> None:
    """Half of the jump would pass for the peer's offset."""
    node = Driven()
    target, ping = node.probe()
    node.step(Tick(), after=40)
    node.step(Tick(), after=jump)
    node.now += 40

    assert node.answer(target, ping) == []


# -- answering -----------------------------------------------------------------


def test_ping_is_answered_with_the_own_claim_first() -> None:
    """So any ack tells the target's incarnation at first hand."""
    node = Driven()
    ((peer, ack),) = sent(node.hear(A, Ping(7, OWN)))

    assert peer == A
    assert ack == Ack(7, Millis(node.now), (alive(OWN, 0),))


def test_ping_for_another_identity_is_not_answered() -> None:
    """Who had this address before is not here."""
    assert Driven().hear(A, Ping(7, STRANGER)) == []


def test_strangers_ping_is_answered_and_its_rumors_are_not_heard() -> None:
    """A newcomer must not take us for dead; a removed one has no say (M2)."""
    node = Driven()

    ((_, ack),) = sent(node.hear(STRANGER, Ping(7, OWN, (dead(A, 0), dead(OWN, 0)))))

    assert ack == Ack(7, Millis(node.now), (alive(OWN, 0),))
    assert node.swim.health(A) is Health.ALIVE
    assert node.hear(STRANGER, PingRequest(8, A)) == []
    assert node.step(Heard(STRANGER)) == []


def test_helper_pings_forwards_the_ack_and_sends_no_nack() -> None:
    """With the target's clock, not the helper's."""
    node = Driven()
    ((target, ping),) = sent(node.hear(A, PingRequest(7, B)))
    assert target == B
    assert isinstance(ping, Ping)

    ((peer, ack),) = sent(node.hear(B, Ack(ping.number, Millis(123))))

    assert peer == A
    assert isinstance(ack, Ack)
    assert (ack.number, ack.received_at) == (7, 123)
    assert (A, Nack(7)) not in sent(node.ticks(1000))


def test_helper_of_a_silent_target_nacks_before_the_probe_ends() -> None:
    """Lifeguard: the prober learns that the helper and the way to it are well."""
    node = Driven()
    node.ticks(TICK)
    node.hear(A, PingRequest(7, B))

    assert (A, Nack(7)) not in sent(node.ticks(350))
    assert (A, Nack(7)) in sent(node.ticks(50))


def test_helper_asked_for_itself_or_a_stranger_answers_at_once() -> None:
    """It is there, and knows no better."""
    node = Driven()

    ((peer, ack),) = sent(node.hear(A, PingRequest(7, OWN)))
    assert peer == A
    assert isinstance(ack, Ack)
    assert sent(node.hear(A, PingRequest(8, STRANGER))) == [(A, Nack(8))]


def test_no_message_carries_more_updates_than_may_be() -> None:
    """And of one that does, the rest is not looked at."""
    others = tuple(ReplicaId(n) for n in range(2, 42))
    node = Driven(others)
    claims = tuple(suspect(replica, 0, A) for replica in others)
    effects = node.hear(A, Ping(1, OWN, claims))
    effects += node.ticks(2000)

    assert len(claims) > UPDATES_MAX
    sizes = [len(m.updates) for _, m in sent(effects) if not isinstance(m, Nack)]
    assert max(sizes) == UPDATES_MAX
    accused = {change.replica for change in changes(effects)}
    assert accused >= {claim.replica for claim in claims[:UPDATES_MAX]}
    assert len(accused) <= UPDATES_MAX + 1  # one by the probe of its own


# -- accusing, refuting, telling -----------------------------------------------


def test_accused_node_raises_its_incarnation_before_it_says_so() -> None:
    """The caller makes it durable before the ack leaves."""
    node = Driven()

    effects = node.hear(A, Ping(7, OWN, (suspect(OWN, 0, B),)))

    ack = Ack(7, Millis(node.now), (alive(OWN, 1),))
    assert effects == [IncarnationRaised(1), SendTo(A, ack)]
    assert node.swim.incarnation == 1


def test_refuting_makes_a_node_doubt_itself() -> None:
    """Lifeguard: others had a reason."""
    node = Driven()
    node.hear(A, Ping(7, OWN, (suspect(OWN, 0, B),)))

    assert node.swim.multiplier == 2


@pytest.mark.parametrize("claim", [suspect(A, 0, B), dead(A, 0)])
def test_message_of_an_accused_member_does_not_clear_it_but_tells_it(
    claim: Update,
) -> None:
    """Others hold the same claim: it must refute, and for that it must know."""
    node = Driven()
    node.hear(B, Ping(1, OWN, (claim,)))
    node.ticks(TICK)

    ((peer, ping),) = sent(node.step(Heard(A)))

    assert peer == A
    assert isinstance(ping, Ping)
    assert claim in ping.updates
    assert node.swim.health(A) is claim.health
    refuted = node.hear(A, Ack(ping.number, Millis(node.now), (alive(A, 1),)))
    assert refuted == [HealthChanged(A, Health.ALIVE)]


def test_accused_member_is_told_once_an_interval_however_much_it_says() -> None:
    """Each of a thousand pushes is a sign of life."""
    node = Driven()
    node.hear(B, Ping(1, OWN, (dead(A, 0),)))

    told = [sent(node.step(Heard(A))) for _ in range(100)]

    assert sum(map(bool, told)) == 1


def test_accused_member_is_told_of_a_new_claim_at_once() -> None:
    """However short ago it was told of the one it has refuted."""
    node = Driven()
    node.hear(B, Ping(1, OWN, (dead(A, 0),)))
    node.step(Heard(A))
    node.hear(B, Ping(2, OWN, (suspect(A, 1, B),)))

    assert sent(node.step(Heard(A)))


def test_ping_to_a_suspect_tells_it_even_when_the_rumor_has_died_out() -> None:
    """Lifeguard's Buddy System."""
    node = Driven((A, B))
    node.hear(B, Ping(1, OWN, (suspect(A, 0, B),)))
    for _ in range(30):
        node.hear(B, Ping(2, OWN))  # each takes the rumor along until it is done
    while True:
        peer, ping = node.probe()
        if peer == A:
            break
        node.answer(peer, ping)

    assert suspect(A, 0, B) in ping.updates


def test_ack_to_a_suspect_tells_it() -> None:
    """It is there, or it would not have asked."""
    node = Driven()
    node.hear(B, Ping(1, OWN, (suspect(A, 0, B),)))

    ((_, ack),) = sent(node.hear(A, Ping(9, OWN)))

    assert isinstance(ack, Ack)
    assert suspect(A, 0, B) in ack.updates


def test_dead_member_is_told_again_and_again() -> None:
    """So both sides of a partition find each other when it has healed."""
    node = Driven((A, B))
    node.hear(B, Ping(1, OWN, (dead(A, 0),)))

    pings = [
        message
        for peer, message in sent(node.ticks(20_000))
        if peer == A and isinstance(message, Ping)
    ]

    assert len(pings) >= 2
    assert all(dead(A, 0) in ping.updates for ping in pings)


# -- doubting itself -----------------------------------------------------------


def test_helpers_that_do_not_even_nack_make_a_node_doubt_itself() -> None:
    """Three are missing, so its patience is four times what it was."""
    node = Driven()
    node.probe()
    node.ticks(1000)

    assert node.swim.multiplier == 4


def test_failed_probe_with_all_nacks_is_the_targets_fault() -> None:
    """All helpers were heard in time."""
    node = Driven()
    target, ping = node.probe()
    for helper, _ in sent(node.ticks(500)):
        node.hear(helper, Nack(ping.number))

    assert changes(node.ticks(500)) == [HealthChanged(target, Health.SUSPECT)]
    assert node.swim.multiplier == 1


def test_slow_node_waits_longer_before_it_asks_and_before_it_accuses() -> None:
    """Lifeguard: interval and timeout are multiplied alike."""
    node = Driven()
    node.hear(A, Ping(7, OWN, (suspect(OWN, 0, B),)))
    target, _ = node.probe()

    assert sent(node.ticks(950)) == []
    assert sent(node.ticks(50)) != []
    assert changes(node.ticks(950)) == []
    assert changes(node.ticks(50)) == [HealthChanged(target, Health.SUSPECT)]


def test_node_that_did_not_run_accuses_nobody_and_doubts_itself() -> None:
    """Answers may have come meanwhile and wait to be read."""
    node = Driven()
    node.probe()
    node.ticks(950)

    assert changes(node.step(Tick(), after=60_000)) == []
    assert changes(node.ticks(900)) == []
    assert set(map(node.swim.health, OTHERS)) == {Health.ALIVE}


def test_clock_jumping_ahead_makes_no_suspect_dead() -> None:
    """Its time to refute is measured in steady time."""
    node = Driven()
    node.hear(B, Ping(1, OWN, (suspect(A, 0, B),)))

    effects = node.step(Tick(), after=3_600_000)

    assert changes(effects) == []
    assert node.swim.health(A) is Health.SUSPECT


def test_clock_jumping_back_delays_no_verdict() -> None:
    """Nothing waits until the clock is where it was before."""
    node = Driven()
    target, _ = node.probe()
    node.now -= 3_600_000

    assert changes(node.ticks(1050)) == [HealthChanged(target, Health.SUSPECT)]


@given(jumps=st.lists(st.integers(-(10**7), 10**7), max_size=5), seed=st.integers())
def test_probes_go_on_after_any_jumps_of_the_clock(jumps: list[int], seed: int) -> None:
    """At most nine intervals after the last."""
    node = Driven()
    node.rng = Random(seed)
    for jump in jumps:
        node.ticks(500)
        node.now += jump
    pings = [m for _, m in sent(node.ticks(9 * 1000 + TICK)) if isinstance(m, Ping)]

    assert pings


def test_without_lifeguard_no_node_doubts_itself_nor_nacks() -> None:
    """The SWIM of 2002."""
    node = Driven(settings=SwimSettings(lifeguard=False))
    node.hear(A, PingRequest(7, B))
    effects = node.hear(A, Ping(7, OWN, (suspect(OWN, 0, B), suspect(C, 0, B))))
    assert node.step(Heard(C)) == []
    effects += node.ticks(3000)

    assert node.swim.multiplier == 1
    assert not [message for _, message in sent(effects) if isinstance(message, Nack)]


# -- members -------------------------------------------------------------------


def test_removed_member_is_forgotten_at_once_and_its_round_is_void() -> None:
    """No third party's rumor makes it a member again (M2)."""
    node = Driven((A, B))
    target, ping = node.probe()
    left = B if target == A else A
    node.step(MembersKnown((OWN, left)))
    effects = node.hear(left, Ping(1, OWN, (alive(target, 9),)))
    effects += node.answer(target, ping)
    effects += node.ticks(3000)

    assert changes(effects) in ([], [HealthChanged(left, Health.SUSPECT)])
    assert target not in {peer for peer, _ in sent(effects)}
    assert [member.replica for member in node.swim.members()] == [left]
    with pytest.raises(KeyError):
        node.swim.health(target)


def test_helper_does_nothing_more_for_a_removed_member() -> None:
    """Nor tells others about one."""
    node = Driven((A, B, C))
    node.hear(A, PingRequest(7, B))
    node.hear(B, PingRequest(8, C))
    node.hear(C, PingRequest(9, A))
    node.step(MembersKnown((OWN, B, C)))

    nacks = [m for _, m in sent(node.ticks(1000)) if isinstance(m, Nack)]

    assert nacks == [Nack(8)]


def test_newcomer_begins_alive_and_is_probed() -> None:
    """It was never heard, and never measured."""
    node = Driven((A,))
    node.step(MembersKnown((OWN, A, D)))
    (_, newcomer) = node.swim.members()
    assert newcomer.health is Health.ALIVE
    assert (newcomer.heard_ago, newcomer.rtt) == (None, None)

    probed = set()
    for _ in range(4):
        peer, ping = node.probe()
        node.answer(peer, ping)
        probed.add(peer)

    assert probed == {A, D}


def test_same_events_and_chance_give_the_same_effects() -> None:
    """A simulation can be repeated."""

    def run() -> list[Effect]:
        node = Driven()
        effects = node.ticks(5000)
        effects += node.hear(A, Ping(1, OWN, (suspect(B, 0, C), dead(D, 2))))
        return effects + node.ticks(20_000)

    assert run() == run()


@pytest.mark.parametrize(
    "settings",
    [
        lambda: SwimSettings(probe_timeout=Millis(1000)),
        lambda: SwimSettings(probe_timeout=Millis(0)),
        lambda: SwimSettings(indirect_count=-1),
        lambda: SwimSettings(indirect_count=17),
        lambda: SwimSettings(suspicion_multiplier=0),
        lambda: SwimSettings(suspicion_max_multiplier=0),
        lambda: SwimSettings(retransmit_multiplier=0),
        lambda: SwimSettings(stall_after=Millis(0)),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: Callable[[], SwimSettings],
) -> None:
    """Before they are used, not in the middle of a night."""
    with pytest.raises(ValueError, match=r"need|indirect_count|>= 1"):
        settings()
