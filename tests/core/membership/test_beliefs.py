"""What a node believes: precedence, refutation, removal (M2), confirmations."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.beliefs import Beliefs
from kvnode.core.membership.events import HealthChanged, IncarnationRaised
from kvnode.core.membership.messages import INCARNATION_MAX, Health, Update
from kvnode.core.membership.settings import SwimSettings
from kvnode.types import Millis, ReplicaId
from tests.core.membership.updates import (
    OTHERS,
    OWN,
    STRANGER,
    A,
    B,
    C,
    D,
    E,
    alive,
    dead,
    suspect,
    updates,
)

START = Millis(1000)
SHORTEST, LONGEST = 4000, 24_000  # of a cluster of up to ten


def beliefs_of(
    others: tuple[ReplicaId, ...] = OTHERS, settings: SwimSettings | None = None
) -> Beliefs:
    """Return the beliefs of OWN, who knows *others*."""
    held = Beliefs(OWN, 0, settings or SwimSettings())
    held.know(frozenset((OWN, *others)), iter(others))
    return held


def claims_of(held: Beliefs) -> dict[ReplicaId, tuple[int, Health]]:
    """Return what *held* believes of each member."""
    return {member.replica: member.claim.rank for member in held}


@given(heard=st.lists(updates(), max_size=20), data=st.data())
def test_beliefs_do_not_depend_on_the_order_of_updates(
    heard: list[Update], data: st.DataObject
) -> None:
    """Nor on how often each is heard: the largest claim wins."""
    again = heard + data.draw(
        st.lists(st.sampled_from(heard)) if heard else st.just([])
    )
    one, other = beliefs_of(), beliefs_of()
    for update in heard:
        one.learn(update, START)
    for update in data.draw(st.permutations(again)):
        other.learn(update, START)

    assert claims_of(one) == claims_of(other)


@given(heard=st.lists(updates(), max_size=20))
def test_belief_is_the_largest_claim(heard: list[Update]) -> None:
    """Against the definition, with alive in incarnation 0 below all."""
    held = beliefs_of()
    for update in heard:
        held.learn(update, START)

    for replica in OTHERS:
        claims = [update.rank for update in heard if update.replica == replica]
        assert claims_of(held)[replica] == max([(0, Health.ALIVE), *claims])


def test_precedence_is_that_of_the_swim_paper_within_an_incarnation() -> None:
    """SWIM section 4.2: alive < suspect < dead, and a refutation beats them."""
    steps = [
        (suspect(A, 0, B), Health.SUSPECT),
        (alive(A, 0), Health.SUSPECT),
        (alive(A, 1), Health.ALIVE),
        (suspect(A, 0, C), Health.ALIVE),
        (dead(A, 0), Health.ALIVE),
        (suspect(A, 1, C), Health.SUSPECT),
        (dead(A, 1), Health.DEAD),
        (suspect(A, 1, B), Health.DEAD),
        (alive(A, 2), Health.ALIVE),
    ]
    held = beliefs_of()
    for update, health in steps:
        held.learn(update, START)
        assert claims_of(held)[A][1] is health, update


@given(heard=st.lists(updates(), max_size=20))
def test_changes_told_add_up_to_what_is_believed(heard: list[Update]) -> None:
    """Whoever follows the effects knows the healths, and hears no change twice."""
    held = beliefs_of()
    followed = dict.fromkeys(OTHERS, Health.ALIVE)
    for update in heard:
        for effect in held.learn(update, START):
            assert isinstance(effect, HealthChanged)
            assert followed[effect.replica] is not effect.health
            followed[effect.replica] = effect.health

    assert followed == {replica: rank[1] for replica, rank in claims_of(held).items()}


@given(heard=st.lists(updates(), max_size=20))
def test_dead_members_are_in_one_probe_order_and_all_others_in_the_other(
    heard: list[Update],
) -> None:
    """So nobody is left out of both."""
    held = beliefs_of()
    for update in heard:
        held.learn(update, START)

    count = sum(rank[1] is Health.DEAD for rank in claims_of(held).values())
    assert len(held.dead) == count
    assert len(held.living) == len(OTHERS) - count


# -- refutation ----------------------------------------------------------------


@given(accusations=st.lists(updates(replicas=(OWN,), incarnation_max=9), max_size=10))
def test_refutation_beats_every_claim_heard_about_oneself(
    accusations: list[Update],
) -> None:
    """Even one that somebody took from another world."""
    held = beliefs_of()
    for update in accusations:
        before = held.incarnation
        effects = held.learn(update, START)

        assert held.own_claim.rank >= update.rank
        raised = [IncarnationRaised(held.incarnation)]
        assert effects == (raised if held.incarnation > before else [])
        assert held.incarnation >= before


def test_refutation_is_spread() -> None:
    """The news goes out with the next message, in the place of what was said."""
    held = beliefs_of()
    held.learn(suspect(OWN, 0, A), START)

    assert held.updates() == (alive(OWN, 1),)


def test_accusation_outdone_already_costs_no_incarnation() -> None:
    """Late rumors do not make it race ahead."""
    held = beliefs_of()
    held.learn(suspect(OWN, 4, A), START)

    assert held.learn(suspect(OWN, 4, B), START) == []
    assert held.learn(dead(OWN, 3), START) == []
    assert held.incarnation == 5


def test_incarnation_that_could_not_be_refuted_is_not_believed() -> None:
    """A broken member cannot push another one to the end of the numbers."""
    held = beliefs_of()

    assert held.learn(dead(A, INCARNATION_MAX + 1), START) == []
    assert held.learn(dead(OWN, INCARNATION_MAX + 1), START) == []
    assert claims_of(held)[A] == (0, Health.ALIVE)
    assert held.incarnation == 0


# -- members -------------------------------------------------------------------


@given(heard=st.lists(updates(replicas=(STRANGER,)), max_size=10))
def test_rumor_about_a_stranger_changes_nothing(heard: list[Update]) -> None:
    """Only the durable list makes members (M2)."""
    held = beliefs_of()
    before = claims_of(held)
    held.updates()
    for update in heard:
        assert held.learn(update, START) == []

    assert claims_of(held) == before
    assert STRANGER not in {update.replica for update in held.updates()}


@given(
    before=st.lists(updates(), max_size=10),
    removed=st.sampled_from(OTHERS),
    after=st.lists(updates(), max_size=10),
)
def test_no_rumor_brings_a_removed_member_back(
    before: list[Update], removed: ReplicaId, after: list[Update]
) -> None:
    """It is out of beliefs, rumors, suspicions and probe orders (M2)."""
    held = beliefs_of()
    for update in before:
        held.learn(update, START)
    left = tuple(replica for replica in OTHERS if replica != removed)
    held.know(frozenset(left), iter(left))
    for update in after:
        held.learn(update, START)

    assert held.get(removed) is None
    assert removed not in {update.replica for update in held.updates()}
    assert len(held.living) + len(held.dead) == len(left)
    verdicts = held.expire(Millis(START + LONGEST))
    assert all(
        isinstance(effect, HealthChanged) and effect.replica != removed
        for effect in verdicts
    )


def test_members_that_stay_keep_their_health() -> None:
    """A change of the list is no amnesty."""
    held = beliefs_of((A, B))
    held.learn(suspect(A, 2, B), START)
    held.know(frozenset((A, C)), iter((A, C)))

    assert claims_of(held) == {A: (2, Health.SUSPECT), C: (0, Health.ALIVE)}


# -- suspicions ----------------------------------------------------------------


def test_suspect_is_dead_when_nobody_confirmed_and_the_longest_span_has_passed() -> (
    None
):
    """This node may be the one that is cut off, so it waits."""
    held = beliefs_of()
    held.learn(suspect(A, 0, OWN), START)

    assert held.expire(Millis(START + LONGEST - 1)) == []
    assert held.expire(Millis(START + LONGEST)) == [HealthChanged(A, Health.DEAD)]


def test_three_independent_confirmations_make_a_suspicion_shortest() -> None:
    """Counted from when this node first heard of it."""
    held = beliefs_of()
    for accuser in (B, C, D, E):
        held.learn(suspect(A, 0, accuser), START)

    assert held.expire(Millis(START + SHORTEST - 1)) == []
    assert held.expire(Millis(START + SHORTEST)) == [HealthChanged(A, Health.DEAD)]


def test_strangers_word_confirms_nothing() -> None:
    """Neither does the accuser's own, repeated."""
    held = beliefs_of()
    for accuser in (B, B, STRANGER, B):
        held.learn(suspect(A, 0, accuser), START)

    assert held.expire(Millis(START + LONGEST - 1)) == []


def test_confirmation_is_passed_on_and_repetition_is_not() -> None:
    """Each node sends a suspicion again for each of its first accusers."""
    held = beliefs_of()
    while held.updates():
        pass  # until it has told all that it knew
    for accuser in (B, C):
        held.learn(suspect(A, 0, accuser), START)
        assert held.updates() == (suspect(A, 0, accuser),)
    while held.updates():
        pass
    held.learn(suspect(A, 0, C), START)

    assert held.updates() == ()


def test_two_nodes_alone_wait_for_the_shortest_span() -> None:
    """Nobody else could confirm."""
    held = beliefs_of((A,))
    held.learn(suspect(A, 0, OWN), START)

    assert held.expire(Millis(START + SHORTEST)) == [HealthChanged(A, Health.DEAD)]


def test_dead_members_are_not_waited_for_as_witnesses() -> None:
    """With three of five dead, one who lives is enough."""
    held = beliefs_of()
    for gone in (C, D, E):
        held.learn(dead(gone, 0), START)
    held.learn(suspect(A, 0, OWN), START)
    held.learn(suspect(A, 0, B), START)

    assert held.expire(Millis(START + SHORTEST)) == [HealthChanged(A, Health.DEAD)]


def test_refuted_suspicion_ends_in_no_verdict() -> None:
    """And suspected once more, the whole span begins again."""
    held = beliefs_of()
    held.learn(suspect(A, 0, B), START)
    held.learn(alive(A, 1), START)
    assert held.expire(Millis(START + LONGEST)) == []

    held.learn(suspect(A, 1, B), Millis(START + LONGEST))
    assert held.expire(Millis(START + 2 * LONGEST - 1)) == []
    assert held.expire(Millis(START + 2 * LONGEST)) != []


def test_swim_of_2002_gives_every_suspect_the_shortest_span() -> None:
    """What Lifeguard is compared with."""
    held = beliefs_of(settings=SwimSettings(lifeguard=False))
    held.learn(suspect(A, 0, OWN), START)

    assert held.expire(Millis(START + SHORTEST)) == [HealthChanged(A, Health.DEAD)]
