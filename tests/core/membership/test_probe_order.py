"""The order of probes: everybody once a round, whoever comes and goes."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvnode.core.membership.probe_order import ProbeOrder
from kvnode.types import ReplicaId


def order_of(count: int) -> ProbeOrder:
    """Return an order of members 1 to *count*, at the beginning of a round."""
    order = ProbeOrder()
    for number in range(1, count + 1):
        order.add(ReplicaId(number))
    return order


@given(count=st.integers(1, 30), rounds=st.integers(1, 4), seed=st.integers())
def test_round_visits_each_member_once(count: int, rounds: int, seed: int) -> None:
    """SWIM section 4.3: the time to a detection is bounded."""
    order, rng = order_of(count), Random(seed)
    for _ in range(rounds):
        visited = [order.next(rng) for _ in range(count)]

        assert sorted(map(int, filter(None, visited))) == list(range(1, count + 1))


def test_rounds_differ_in_their_order() -> None:
    """Nodes that go round in step would probe the same member at once."""
    order, rng = order_of(20), Random(1)

    first, second = ([order.next(rng) for _ in range(20)] for _ in range(2))

    assert first != second


def test_nobody_has_a_turn_in_an_empty_order() -> None:
    """A cluster of one probes nobody."""
    order = ProbeOrder()

    assert order.next(Random(1)) is None
    assert not list(order.some(3, Random(1)))


def test_member_that_comes_and_goes_takes_no_turn_of_the_others() -> None:
    """Five that died and came back all the time once had all the turns."""
    order, rng = order_of(10), Random(1)
    order.next(rng)
    visited = []
    for _ in range(18):
        for flapping in (ReplicaId(1), ReplicaId(2), ReplicaId(3)):
            order.remove(flapping)
            order.add(flapping)
        visited.append(order.next(rng))

    assert set(range(4, 11)) <= set(visited)


@given(count=st.integers(1, 10), wanted=st.integers(0, 15), seed=st.integers())
def test_some_are_different_members_as_many_as_wanted_or_there_are(
    count: int, wanted: int, seed: int
) -> None:
    """From the end of the list it goes on at the front."""
    some = list(order_of(count).some(wanted, Random(seed)))

    assert len(some) == len(set(some)) == min(count, wanted)


class AgainstSets(RuleBasedStateMachine):
    """The order against a naive twin: who is in, and who has had a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.order = ProbeOrder()
        self.rng = Random(7)
        self.waiting: set[ReplicaId] = set()
        self.had_turn: set[ReplicaId] = set()

    @rule(number=st.integers(1, 12))
    def add_or_remove(self, number: int) -> None:
        """Somebody comes or goes."""
        member = ReplicaId(number)
        if member in self.waiting | self.had_turn:
            self.order.remove(member)
            self.waiting.discard(member)
            self.had_turn.discard(member)
        else:
            self.order.add(member)
            self.had_turn.add(member)

    @precondition(lambda self: self.waiting | self.had_turn)
    @rule()
    def turn(self) -> None:
        """The next is one who waits; if nobody does, all wait again."""
        if not self.waiting:
            self.waiting, self.had_turn = self.had_turn, set()
        member = self.order.next(self.rng)

        assert member in self.waiting
        self.waiting.discard(member)
        self.had_turn.add(member)

    @invariant()
    def holds_as_many(self) -> None:
        """Nobody is lost or there twice."""
        everybody = self.waiting | self.had_turn
        assert len(self.order) == len(everybody)
        assert set(self.order.some(20, Random(1))) == everybody


TestAgainstSets = AgainstSets.TestCase
