"""Dissemination as a whole: everybody gets everything, mostly once (rule D7)."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.dissemination import (
    LOCAL_ATTEMPTS,
    Dissemination,
    Settings,
)
from kvnode.core.dissemination.links import KEEP_AFTER, PRUNE_AFTER
from kvnode.core.dissemination.messages import (
    ANNOUNCED_MAX,
    Absent,
    Announce,
    Forward,
    Graft,
    Prune,
    SendTo,
    WakeAt,
)
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.dissemination.wanted import ATTEMPTS_MAX, WANTED_MAX
from kvnode.types import Millis, ReplicaId
from tests.core.dissemination.members import (
    TinyNetwork,
    forwarded,
    machine,
    name,
    push,
    told,
    views,
)

NOW = Millis(1000)

REGION_NAMES = "abcd"
NINE = dict.fromkeys(range(1, 10), "a")
TWO_REGIONS = NINE | dict.fromkeys(range(11, 20), "b")

clusters = st.lists(st.sampled_from("aaaaaabbcd"), min_size=2, max_size=40).map(
    lambda regions: dict(enumerate(regions, start=1))
)


@given(regions=clusters, data=st.data())
def test_everybody_gets_everything_once_if_nothing_is_lost(
    regions: dict[int, str], data: st.DataObject
) -> None:
    """Without faults a push costs one payload a member, and nobody asks for it."""
    origins = data.draw(
        st.lists(st.sampled_from(list(regions)), max_size=3, unique=True)
    )
    network = TinyNetwork(regions)

    for origin in origins:
        network.originate(origin)
    network.run()

    assert network.lacking() == []
    assert network.payloads_sent == len(origins) * (len(regions) - 1)


@given(regions=clusters, data=st.data())
def test_any_four_messages_may_be_lost(
    regions: dict[int, str], data: st.DataObject
) -> None:
    """Whichever they are, everybody gets everything, without comparing clocks."""
    origin = data.draw(st.sampled_from(list(regions)))
    lost = data.draw(st.sets(st.integers(0, 12 * len(regions)), max_size=4))
    network = TinyNetwork(regions, lost=lost)

    network.originate(origin)
    network.run()

    assert network.lacking() == []


@given(
    regions=clusters, lost=st.sets(st.integers(0, 600), max_size=400), data=st.data()
)
def test_no_payload_is_sent_twice_to_a_peer_unless_it_asks(
    regions: dict[int, str], lost: set[int], data: st.DataObject
) -> None:
    """Whatever is lost, and whoever asks whom; and all comes to rest."""
    origins = data.draw(
        st.lists(st.sampled_from(list(regions)), max_size=3, unique=True)
    )
    network = TinyNetwork(regions, lost=lost)

    for origin in origins:
        network.originate(origin)
    network.run()

    assert network.repeated == []


@given(regions=clusters, data=st.data())
def test_three_members_may_be_dead_whoever_knows_it(
    regions: dict[int, str], data: st.DataObject
) -> None:
    """Survivors get everything though some take dead members for healthy."""
    members = list(regions)
    crashed = data.draw(
        st.sets(st.sampled_from(members), max_size=min(3, len(members) - 1))
    )
    origin = data.draw(st.sampled_from([m for m in members if m not in crashed]))
    ignorance = data.draw(
        st.sets(st.tuples(st.sampled_from(members), st.sampled_from(members)))
    )
    network = TinyNetwork(
        regions,
        crashed=crashed,
        unaware=lambda member, dead: (member, dead) in ignorance,
    )

    network.originate(origin)
    network.run()

    assert network.lacking() == []


@given(regions=clusters, data=st.data())
def test_newcomer_keeps_nothing_from_the_others(
    regions: dict[int, str], data: st.DataObject
) -> None:
    """While only some know it, nodes compute different trees; all get everything."""
    members = list(regions)
    newcomer, *old = data.draw(st.permutations(members))
    ignorant = data.draw(st.sets(st.sampled_from(old)))
    origin = data.draw(st.sampled_from(members))
    network = TinyNetwork(regions, strangers={(m, newcomer) for m in ignorant})

    network.originate(origin)
    network.run()

    assert [member for _, member in network.lacking() if member != newcomer] == []
    assert network.repeated == []


def test_few_members_are_sent_to_directly_whatever_their_regions() -> None:
    """A cluster of eight needs no trees: the origin sends to all."""
    regions = {member: REGION_NAMES[member % 4] for member in range(1, 9)}
    sender = machine(regions, 1)

    effects = sender.originate((push(1),), NOW)

    assert sorted(forwarded(effects)) == [2, 3, 4, 5, 6, 7, 8]


def test_another_region_gets_one_payload() -> None:
    """Bytes on long links grow with regions, not nodes."""
    effects = machine(TWO_REGIONS, 1).originate((push(1),), NOW)

    assert len([peer for peer in forwarded(effects) if peer > 10]) == 1
    assert sorted(peer for peer in forwarded(effects) if peer < 10) == list(
        range(2, 10)
    )


def test_far_ones_are_sent_to_first() -> None:
    """What takes longest on its way should not wait for the rest to be written."""
    distances = {2: 30, 3: 200, 4: 90, 5: 4}
    members = [
        MemberView(ReplicaId(10 * place + n), f"r{place}", Millis(rtt))
        for place, rtt in distances.items()
        for n in range(3)
    ]
    sender = Dissemination(ReplicaId(1), "r5")
    sender.view_changed(members)

    order = [peer // 10 for peer in forwarded(sender.originate((push(1),), NOW))]

    assert order == [3, 4, 2, 5, 5, 5]


def test_no_origin_gets_its_own_push_back() -> None:
    """Wherever in the tree it is; and each other member gets it once."""
    regions = dict.fromkeys(range(100), "a")
    for origin in range(0, 100, 12):
        network = TinyNetwork(regions)
        network.originate(origin)
        network.run()

        assert network.payloads_sent == 99


def test_who_is_known_to_have_it_is_not_sent_it() -> None:
    """A child that got it elsewhere has announced it to its parent."""
    regions = dict.fromkeys(range(100), "a")
    parent = machine(regions, 3)
    child, *others = forwarded(
        machine(regions, 3).received(push(8), ReplicaId(8), NOW, fresh=True)
    )

    parent.announced(ReplicaId(child), Announce((name(8),)), NOW)
    effects = parent.received(push(8), ReplicaId(8), NOW, fresh=True)

    assert forwarded(effects) == others


def test_deputies_are_told_at_once_and_again_later() -> None:
    """If the entry is dead or its payload lost, others in its region know of it."""
    sender = machine(TWO_REGIONS, 1)

    effects = sender.originate((push(1),), NOW)
    at_once = [peer for peer, _ in told(effects) if peer > 10]
    later = [
        peer
        for time in (1020, 1070, 1470)
        for peer, _ in told(sender.tick(Millis(time)))
        if peer > 10
    ]

    assert len(set(at_once)) == 2
    assert not set(at_once) & set(forwarded(effects))
    assert len(later) == 3
    assert not set(later) <= set(at_once)


def test_push_that_reached_one_other_region_reaches_all() -> None:
    """Though its origin said nothing more to anybody, and died."""
    regions = {
        10 * place + n: name for place, name in enumerate("abcde") for n in range(4)
    }
    network = TinyNetwork(regions, lost=range(1, 1000))
    network.originate(1)
    del network.machines[1]
    network.lose_no_more()

    network.run()

    assert network.lacking() == []


def test_origins_differ_in_whom_they_send_to() -> None:
    """The work of taking pushes into a region is spread over its members."""
    entries = {
        peer
        for origin in NINE
        for peer in forwarded(
            machine(TWO_REGIONS, origin).originate((push(origin),), NOW)
        )
        if peer > 10
    }

    assert len(entries) == 8


def test_who_gets_a_push_from_afar_sends_it_to_all_of_a_small_region() -> None:
    """Any member does, not only the one that should have got it."""
    for member in range(11, 20):
        effects = machine(TWO_REGIONS, member).received(
            push(1), ReplicaId(1), NOW, fresh=True
        )

        assert sorted(forwarded(effects)) == [m for m in range(11, 20) if m != member]


def test_dead_entry_is_passed_over_once_it_is_known() -> None:
    """Then the origin sends to the next member of the region."""
    [entry] = [
        p
        for p in forwarded(machine(TWO_REGIONS, 1).originate((push(1),), NOW))
        if p > 10
    ]

    effects = machine(TWO_REGIONS, 1, {entry}).originate((push(1),), NOW)

    [deputy] = [peer for peer in forwarded(effects) if peer > 10]
    assert deputy != entry


def test_what_is_not_fresh_is_not_passed_on() -> None:
    """It came by a delta before, so it goes on by deltas."""
    effects = machine(TWO_REGIONS, 11).received(push(1), ReplicaId(1), NOW, fresh=False)

    assert effects == []


def test_announced_push_is_waited_for_and_then_asked_for() -> None:
    """Its payload is most likely on its way."""
    waiting = machine(NINE, 1)

    [wake] = waiting.announced(ReplicaId(2), Announce((name(3),)), NOW)

    assert isinstance(wake, WakeAt)
    assert told(waiting.tick(Millis(wake.due - 1))) == []
    assert told(waiting.tick(wake.due)) == [(2, Graft(name(3)))]


def test_what_is_here_is_not_asked_for() -> None:
    """An announcement after the payload means nothing."""
    holder = machine(NINE, 1)
    holder.received(push(3), ReplicaId(3), NOW, fresh=True)

    holder.announced(ReplicaId(2), Announce((name(3),)), NOW)

    assert len(holder.wanted) == 0


def test_payload_that_comes_in_time_ends_the_waiting() -> None:
    """Nobody asks for what has come meanwhile."""
    waiting = machine(NINE, 1)
    [wake] = waiting.announced(ReplicaId(2), Announce((name(3),)), NOW)
    assert isinstance(wake, WakeAt)

    waiting.received(push(3), ReplicaId(3), NOW, fresh=True)

    grafts = [m for _, m in told(waiting.tick(wake.due)) if isinstance(m, Graft)]
    assert grafts == []


def test_what_a_delta_brought_is_not_asked_for() -> None:
    """The caller says what the clock covers now."""
    waiting = machine(NINE, 1)
    waiting.announced(ReplicaId(2), Announce((name(3), name(4))), NOW)

    waiting.delta_arrived(lambda wanted: wanted.origin == ReplicaId(3))

    asked = [
        m.id for _, m in told(waiting.tick(Millis(NOW + 1000))) if isinstance(m, Graft)
    ]
    assert asked == [name(4)]


def test_two_far_holders_are_asked_at_once() -> None:
    """An answer takes long, and one in five is lost when one message in ten is."""
    regions = TWO_REGIONS | dict.fromkeys(range(21, 30), "c")
    waiting = machine(regions, 21)
    waiting.announced(ReplicaId(1), Announce((name(1),)), NOW)

    asked = [peer for peer, _ in told(waiting.tick(Millis(NOW + 100)))]

    assert len(asked) == 2
    assert len({regions[peer] for peer in asked}) == 2


def test_near_holder_is_asked_alone_and_before_far_ones() -> None:
    """Even if it is heard of after they were asked."""
    waiting = machine(TWO_REGIONS, 11)
    waiting.announced(ReplicaId(1), Announce((name(1),)), NOW)
    waiting.tick(Millis(NOW + 100))

    [wake] = waiting.announced(ReplicaId(15), Announce((name(1),)), Millis(NOW + 101))

    assert wake == WakeAt(Millis(NOW + 101))
    assert told(waiting.tick(wake.due)) == [(15, Graft(name(1)))]


def test_near_holders_are_asked_one_by_one_for_a_while() -> None:
    """They answer soon; long links are for what nobody near has."""
    waiting, now = machine(TWO_REGIONS, 11), NOW
    asked: list[list[int]] = []
    for holder in (15, 16):
        waiting.announced(ReplicaId(holder), Announce((name(1),)), now)
    while len(asked) < LOCAL_ATTEMPTS:
        now = Millis(now + 1)
        peers = [p for p, m in told(waiting.tick(now)) if isinstance(m, Graft)]
        asked += [peers] if peers else []

    assert asked == [[15], [16]] * (LOCAL_ATTEMPTS // 2)
    later = told(waiting.tick(Millis(now + 1000)))
    assert all(peer < 10 for peer, m in later if isinstance(m, Graft))


def test_those_nearer_to_the_root_ask_sooner() -> None:
    """They then serve those below, who need not ask at all."""
    regions = dict.fromkeys(range(100), "a")
    dues: dict[int, set[int]] = {}
    for member in regions.keys() - {0, 8}:
        waiting = machine(regions, member)
        [wake] = waiting.announced(ReplicaId(0), Announce((name(8),)), NOW)
        assert isinstance(wake, WakeAt)
        depth = waiting.overlay.plan(waiting.overlay.tree(ReplicaId(8))).depth
        dues.setdefault(depth, set()).add(wake.due)

    assert all(len(each) == 1 for each in dues.values())
    assert min(dues[2]) >= min(dues[1]) + 4
    assert min(dues[3]) >= min(dues[2]) + 4


def test_asking_ends() -> None:
    """A push that nobody sends is left to comparing clocks."""
    waiting, now, grafts = machine(NINE, 1), NOW, 0
    waiting.announced(ReplicaId(2), Announce((name(3),)), now)

    while len(waiting.wanted):
        now = Millis(now + 10)
        grafts += len(told(waiting.tick(now)))

    assert ATTEMPTS_MAX <= grafts <= 2 * ATTEMPTS_MAX
    assert now < NOW + 10_000


def test_graft_is_answered_as_soon_as_the_payload_comes() -> None:
    """Who is asked for what it lacks wants it too, and remembers who asked."""
    asked = machine(TWO_REGIONS, 11)
    asked.grafted(ReplicaId(5), Graft(name(2)), NOW)

    effects = asked.received(push(2), ReplicaId(12), NOW, fresh=True)

    assert 5 in forwarded(effects)


def test_graft_for_what_is_kept_no_longer_is_refused() -> None:
    """The asker will find it through a delta, and does not ask here again."""
    small = Dissemination(ReplicaId(1), "a", Settings(recent_count_max=1))
    small.view_changed(views(NINE, 1))
    small.received(push(3, 1), ReplicaId(3), NOW, fresh=True)
    small.received(push(3, 2), ReplicaId(3), NOW, fresh=True)

    answers = small.grafted(ReplicaId(2), Graft(name(3, 1)), NOW)

    assert told(answers) == [(2, Absent(name(3, 1)))]
    assert told(small.grafted(ReplicaId(2), Graft(name(1, 7)), NOW)) == [
        (2, Absent(name(1, 7)))
    ]


def test_who_has_it_no_longer_is_not_asked_again() -> None:
    """With nobody else to ask, asking ends."""
    waiting = machine({1: "a", 2: "a"}, 1)
    waiting.announced(ReplicaId(2), Announce((name(2),)), NOW)

    waiting.absent(ReplicaId(2), Absent(name(2)), NOW)

    assert told(waiting.tick(Millis(NOW + 1000))) == []
    assert len(waiting.wanted) == 0


def test_link_is_pruned_after_several_duplicates_in_a_row() -> None:
    """Not at the first one (mistake 7): a late message is no reason to rebuild."""
    taker = machine(NINE, 1)
    answers = []
    for seq in range(1, PRUNE_AFTER + 1):
        taker.received(push(3, seq), ReplicaId(3), NOW, fresh=True)
        answers.append(
            told(taker.received(push(3, seq), ReplicaId(4), NOW, fresh=False))
        )

    assert answers == [[]] * (PRUNE_AFTER - 1) + [[(4, Prune(ReplicaId(3)))]]


def test_duplicate_that_was_asked_for_is_no_reason_to_prune() -> None:
    """The asker was impatient; the sender is not at fault."""
    taker, now = machine(NINE, 1), NOW
    for seq in range(1, 10 * PRUNE_AFTER):
        taker.announced(ReplicaId(4), Announce((name(3, seq),)), now)
        now = Millis(now + 1000)
        taker.tick(now)
        taker.received(push(3, seq), ReplicaId(4), now, fresh=True)

        assert told(taker.received(push(3, seq), ReplicaId(3), now, fresh=False)) == []


def test_patience_grows_when_payloads_come_late() -> None:
    """A slow disk on the way must not make every payload travel twice."""
    taker, now = machine(NINE, 1), NOW
    before = taker.patience.span
    for seq in range(1, 20):
        taker.announced(ReplicaId(4), Announce((name(3, seq),)), now)
        now = Millis(now + 1000)
        taker.tick(now)
        taker.received(push(3, seq), ReplicaId(3), now, fresh=True)

    assert taker.patience.span > 10 * before


def test_pruned_link_is_lazy_until_it_is_grafted() -> None:
    """Then pushes of that tree go over it again, unasked."""
    sender = machine(NINE, 1)

    sender.pruned(ReplicaId(4), Prune(ReplicaId(1)), NOW)
    assert 4 not in forwarded(sender.originate((push(1, 1),), NOW))

    sender.grafted(ReplicaId(4), Graft(name(1, 1), keep=True), NOW)
    assert 4 in forwarded(sender.originate((push(1, 2),), NOW))


def test_link_that_fails_repeatedly_is_replaced() -> None:
    """The graft after that asks to be sent to from now on."""
    taker, now, keeps = machine(NINE, 1), NOW, []
    for seq in range(1, KEEP_AFTER + 2):
        taker.announced(ReplicaId(4), Announce((name(3, seq),)), now)
        now = Millis(now + 1000)
        sent = told(taker.tick(now))
        keeps += [m.keep for _, m in sent if isinstance(m, Graft)]
        taker.received(push(3, seq), ReplicaId(4), now, fresh=True)

    assert keeps == [False] * (KEEP_AFTER - 1) + [True, True]


def test_other_members_make_learned_links_void() -> None:
    """Trees are others then; of health alone they are not."""
    sender = machine(NINE, 1)
    sender.pruned(ReplicaId(4), Prune(ReplicaId(1)), NOW)

    sender.view_changed(views(NINE, 1, unhealthy={7}))
    assert 4 not in forwarded(sender.originate((push(1, 1),), NOW))

    sender.view_changed(views(NINE | {10: "a"}, 1))
    assert 4 in forwarded(sender.originate((push(1, 2),), NOW))


def test_announcements_are_bounded() -> None:
    """Many pushes at once are told of in several messages."""
    count = 3 * ANNOUNCED_MAX + 1
    sender = machine(NINE, 1)
    sender.originate([push(1, seq) for seq in range(1, count + 1)], NOW)

    messages = [m for _, m in told(sender.tick(Millis(NOW + 1000)))]

    announced = [m for m in messages if isinstance(m, Announce)]
    assert max(len(m.ids) for m in announced) <= ANNOUNCED_MAX
    assert {i for m in announced for i in m.ids} == {
        name(1, seq) for seq in range(1, count + 1)
    }


def test_wanted_pushes_are_bounded() -> None:
    """Announcements beyond that are not heeded, and come again."""
    waiting = machine(NINE, 1)
    for seq in range(1, WANTED_MAX + 100):
        waiting.announced(ReplicaId(2), Announce((name(3, seq),)), NOW)

    assert len(waiting.wanted) == WANTED_MAX


def test_clock_set_back_holds_nothing_up() -> None:
    """What was due in 20 ms is due in 20 ms still."""
    sender = machine(NINE, 1)
    sender.originate((push(1),), NOW)

    early = sender.tick(Millis(100))
    wakes = [effect.due for effect in early if isinstance(effect, WakeAt)]

    assert wakes == [120]
    assert any(isinstance(e, SendTo) for e in sender.tick(Millis(120)))


def test_same_events_have_same_effects() -> None:
    """Nothing is left to chance, nor to the order of a set."""
    runs = [
        [
            effect
            for seq in range(1, 50)
            for effect in machine(TWO_REGIONS, 11).received(
                push(1, seq), ReplicaId(1), NOW, fresh=True
            )
            if isinstance(effect, Forward)
        ]
        for _ in range(2)
    ]

    assert runs[0] == runs[1]
