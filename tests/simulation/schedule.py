"""
Schedules: what happens in a run, as a list of small numbers.

A step says what happens, where, and with `pick` which of its variants.  Every
list of steps is a valid schedule, so that Hypothesis may cut one down, and one
made from a seed can be cut down too (`shrunk`).
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from kvnode.core.node.commands import (
    LOCAL,
    AddToCounter,
    Command,
    Delete,
    Put,
    Replicas,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.versions.version import NEVER
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, Millis
from tests.simulation.client import Client
from tests.simulation.network import Network
from tests.simulation.site import Fate, Site
from tests.strategies import YJS_UPDATES

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
}
NAMES = tuple(name for name, weight in WEIGHTS.items() for _ in range(weight))
PICK_MAX = 2**24
SWARM = (0, 1, 1, 1, 4)

MEMBERS = (b"a", b"b", b"c" * 40, b"d" * 90)
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


def schedule_of(seed: int, size: int) -> list[Step]:
    """
    Return the schedule that *seed* stands for.

    Each seed leaves some kinds of steps out and favours others: runs that all
    look alike miss what needs many of one kind.

    Source:
        Groce et al., 2012.  Swarm testing.
    """
    rng = Random(seed)
    weights = [weight * rng.choice(SWARM) for weight in WEIGHTS.values()]
    names = rng.choices(tuple(WEIGHTS), weights, k=size)
    return [Step(name, rng.randrange(8), rng.randrange(PICK_MAX)) for name in names]


class Picks:
    """One number as a row of small choices."""

    def __init__(self, value: int) -> None:
        self._value = value

    def below(self, count: int) -> int:
        """Return a choice from 0 to *count* - 1."""
        self._value, choice = divmod(self._value, count)
        return choice


def perform(network: Network, schedule: Sequence[Step]) -> None:
    """Let *schedule* happen, then heal the network and judge the end."""
    for number, step in enumerate(schedule):
        _perform(network, step, number)
    network.heal()


def _perform(network: Network, step: Step, number: int) -> None:
    picks = Picks(step.pick)
    site = network.sites[step.at % len(network.sites)]
    other = network.sites[(step.at + 1 + picks.below(2)) % len(network.sites)]
    match step.name:
        case "write":
            turn_now = picks.below(3) > 0
            _write(network, site, picks, number)
            if turn_now:
                network.turn(site)
        case "read":
            client = network.clients[picks.below(len(network.clients))]
            if client.may_use(site):
                client.read(site, _key(picks))
        case "list":
            client = network.clients[picks.below(len(network.clients))]
            if client.may_use(site):
                client.list(site)
        case "deliver":
            for _ in range(1 + picks.below(3)):
                network.deliver(other, site)
            if picks.below(4):
                network.turn(site)
        case "page":
            site.serve_page(other.replica)
        case "stage":
            network.stage(site)
        case "turn":
            network.turn(site)
        case "tick":
            network.tick(site)
            network.turn(site)
        case "pause":
            network.now = Millis(network.now + PAUSES[picks.below(len(PAUSES))])
        case "drop":
            network.drop(site, other)
        case "connect":
            network.connect(site, other)
        case "crash":
            fates = (Fate.CRASH_BEFORE_COMMIT, Fate.CRASH_AFTER_COMMIT)
            if site.busy:
                network.turn(site, fates[picks.below(2)])
            else:
                network.crash(site)
        case "full":
            network.deliver(other, site)
            network.deliver(other, site)
            _write(network, site, picks, number)  # or there may be nothing to store
            network.turn(site, Fate.STORE_FULL)
        case "skew":
            site.skew = SKEWS[picks.below(len(SKEWS))]
        case "sync":
            site.sync()
        case _:
            assert step.name == "idle", step.name


# -- what clients write ------------------------------------------------------


def _at(name: bytes) -> EntryKey:
    return EntryKey(DEFAULT_NAMESPACE, name)


REGISTERS = (_at(b"r0"), _at(b"r1"), _at(b"r2"))
COUNTER = _at(b"counter")
SET = _at(b"set")
DOCUMENT = _at(b"document")
MIXED = _at(b"mixed")
KEYS = (*REGISTERS, COUNTER, SET, DOCUMENT, MIXED)


def _key(picks: Picks) -> EntryKey:
    return KEYS[picks.below(len(KEYS))]


def _write(network: Network, site: Site, picks: Picks, number: int) -> None:
    client = network.clients[picks.below(len(network.clients))]
    if not client.may_use(site):
        return
    waits = picks.below(8) == 0
    count = 1 + (picks.below(4) == 0) + 2 * (picks.below(8) == 0)
    commands = tuple(
        _command(client, picks, number * 10 + n, network.now, only_puts=waits)
        for n in range(count)
    )
    replicas = Replicas(2, patience=Millis(500)) if waits else LOCAL
    client.write(site, network.write_number(client), commands, replicas)


def _command(
    client: Client, picks: Picks, number: int, now: Millis, *, only_puts: bool
) -> Command:
    key = REGISTERS[picks.below(3)] if only_puts else _key(picks)
    if key == COUNTER:
        return AddToCounter(key, 1 + picks.below(5))
    if key == SET:
        return _update_set(key, picks)
    if key == DOCUMENT:
        return UpdateDocument(key, YJS_UPDATES[picks.below(len(YJS_UPDATES))])
    makers: tuple[Callable[[], Command], ...] = (
        lambda: _put(client, key, picks, number, now),
        lambda: _put(client, key, picks, number, now),
        lambda: _delete(client, key, picks),
    )
    if key == MIXED:
        makers += (
            lambda: AddToCounter(key, 1 + picks.below(5)),
            lambda: _update_set(key, picks),
        )
    return makers[picks.below(len(makers))]()


def _update_set(key: EntryKey, picks: Picks) -> UpdateSet:
    member = MEMBERS[picks.below(len(MEMBERS))]
    if picks.below(3):
        return UpdateSet(key, (member,), ())
    return UpdateSet(key, (), (member,))


def _put(
    client: Client, key: EntryKey, picks: Picks, number: int, now: Millis
) -> Command:
    sizes = (0, 0, 0, 100, 300)  # inline; announced; of several windows
    value = b"value %d " % number + b"." * sizes[picks.below(len(sizes))]
    deadline = Millis(now + 500) if picks.below(8) == 0 else NEVER
    condition = picks.below(8)
    if condition == 0:
        return Put(key, value, deadline=deadline, if_absent=True)
    if condition == 1:
        return Put(key, value, deadline=deadline, if_dot=_known_dot(client, key))
    return Put(key, value, deadline=deadline)


def _delete(client: Client, key: EntryKey, picks: Picks) -> Command:
    return Delete(key, _known_dot(client, key) if picks.below(4) == 0 else None)


def _known_dot(client: Client, key: EntryKey) -> Dot | None:
    known = client.knowledge.get(key)
    return known.version.dot if known else None


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
