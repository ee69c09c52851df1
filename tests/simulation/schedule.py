"""
Schedules: what happens in a run, as a list of small numbers.

A step says what happens, where, and with `pick` which of its variants.  Every
list of steps is a valid schedule, so that Hypothesis may cut one down, and one
made from a seed can be cut down too (`shrunk`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from kvnode.types import Millis
from tests.simulation.network import Network
from tests.simulation.site import Fate, Site
from tests.simulation.workload import Picks, delete_last, list_all, read, write

WEIGHTS = {
    "idle": 1,
    "write": 14,
    "read": 6,
    "list": 1,
    "deliver": 26,
    "page": 12,
    "stage": 8,
    "turn": 6,
    "tick": 6,
    "pause": 3,
    "drop": 3,
    "connect": 5,
    "crash": 2,
    "full": 2,
    "skew": 1,
    "sync": 1,
    "quiet": 1,
}
PAGE_BY_PAGE = {
    "write": 10,
    "deliver": 10,
    "page": 20,
    "drop": 2,
    "connect": 3,
    "turn": 3,
    "tick": 1,
}
"""A mix in which much happens between two pages of a delta."""
FORGETFUL = {
    "write": 16,
    "read": 2,
    "deliver": 20,
    "page": 6,
    "stage": 3,
    "tick": 8,
    "pause": 5,
    "drop": 3,
    "connect": 5,
    "crash": 1,
    "quiet": 5,
}
"""A mix in which members often agree, and something is under way meanwhile."""
LATE = {"write": 10, "delete": 6, "deliver": 1, "turn": 2, "late": 6}
"""A mix in which members agree again and again while one direction stands still."""
SET_BACK = {"write": 12, "delete": 6, "quiet": 6, "skew": 5, "deliver": 4}
"""A mix in which members agree, and their wall clocks jump."""
RESTORING = FORGETFUL | {"copy": 3, "restore": 2}
"""As `FORGETFUL`, and a site is now and then what it was, or nothing."""
FILLED = {
    "write": 10,
    "delete": 4,
    "deliver": 10,
    "page": 8,
    "connect": 6,
    "drop": 3,
    "tick": 5,
    "restore": 1,
    "late": 3,
    "quiet": 1,
}
"""A mix in which one site is filled, slowly, while the others agree."""

NAMES = tuple(name for name, weight in WEIGHTS.items() for _ in range(weight))
PICK_MAX = 2**24
SWARM = (0, 1, 1, 1, 4)

PAUSES = (10, 60, 150, 600, 1100, 11_000)
SKEWS = (0, -400, 300, -5000, 60_000)


class Step(NamedTuple):
    """One thing that happens."""

    name: str
    at: int
    pick: int


steps = st.builds(
    Step, st.sampled_from(NAMES), st.integers(0, 7), st.integers(0, PICK_MAX)
)


def schedules(size: int) -> st.SearchStrategy[list[Step]]:
    """Schedules of *size* steps; they shrink to ones that mostly idle."""
    return st.lists(steps, min_size=size, max_size=size)


def schedule_of(
    seed: int, size: int, weights: Mapping[str, int] | None = None
) -> list[Step]:
    """
    Return the schedule that *seed* stands for.

    Each seed leaves some kinds of steps out and favours others, if *weights* are
    not given: runs that all look alike miss what needs many of one kind.

    Source:
        Groce et al., 2012.  Swarm testing.
    """
    rng = Random(seed)
    if weights is None:
        weights = {name: w * rng.choice(SWARM) for name, w in WEIGHTS.items()}
    names = rng.choices(tuple(weights), tuple(weights.values()), k=size)
    return [Step(name, rng.randrange(8), rng.randrange(PICK_MAX)) for name in names]


def perform(network: Network, schedule: Sequence[Step]) -> None:
    """Let *schedule* happen, then heal the network and judge the end."""
    for number, step in enumerate(schedule):
        _perform(network, step, number)
    network.heal()


def _perform(network: Network, step: Step, number: int) -> None:
    picks = Picks(step.pick)
    site = network.sites[step.at % len(network.sites)]
    other = network.sites[(step.at + 1 + picks.below(2)) % len(network.sites)]
    if step.name in _AT_ONE_SITE:
        _AT_ONE_SITE[step.name](network, site, picks)
    elif step.name in _BETWEEN_TWO:
        _BETWEEN_TWO[step.name](network, site, other, picks)
    elif step.name == "write":
        turn_now = picks.below(3) > 0
        write(network, site, picks, number)
        if turn_now:
            network.turn(site)
    elif step.name == "full":
        network.deliver(other, site)
        network.deliver(other, site)
        write(network, site, picks, number)  # or there may be nothing to store
        network.turn(site, Fate.STORE_FULL)
    else:
        assert step.name == "idle", step.name


def _tick(network: Network, site: Site, _: Picks) -> None:
    network.tick(site)
    network.turn(site)


def _pause(network: Network, _: Site, picks: Picks) -> None:
    network.now = Millis(network.now + PAUSES[picks.below(len(PAUSES))])


def _delete(network: Network, site: Site, picks: Picks) -> None:
    delete_last(network, site, picks)
    network.turn(site)


def _crash(network: Network, site: Site, picks: Picks) -> None:
    fates = (Fate.CRASH_BEFORE_COMMIT, Fate.CRASH_AFTER_COMMIT)
    if site.busy:
        network.turn(site, fates[picks.below(2)])
    else:
        network.crash(site)


def _skew(_: Network, site: Site, picks: Picks) -> None:
    site.skew = SKEWS[picks.below(len(SKEWS))]


def _deliver(network: Network, site: Site, other: Site, picks: Picks) -> None:
    for _ in range(1 + picks.below(3)):
        network.deliver(other, site)
    if picks.below(4):
        network.turn(site)


def _page(_: Network, site: Site, other: Site, __: Picks) -> None:
    site.serve_page(other.replica)


def _rest(network: Network, site: Site, other: Site, picks: Picks) -> None:
    network.rest(site, other, 1 + picks.below(4), late=picks.below(2) == 0)


def _late(network: Network, site: Site, other: Site, picks: Picks) -> None:
    network.rest(site, other, 6, late=True, slow=picks.below(2) == 0)


_AT_ONE_SITE: dict[str, Callable[[Network, Site, Picks], None]] = {
    "read": read,
    "list": list_all,
    "stage": lambda network, site, _: network.stage(site),
    "turn": lambda network, site, _: network.turn(site),
    "tick": _tick,
    "pause": _pause,
    "crash": _crash,
    "skew": _skew,
    "delete": _delete,
    "sync": lambda _, site, __: site.sync(),
    "copy": lambda network, site, _: network.copy(site),
    "restore": lambda network, site, _: network.restore(site),
}

_BETWEEN_TWO: dict[str, Callable[[Network, Site, Site, Picks], None]] = {
    "deliver": _deliver,
    "page": _page,
    "drop": lambda network, site, other, _: network.drop(site, other),
    "connect": lambda network, site, other, _: network.connect(site, other),
    "quiet": _rest,
    "late": _late,
}


# -- making failures small ---------------------------------------------------


def shrunk(
    schedule: Sequence[Step], fails: Callable[[Sequence[Step]], bool]
) -> list[Step]:
    """Return a part of *schedule* that fails still, and none of whose steps can go."""
    kept = list(schedule)
    size = len(kept) // 2
    while size:
        for start in _starts(len(kept), size):
            shorter = kept[:start] + kept[start + size :]
            if fails(shorter):
                kept = shorter
        size //= 2
    return kept


def _starts(length: int, size: int) -> Iterator[int]:
    yield from range(length - size, -1, -size)
