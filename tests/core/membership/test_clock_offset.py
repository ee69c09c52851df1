"""Clock offset: the wrong node is fenced, no right one is, and nobody flaps (C1)."""

from collections.abc import Iterator
from itertools import combinations, groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.membership.clock_filter import AGE_MAX
from kvnode.core.membership.clock_offset import (
    KEPT_MAX,
    LIFT_AFTER,
    LIFT_PERCENT,
    PEERS_MAX,
    REFRESH,
    RTT_MAX,
    SAMPLE_ERROR,
    ClockOffset,
    InStep,
    Off,
    Undecided,
    agreed_time,
    refusal,
)
from kvnode.types import Millis, ReplicaId
from tests.core.membership.clocks import (
    EPOCH,
    HOUR,
    LIMIT,
    Probe,
    World,
    offsets,
    probes,
)

PEER = ReplicaId(1)
RIGHT = 100
"""So far off may a clock be that counts as right here, in ms."""

right_clocks = st.lists(st.integers(-RIGHT, RIGHT), min_size=2, max_size=5)


def distance(own: int, peers: list[int]) -> int:
    """Return how far *own* is from the median, the textbook's way (twin)."""
    clocks = sorted([own, *peers])
    low, high = clocks[(len(clocks) - 1) // 2], clocks[len(clocks) // 2]
    return max(low - own, own - high, 0)


def error(one_way_max: int) -> int:
    """Return how wrong a sample of fixed clocks may be, kept for a few seconds."""
    return one_way_max + SAMPLE_ERROR + 15


def heard_sets(heard: dict[int, tuple[int, int]], now: int) -> Iterator[list[int]]:
    """
    Yield the clocks, of those *heard* at some time, that may have a say at *now*.

    What is too old has none; that is noticed within a second (twin).
    """
    ages = [(offset, now - at) for offset, at in heard.values()]
    sure = [offset for offset, age in ages if age <= AGE_MAX]
    maybe = [offset for offset, age in ages if AGE_MAX < age <= AGE_MAX + REFRESH]
    for count in range(len(maybe) + 1):
        for some in combinations(maybe, count):
            yield [*sure, *some]


@given(
    own=offsets,
    peers=st.lists(offsets, min_size=1, max_size=6),
    steps=probes(2 * RTT_MAX),
)
@example(  # the one that agrees was heard too long ago to have a say
    own=0,
    peers=[562, 0, 0, HOUR],
    steps=[
        Probe(1, 0, 0),
        *[Probe(2, 2 * RTT_MAX, 2 * RTT_MAX)] * 8,
        Probe(0, 0, 0),
        Probe(3, 0, 0),
    ],
)
def test_node_within_the_limit_of_the_median_is_never_fenced(
    own: int, peers: list[int], steps: list[Probe]
) -> None:
    """However slow and lopsided the roads, and whoever has been heard so far."""
    world = World.of(*peers, own=own)
    heard: dict[int, tuple[int, int]] = {}

    for step in steps:
        world.probe(step)
        place = step.peer % len(peers)
        if step.out + step.back <= RTT_MAX:
            heard[place] = peers[place], world.true - step.pause
        if isinstance(world.judge(), Off):
            sets = heard_sets(heard, world.true)
            assert any(distance(own, clocks) > LIMIT for clocks in sets)
            return  # from here on it is lifted by other rules


@given(
    own=offsets,
    peers=st.lists(offsets, min_size=2, max_size=6),
    way=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_node_beyond_limit_and_error_is_fenced_by_one_probe_of_each(
    own: int, peers: list[int], way: tuple[int, int]
) -> None:
    """And what it says about its offset is true."""
    world = World.of(*peers, own=own)

    world.probe_all(*way)
    verdict = world.judge()

    apart = distance(own, peers)
    if apart > LIMIT + 2 * error(100):
        assert isinstance(verdict, Off)
    if isinstance(verdict, Off | InStep):
        assert abs(abs(verdict.ahead.offset) - apart) <= verdict.ahead.error


@given(
    own=st.integers(-RIGHT, RIGHT),
    right=right_clocks,
    wrong=st.lists(offsets, max_size=5),
    steps=st.lists(st.tuples(probes(900), st.lists(offsets, max_size=5)), max_size=4),
)
def test_right_node_is_never_fenced_while_most_clocks_are_right(
    own: int,
    right: list[int],
    wrong: list[int],
    steps: list[tuple[list[Probe], list[int]]],
) -> None:
    """Whatever the others' clocks do; all right ones have been heard at the start."""
    world = World.of(*right, *wrong[: len(right)], own=own)
    world.probe_all()

    for taken, set_to in steps:
        for place, off in enumerate(set_to[: len(wrong)], len(right) + 1):
            if ReplicaId(place) in world.peers:
                world.peers[ReplicaId(place)] = off
        for step in taken:
            world.probe(step)
            if world.true < AGE_MAX:
                assert not isinstance(world.judge(), Off)


@settings(deadline=None)  # an example is a minute of probes
@given(right=right_clocks, jump=st.integers(1000, 10**9), sign=st.sampled_from((-1, 1)))
def test_own_jump_shows_without_another_probe(
    right: list[int], jump: int, sign: int
) -> None:
    """And is over a while after the clock was set right."""
    world = World.of(*right)
    world.probe_all()
    assert isinstance(world.judge(), InStep)

    world.own = sign * jump
    verdict = world.judge()
    assert isinstance(verdict, Off)
    assert (verdict.ahead.offset > 0) == (sign > 0)
    assert isinstance(world.wait(2 * LIFT_AFTER), Off)

    world.own = 0
    assert isinstance(world.judge(), Off)
    assert isinstance(world.wait(LIFT_AFTER + 200), InStep)


@given(
    own=st.integers(-3 * LIMIT, 3 * LIMIT),
    right=st.lists(st.just(0), min_size=2, max_size=4),
    steps=probes(80),
)
def test_constant_offset_is_judged_alike_for_ever(
    own: int, right: list[int], steps: list[Probe]
) -> None:
    """No flapping at the border: error is below the gap between the two limits."""
    assert error(80) < LIMIT - LIMIT * LIFT_PERCENT // 100 + SAMPLE_ERROR
    world = World.of(*right, own=own)
    world.probe_all(0, 80)

    verdicts = []
    for step in steps:
        world.probe(step)
        verdicts.append(type(world.judge()))

    runs = [kind for kind, _ in groupby(verdicts) if kind is not Undecided]
    assert runs in ([], [InStep], [Off], [InStep, Off])


def test_flickering_clock_stays_fenced() -> None:
    """It is not in step each time that it passes by."""
    world = World.of(0, 0)
    world.probe_all()

    verdicts = []
    for n in range(300):
        world.own = (n // 5 % 2) * 10_000
        verdicts.append(world.wait(100))

    first = next(n for n, each in enumerate(verdicts) if isinstance(each, Off))
    assert first <= 5
    assert all(isinstance(each, Off) for each in verdicts[first:])


@given(own=offsets, peer=offsets, steps=probes(RTT_MAX))
def test_two_clocks_never_outvote_each_other(
    own: int, peer: int, steps: list[Probe]
) -> None:
    """To fence both would turn one wrong clock into an outage."""
    world = World.of(peer, own=own)

    for step in steps:
        world.probe(step)
        assert isinstance(world.judge(), Undecided)


def test_two_pairs_do_not_outvote_each_other() -> None:
    """As many on one side as on the other: nobody can tell."""
    world = World.of(0, HOUR, HOUR)
    world.probe_all()

    assert world.judge() == Undecided(4)


def test_node_alone_is_never_fenced() -> None:
    """A cluster of one has no peers, and a clock of its own."""
    world = World({})
    world.judge()
    world.own = HOUR

    assert world.wait(10_000) == Undecided(1)


def test_silence_ends_a_verdict_but_not_a_fence() -> None:
    """Being cut off does not set a clock right."""
    right, wrong = World.of(0, 0), World.of(0, 0, own=HOUR)
    right.probe_all()
    wrong.probe_all()

    assert right.wait(AGE_MAX + 2000, probing=False) == Undecided(1)
    assert isinstance(wrong.wait(AGE_MAX + 2000, probing=False), Off)

    right.own = HOUR  # who knows: perhaps it was wrong before
    assert right.wait(LIFT_AFTER, probing=False) == Undecided(1)
    wrong.own = 0
    assert wrong.wait(LIFT_AFTER + 200, probing=False) == Undecided(1)


def test_small_offset_is_forgiven_after_long_silence() -> None:
    """Clocks may have drifted together: 1 ms a second is allowed for."""
    world = World.of(0, 0, own=600)
    world.probe_all()
    assert isinstance(world.judge(), Off)

    assert isinstance(world.wait(AGE_MAX + 195_000, probing=False), Off)
    assert isinstance(world.wait(15_000, probing=False), Undecided)


@given(slept=st.integers(2000, 10**8))
def test_node_that_slept_is_right_again_after_a_few_probes(slept: int) -> None:
    """Its steady clock stood still, so that its wall clock seems to have jumped."""
    world = World.of(0, 0)
    world.probe_all()
    world.true, world.slept = world.true + slept, slept

    assert isinstance(world.judge(), Off)
    assert isinstance(world.wait(RTT_MAX + LIFT_AFTER + 2000), InStep)


def test_probe_that_an_own_step_fell_into_is_not_looked_at() -> None:
    """Its midpoint is wrong by half of the step, its round trip by all of it."""
    world = World.of(0, 0)
    world.probe_all()
    at = world.now
    world.own = 1000

    world.offsets.measured(PEER, rtt=Millis(0), offset=Millis(-500), at=world.now)
    world.own = 0
    world.offsets.measured(PEER, rtt=Millis(0), offset=Millis(-500), at=world.now)

    known = world.offsets.of_peer(PEER, at)
    assert known is not None
    assert abs(known.offset) <= known.error


@pytest.mark.parametrize("rtt", [-1, RTT_MAX + 1])
def test_impossible_and_endless_round_trips_say_nothing(rtt: int) -> None:
    """The first comes of a clock that was set back meanwhile."""
    offsets = ClockOffset(offset_max=LIMIT)
    at = ClockReading(Millis(EPOCH), Millis(0))

    offsets.measured(PEER, rtt=Millis(rtt), offset=Millis(0), at=at)

    assert offsets.of_peer(PEER, at) is None


def test_no_more_peers_are_kept_than_a_node_knows_of() -> None:
    """The one not heard for longest goes."""
    world = World.of(*([0] * (PEERS_MAX + 10)))
    for n in range(PEERS_MAX + 10):
        world.probe(Probe(n, 1, 1, pause=1))

    verdict = world.judge()
    assert isinstance(verdict, InStep)
    assert verdict.clocks == PEERS_MAX + 1
    assert world.offsets.of_peer(ReplicaId(10), world.now) is None
    assert world.offsets.of_peer(ReplicaId(11), world.now) is not None


def test_peer_that_is_no_member_any_more_has_no_say() -> None:
    """Nor is anything known of its clock."""
    world = World.of(0, 0, own=HOUR)
    world.probe_all()
    world.offsets.forget(ReplicaId(2), world.now)

    assert world.judge() == Undecided(2)
    assert world.offsets.of_peer(ReplicaId(2), world.now) is None


@given(
    peer=offsets,
    own=offsets,
    way=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    times=st.tuples(st.integers(0, 20_000), st.integers(0, 5000)),
    jump=st.sampled_from((0, -HOUR, HOUR)),
)
def test_what_a_peer_dates_was_sent_no_earlier_than_told(
    peer: int,
    own: int,
    way: tuple[int, int],
    times: tuple[int, int],
    jump: int,
) -> None:
    """S3: a bound may be too careful, by the error, and never too bold."""
    age, travelled = times
    world = World.of(peer, own=own)
    world.probe(Probe(0, *way, pause=age))
    sent = world.now
    shown = Millis(EPOCH + world.true + peer)
    world.true += travelled
    world.own += jump

    told = world.offsets.sent_at(PEER, shown, world.now)

    assert told is not None
    assert sent.steady - 2 * (error(300) + 25) <= told <= sent.steady


@given(jump=st.integers(-(10**9), 10**9), travelled=st.integers(0, 1000))
def test_peer_whose_clock_was_set_since_is_believed_no_later_than_receipt(
    jump: int, travelled: int
) -> None:
    """S3: of a jump ahead nothing is promised, or what had come by then."""
    world = World.of(0)
    world.probe_all()
    shown = Millis(EPOCH + world.true + jump)
    world.true += travelled

    told = world.offsets.sent_at(PEER, shown, world.now)

    if told is None:
        assert jump > 0
    else:
        assert told <= world.now.steady


def test_peer_that_was_never_measured_promises_nothing() -> None:
    """S3: nobody knows what its dates mean."""
    world = World.of(0)

    assert world.offsets.sent_at(PEER, Millis(EPOCH), world.now) is None


def test_agreed_time_is_the_medians_only_while_our_clock_is_off() -> None:
    """A right clock is not moved about by the errors of probes."""
    world = World.of(0, 0, own=HOUR)
    before = world.judge()
    assert agreed_time(before, world.now.wall) == world.now.wall
    world.probe_all()

    agreed = agreed_time(world.judge(), world.now.wall)

    assert abs(agreed - (EPOCH + world.true)) <= error(5)


def test_refusal_says_how_far_off_by_whom_and_what_to_do() -> None:
    """C1: UNAVAILABLE says why."""
    world = World.of(0, 0, own=-HOUR)
    world.probe_all()
    verdict = world.judge()
    assert isinstance(verdict, Off)

    told = refusal(verdict, LIMIT)

    assert f"{abs(verdict.ahead.offset)} ms behind the median of 3 clocks" in told
    assert "Set its clock right" in told
    world.own = 0
    verdict = world.judge()
    assert isinstance(verdict, Off)
    assert "Wait" in refusal(verdict, LIMIT)


def test_bounds_of_staleness_outlast_verdicts() -> None:
    """In a large cluster each member is probed once in many minutes."""
    world = World.of(0, 0)
    world.probe_all()
    assert world.wait(AGE_MAX + 2000, probing=False) == Undecided(1)

    sent = world.true
    told = world.offsets.sent_at(PEER, Millis(EPOCH + sent), world.now)

    assert told is not None
    assert sent - 200 <= told <= sent
    world.true += KEPT_MAX
    assert world.offsets.sent_at(PEER, world.now.wall, world.now) is None
