"""Streams of chance: apart from each other, and the same every time."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.simulated.chance import Chance, Stream

SEEDS = st.integers(-(2**70), 2**70)


def _draws(stream: Stream, count: int = 20) -> list[float]:
    return [stream.between(0, 1, 0.5) for _ in range(count)]


@given(seed=SEEDS, name=st.text(max_size=20))
def test_stream_depends_on_seed_and_name_alone(seed: int, name: str) -> None:
    """What other streams have drawn makes no difference."""
    other = Chance(seed)
    _draws(other.stream("something else"))

    assert _draws(Chance(seed).stream(name)) == _draws(other.stream(name))


@given(seed=SEEDS)
def test_streams_of_other_names_and_seeds_differ(seed: int) -> None:
    """Or two purposes would always agree."""
    chance = Chance(seed)
    first = _draws(chance.stream("a"))

    assert first != _draws(chance.stream("b"))
    assert first != _draws(Chance(seed + 1).stream("a"))


@given(seed=SEEDS)
def test_calm_stream_is_nominal_and_leaves_the_others_alone(seed: int) -> None:
    """The way a failing run is cut down."""
    calm, wild = Chance(seed, frozenset({"a"})), Chance(seed)
    stream = calm.stream("a")

    assert stream.between(1, 9, 2) == 2
    assert stream.uniform(1, 9) == 5
    assert not stream.happens(1.0)
    assert stream.pick("xyz") == "x"
    assert _draws(calm.stream("b")) == _draws(wild.stream("b"))


@given(seed=SEEDS, low=st.floats(-1e6, 1e6), span=st.floats(0, 1e6))
def test_draws_keep_their_range(seed: int, low: float, span: float) -> None:
    """Whatever the range."""
    stream = Chance(seed).stream("range")

    assert low <= stream.between(low, low + span, low) <= low + span
    assert 0 <= stream.below(7) < 7


def test_calm_identities_differ() -> None:
    """Two nodes with one identity would lose writes."""
    stream = Chance(1, frozenset({"identities"})).stream("identities")

    assert len({stream.identity() for _ in range(50)}) == 50


def test_names_are_those_asked_for() -> None:
    """So that a shrinker knows what it can calm."""
    chance = Chance(1)
    chance.stream("b")
    chance.stream("a")

    assert chance.names() == ("a", "b")
