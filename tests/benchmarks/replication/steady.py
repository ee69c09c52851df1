"""
Clients that go on at an even rate while something happens to the cluster.

One writes, every key once; one reads what never changes, and judges it.  Each of
their operations belongs to the spell in which it was due.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvnode.client import Client, Put
from tests.benchmarks.dataset import Dataset
from tests.benchmarks.fact import Facts
from tests.benchmarks.measurement import WrongAnswerError
from tests.benchmarks.pacing import OpenLoop, Paced

BATCH_WRITES = 10
"""So that three nodes and their clients leave the cores of one machine some room."""

READS_PER_SECOND = 500
READ_KEYS = 1000
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of time, [since, until) in ns, and what it is called."""

    name: str
    since: int
    until: int


def puts(client: Client, dataset: Dataset, *, per_second: int) -> OpenLoop:
    """Return a loop that puts values of *dataset* under ever new keys."""

    async def put(number: int) -> None:
        await client.put(*_pair(dataset, number))

    return OpenLoop(put, per_second=per_second)


def batches(client: Client, dataset: Dataset, *, writes_per_second: int) -> OpenLoop:
    """Return a loop of batches, each of BATCH_WRITES such puts."""

    async def write(number: int) -> None:
        first = number * BATCH_WRITES
        await client.batch(
            [Put(*_pair(dataset, n)) for n in range(first, first + BATCH_WRITES)]
        )

    return OpenLoop(write, per_second=max(1, writes_per_second // BATCH_WRITES))


def _pair(dataset: Dataset, number: int) -> tuple[str, bytes]:
    value = dataset.values[number % len(dataset.values)]
    return f"steady/written/{number:012}", value


def reads(client: Client, dataset: Dataset) -> OpenLoop:
    """Return a loop that gets the pairs of *dataset*, which must be there."""

    async def get(number: int) -> None:
        index = number % len(dataset.keys)
        found = await client.get(dataset.keys[index])
        if found is None or found.value != dataset.values[index]:
            msg = f"{dataset.keys[index]!r} does not hold what was put"
            raise WrongAnswerError(msg)

    return OpenLoop(get, per_second=READS_PER_SECOND)


def add_spells(facts: Facts, what: str, paced: Paced, spells: Sequence[Spell]) -> None:
    """Take down how *what* fared in each of *spells* that it was asked in."""
    for spell in spells:
        if spans := paced.spans(spell.since, spell.until):
            facts.add_quantiles(f"{what} {spell.name}", spans)
            late = paced.lateness(spell.since, spell.until)
            facts.add_quantiles(f"{what} {spell.name}, sent late", late)
