"""
A session sees its own writes at every node, however far apart they are (S1, S2).

Links are slowed so that a node that did not wait would answer too early; the
test without a session shows that it would.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from time import monotonic

import pytest
import pytest_asyncio

from kvnode.client import Client, Session
from kvnode.errors import NotCoveredError, Outcome
from tests.system.nodes import Fleet, ServedNode, connected, cut_off

pytestmark = pytest.mark.system

LINK_DELAY_MS = 25
SESSIONS = 100
STEPS_PER_SESSION = 50
DEADLINE_SECONDS = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far_apart(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[ServedNode]]:
    """Three nodes, each 25 ms from the others one way; each test has its own keys."""
    fleet = Fleet(tmp_path_factory.mktemp("far-apart"))
    try:
        nodes = fleet.add_peers("a", "b", "c", link_delay_ms=LINK_DELAY_MS)
        await fleet.start(nodes)
        await connected(*nodes)
        yield nodes
    finally:
        await fleet.close()


async def _clients(fleet: Fleet, nodes: Sequence[ServedNode]) -> list[Client]:
    return [await fleet.client(node, deadline=DEADLINE_SECONDS) for node in nodes]


class _Traveller:
    """Writes at one node and reads at another; knows what it must see."""

    def __init__(
        self, name: str, clients: Sequence[Client], chance: random.Random
    ) -> None:
        self._name = name.encode()
        self._clients = clients
        self._chance = chance
        self._sum = 0
        self._members: set[bytes] = set()
        self._token = b""

    async def travel(self, steps: int) -> int:
        """Take *steps* steps; return how many of them missed the write before."""
        missed = 0
        for number in range(steps):
            here, there = self._chance.sample(self._clients, 2)
            step = self._chance.choices(
                (self._put, self._delete, self._count, self._collect, self._replace),
                weights=(4, 2, 2, 1, 1),
            )[0]
            missed += not await step(here, there, b"%d" % number)
        return missed

    def _session(self, client: Client) -> Session:
        return client.session(self._token)

    async def _put(self, here: Client, there: Client, value: bytes) -> bool:
        session = self._session(here)
        await session.put(self._name, value)
        self._token = session.token
        found = await self._read(there)
        return found == value

    async def _delete(self, here: Client, there: Client, value: bytes) -> bool:
        """Put at one node, delete at another, read at the first again."""
        await self._put(there, here, value)
        session = self._session(here)
        await session.delete(self._name)
        self._token = session.token
        return await self._read(there) is None

    async def _replace(self, here: Client, there: Client, value: bytes) -> bool:
        """Delete at one node, put at another: the later write wins (R1)."""
        session = self._session(here)
        await session.delete(self._name)
        self._token = session.token
        return await self._put(there, here, value)

    async def _read(self, there: Client) -> bytes | None:
        session = self._session(there)
        found = await session.get(self._name)
        self._token = session.token
        return found.value if found else None

    async def _count(self, here: Client, there: Client, value: bytes) -> bool:
        del value
        amount = self._chance.randint(1, 9)
        session = self._session(here)
        await session.counter(self._name + b"/sum").increment(amount)
        self._sum += amount
        self._token = session.token
        session = self._session(there)
        total = await session.counter(self._name + b"/sum").value()
        self._token = session.token
        return total == self._sum

    async def _collect(self, here: Client, there: Client, value: bytes) -> bool:
        self._members.add(value)
        session = self._session(here)
        await session.set(self._name + b"/set").add(value)
        self._token = session.token
        session = self._session(there)
        found = await session.set(self._name + b"/set").members()
        self._token = session.token
        return found == self._members


class _Forgetful(_Traveller):
    """The same without a session: every call forgets what came before."""

    def _session(self, client: Client) -> Session:
        return client.session()


async def test_session_never_misses_its_writes_at_another_node(
    fleet: Fleet, far_apart: list[ServedNode], chance: random.Random
) -> None:
    """5,000 times: values, deletions, counters and sets, 100 sessions at once."""
    clients = await _clients(fleet, far_apart)
    travellers = [
        _Traveller(f"traveller-{number}", clients, random.Random(chance.random()))
        for number in range(SESSIONS)
    ]

    missed = await asyncio.gather(
        *(traveller.travel(STEPS_PER_SESSION) for traveller in travellers)
    )

    assert sum(missed) == 0


async def test_without_session_writes_are_missed_at_another_node(
    fleet: Fleet, far_apart: list[ServedNode], chance: random.Random
) -> None:
    """The test above can fail: the distance is there, and only the token bridges it."""
    clients = await _clients(fleet, far_apart)
    travellers = [
        _Forgetful(f"forgetful-{number}", clients, random.Random(chance.random()))
        for number in range(10)
    ]

    missed = await asyncio.gather(*(traveller.travel(10) for traveller in travellers))

    assert sum(missed) > 50


async def test_listing_of_a_session_shows_what_it_wrote_elsewhere(
    fleet: Fleet, far_apart: list[ServedNode]
) -> None:
    """A page is a read like any other."""
    here, there, _ = await _clients(fleet, far_apart)
    for number in range(20):
        session = here.session()
        await session.put(f"list/{number:02}", b"")

        page = await there.session(session.token).list("list/")

        assert len(page) == number + 1


async def test_session_sees_what_another_session_handed_on(
    fleet: Fleet, far_apart: list[ServedNode]
) -> None:
    """Writes follow reads: who read at b what was written at a is not undone at c."""
    a, b, c = await _clients(fleet, far_apart)
    first = a.session()
    await first.put("chain", b"1")
    second = b.session(first.token)
    found = await second.get("chain")
    assert found is not None
    await second.put("answer", b"to " + found.value)

    third = c.session(second.token)

    answer, question = await third.get("answer"), await third.get("chain")
    assert answer is not None
    assert question is not None
    assert (answer.value, question.value) == (b"to 1", b"1")


async def test_cut_off_node_says_what_it_lacks_within_the_deadline(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """UNAVAILABLE, since nothing happened, and not later than the caller waits."""
    here, there, _ = await _clients(fleet, trio)
    await cut_off(trio[1], [trio[0], trio[2]])
    session = here.session()
    await session.put("k", b"new")
    began = monotonic()

    with pytest.raises(NotCoveredError, match="lacks 1 of what the session") as error:
        await there.session(session.token).get("k", deadline=1.0)

    assert monotonic() - began < 1.5
    assert error.value.outcome is Outcome.FAILED


async def test_cut_off_node_answers_stale_to_who_accepts_it(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """At once, marked, and with what the node has; up to date again after the cut."""
    here, there, _ = await _clients(fleet, trio)
    session = here.session()
    await session.put("k", b"old")
    await there.session(session.token).get("k")
    await cut_off(trio[1], [trio[0], trio[2]])
    await session.put("k", b"new")

    stale = await there.session(session.token).get("k", stale_ok=True, deadline=1.0)

    assert stale is not None
    assert (stale.value, stale.stale) == (b"old", True)
    await cut_off(trio[1], [trio[0], trio[2]], blocked=False)
    healed = await there.session(session.token).get("k")
    assert healed is not None
    assert (healed.value, healed.stale) == (b"new", False)


async def test_bounded_staleness_is_refused_while_cut_off(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """S3: a node that has not heard from another for longer says so."""
    _, there, _ = await _clients(fleet, trio)
    await there.get("k", max_staleness=5.0)
    await cut_off(trio[1], [trio[0], trio[2]])

    async def read_until_refused() -> None:
        async with asyncio.timeout(10.0):
            while True:  # what was heard just before the cut is fresh for a while
                await there.get("k", max_staleness=0.8, deadline=1.0)

    with pytest.raises(NotCoveredError, match=r"ms behind [ac]; at most 800 ms"):
        await read_until_refused()

    await cut_off(trio[1], [trio[0], trio[2]], blocked=False)
    await there.get("k", max_staleness=5.0)
