"""Who gives which lead to whom: a pure choice, and where a cluster ends up by it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.spreading import (
    CAUGHT_UP_ENTRIES,
    Follower,
    Lead,
    Step,
    heirs_of,
    may_take,
    next_step,
    step_home,
)

NAMES = ("a", "b", "c", "d", "e")


def lead(shard: str, *followers: str) -> Lead:
    """Return a lead whose followers have everything."""
    return Lead(shard, tuple(Follower(node, 0, is_silent=False) for node in followers))


@pytest.mark.parametrize(
    ("follower", "may_lead"),
    [
        (Follower("b", 0, is_silent=False), True),
        (Follower("b", CAUGHT_UP_ENTRIES, is_silent=False), True),
        (Follower("b", CAUGHT_UP_ENTRIES + 1, is_silent=False), False),
        (Follower("b", 0, is_silent=True), False),
        (Follower("", 0, is_silent=False), False),
    ],
)
def test_heir_is_there_and_has_nearly_everything(
    follower: Follower, *, may_lead: bool
) -> None:
    """Callers would wait for what it lacks, and for one that is away for ever."""
    assert heirs_of(Lead("s000", (follower,)), {}) == (["b"] if may_lead else [])


def test_who_leads_the_fewest_is_the_first_heir() -> None:
    """And of those that lead alike, the first by name."""
    led = lead("s000", "d", "c", "b")
    assert heirs_of(led, {"b": 5, "c": 4, "d": 4}) == ["c", "d", "b"]


def test_node_that_leads_two_more_gives_one() -> None:
    """The first of those that the other may lead."""
    leads = [lead("s000", "c"), lead("s001", "b", "c"), lead("s002", "b")]
    assert next_step("a", leads, {"b": 1, "c": 2}) == Step("s001", "b", gives=3)


def test_node_that_leads_one_more_gives_nothing() -> None:
    """The other would lead one more then, and give it back."""
    leads = [lead("s000", "b"), lead("s001", "b")]
    assert next_step("a", leads, {"b": 1}) is None
    assert not may_take(gives=2, takes=1)
    assert may_take(gives=2, takes=0)


def test_node_that_leads_the_most_gives_first() -> None:
    """Else two move at a time; of those that lead alike it is the last by name."""
    leads = [lead(f"s{n:03}", "c") for n in range(4)]
    assert next_step("a", leads, {"b": 5, "c": 0}) is None
    assert next_step("a", leads, {"b": 4, "c": 0}) is None
    assert next_step("b", leads, {"a": 4, "c": 0}) == Step("s000", "c", gives=4)


def test_node_that_leads_nothing_gives_nothing() -> None:
    """It has only just come back."""
    assert next_step("a", [], {"b": 0, "c": 0}) is None


def away(shard: str, *followers: Follower) -> Lead:
    """Return a lead of a region in which this node is not."""
    return Lead(shard, followers, is_home=False)


def test_lead_goes_home_whatever_others_lead() -> None:
    """To the one there that leads the fewest; helpers elsewhere are no home."""
    helper = Follower("b", 0, is_silent=False, is_home=False)
    homes = (Follower(node, 0, is_silent=False) for node in "cd")
    leads = [lead("r.east.000", "b"), away("r.west.000", helper, *homes)]
    assert step_home(leads, {"b": 0, "c": 9, "d": 8}) == Step("r.west.000", "d")


def test_lead_stays_away_while_nobody_at_home_is_fit() -> None:
    """It goes to no other helper."""
    silent = Follower("c", 0, is_silent=True)
    helper = Follower("b", 0, is_silent=False, is_home=False)
    assert step_home([away("r.west.000", helper, silent)], {}) is None
    assert step_home([lead("r.west.001", "c")], {}) is None


def test_lead_is_not_shared_with_helpers() -> None:
    """They lead nothing of the region unless its nodes are gone; then they may."""
    helper = Follower("b", 0, is_silent=False, is_home=False)
    home = Follower("c", 0, is_silent=False)
    leads = [Lead(f"r.west.{n:03}", (helper, home)) for n in range(3)]
    assert next_step("a", leads, {"c": 0}) == Step("r.west.000", "c", gives=3)
    assert (
        next_step("a", [each._replace(followers=(helper,)) for each in leads], {})
        is None
    )
    assert heirs_of(leads[0], {"b": 0, "c": 5}) == ["c", "b"]


placements = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), st.randoms()).map(
        lambda drawn: (drawn[1].choice(sorted(drawn[0])), frozenset(drawn[0]))
    ),
    min_size=1,
    max_size=20,
)


@given(placements)
def test_leads_settle_whoever_keeps_them(
    placed: list[tuple[str, frozenset[str]]],
) -> None:
    """Each step makes the numbers more alike, though nodes know of their own shards."""
    leaders = [leader for leader, _ in placed]
    keepers = [kept for _, kept in placed]
    squares = _squares(leaders)
    for _ in range(squares):
        steps = _steps(leaders, keepers)
        if not steps:
            break
        place, heir = steps[0]
        leaders[place] = heir
        assert _squares(leaders) < squares
        squares = _squares(leaders)
    assert not _steps(leaders, keepers)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=20))
def test_nodes_that_keep_everything_end_up_leading_alike(leaders: list[str]) -> None:
    """Whoever led before: no two of them differ by more than one."""
    keepers = [frozenset(NAMES)] * len(leaders)
    while steps := _steps(leaders, keepers):
        assert len(steps) == 1, "one lead moves at a time"
        place, heir = steps[0]
        leaders[place] = heir
    counts = [leaders.count(name) for name in NAMES]
    assert max(counts) - min(counts) <= 1


def _steps(
    leaders: Sequence[str], keepers: Sequence[frozenset[str]]
) -> list[tuple[int, str]]:
    """Return which steps the nodes take, each by what its replicas have heard."""
    steps = []
    for own in NAMES:
        leads = [
            Lead(
                f"s{place:03}",
                lead("", *sorted(kept - {own})).followers,
            )
            for place, kept in enumerate(keepers)
            if leaders[place] == own
        ]
        step = next_step(own, leads, _heard(own, leaders, keepers))
        if step is not None:
            takes = leaders.count(step.heir)
            if may_take(gives=len(leads), takes=takes):
                steps.append((int(step.shard[1:]), step.heir))
    return steps


def _heard(
    own: str, leaders: Sequence[str], keepers: Sequence[frozenset[str]]
) -> Mapping[str, int]:
    """Return how many leads of others *own* knows of."""
    counts = Counter(dict.fromkeys(set(NAMES) - {own}, 0))
    for leader, kept in zip(leaders, keepers, strict=True):
        if leader != own and own in kept:
            counts[leader] += 1
    return counts


def _squares(leaders: Sequence[str]) -> int:
    return sum(count**2 for count in Counter(leaders).values())
