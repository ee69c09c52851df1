"""
Three nodes under load lose a random one to SIGKILL, again and again.

Nothing that was acknowledged may be lost, nothing that failed may appear, and in
the end all nodes must hold the same.  KILL_TEST_ROUNDS asks for more rounds, and
SYSTEM_TEST_SEED for another course.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import pytest

from kvnode.client import Client, Item, Session
from tests.system.history import Ended, History, State, Tally, ending
from tests.system.nodes import Fleet, ServedNode, connected, converged, everything

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("KILL_TEST_ROUNDS", "12"))
ROUND_SECONDS = 1.0
KEYS_PER_WRITER = 5
WRITERS_PER_NODE = 2
DELETE_SHARE = 0.2
DEADLINE_SECONDS = 5.0
COUNTERS = 3


@dataclass
class Account:
    """What all writers have tried, by place."""

    registers: dict[bytes, History] = field(default_factory=dict)
    members: dict[bytes, History] = field(default_factory=dict)
    tallies: dict[bytes, Tally] = field(default_factory=dict)
    endings: Counter[Ended] = field(default_factory=Counter)
    stopped: bool = False


async def _overwrite(
    client: Client, account: Account, name: str, chance: random.Random
) -> None:
    """Put and delete own keys at one node, which takes them in order."""
    histories = [
        account.registers.setdefault(b"%s/%d" % (name.encode(), number), History())
        for number in range(KEYS_PER_WRITER)
    ]
    value = 0
    while not account.stopped:
        number = chance.randrange(KEYS_PER_WRITER)
        value += 1
        ended = await _try_register(
            client,
            b"%s/%d" % (name.encode(), number),
            b"%d" % value,
            chance,
            histories[number],
        )
        account.endings[ended] += 1


async def _try_register(
    store: Client | Session,
    key: bytes,
    value: bytes,
    chance: random.Random,
    history: History,
) -> Ended:
    """Put *value*, or delete the key; note how it ended."""
    state: State = None if chance.random() < DELETE_SHARE else value
    ended = await ending(store.delete(key) if state is None else store.put(key, state))
    history.note(state, ended)
    return ended


async def _roam(
    clients: Sequence[Client], account: Account, name: str, chance: random.Random
) -> None:
    """
    Write own keys at a random node each time, as one session.

    What is in doubt may still happen after what is written elsewhere, so its key
    is left alone from then on.
    """
    token, value, generation = b"", 0, 0
    while not account.stopped:
        key = b"%s/%d" % (name.encode(), generation)
        session = chance.choice(clients).session(token)
        value += 1
        history = account.registers.setdefault(key, History())
        ended = await _try_register(session, key, b"%d" % value, chance, history)
        account.endings[ended] += 1
        if ended is Ended.INDETERMINATE:
            generation += 1
        if ended is Ended.ACKNOWLEDGED:
            token = session.token


async def _count(client: Client, account: Account, chance: random.Random) -> None:
    """Add to the counters that all share."""
    while not account.stopped:
        key = b"counter/%d" % chance.randrange(COUNTERS)
        amount = chance.randint(1, 5)
        ended = await ending(client.counter(key).increment(amount))
        account.tallies.setdefault(key, Tally()).note(amount, ended)
        account.endings[ended] += 1


async def _collect(
    client: Client, account: Account, name: str, chance: random.Random
) -> None:
    """Add own members to the set that all share, and remove them."""
    members = client.set("set")
    while not account.stopped:
        member = b"%s/%d" % (name.encode(), chance.randrange(KEYS_PER_WRITER))
        is_added = chance.random() < 0.6
        ended = await ending(
            members.add(member) if is_added else members.remove(member)
        )
        history = account.members.setdefault(member, History())
        history.note(member if is_added else None, ended)
        account.endings[ended] += 1


def _begin(
    clients: Sequence[Client], account: Account, chance: random.Random
) -> list[asyncio.Task[None]]:
    """Start all writers, each with chance of its own."""

    def own() -> random.Random:
        return random.Random(chance.random())

    works = [_roam(clients, account, f"roaming-{i}", own()) for i in range(3)]
    for place, client in enumerate(clients):
        works.extend(
            _overwrite(client, account, f"fixed-{place}-{i}", own())
            for i in range(WRITERS_PER_NODE)
        )
        works.append(_count(client, account, own()))
        works.append(_collect(client, account, f"member-{place}", own()))
    return [asyncio.create_task(work) for work in works]


async def _one_round(node: ServedNode, chance: random.Random) -> None:
    """Kill *node* at a random moment and start it again."""
    until = monotonic() + ROUND_SECONDS
    await asyncio.sleep(chance.uniform(0.05, ROUND_SECONDS / 2))
    await node.kill()
    await node.start()
    await asyncio.sleep(max(0.0, until - monotonic()))


async def test_killed_nodes_lose_nothing_that_was_acknowledged(
    fleet: Fleet, trio: list[ServedNode], chance: random.Random
) -> None:
    """Registers, deletions, counters and sets, over many kills at random moments."""
    account = Account()
    clients = [await fleet.client(n, deadline=DEADLINE_SECONDS) for n in trio]
    writers = _begin(clients, account, chance)

    for _ in range(ROUNDS):
        await _one_round(chance.choice(trio), chance)
    account.stopped = True
    await asyncio.gather(*writers)

    print({ended.value: count for ended, count in account.endings.items()})  # noqa: T201 -- pytest shows it when a test fails
    assert account.endings[Ended.ACKNOWLEDGED] > 50 * ROUNDS
    assert account.endings[Ended.INDETERMINATE] > 0, "no kill met a write"
    await connected(*trio)
    await converged(*trio)
    holdings = [await everything(node) for node in trio]
    assert holdings[0] == holdings[1] == holdings[2]
    _check_registers(holdings[0], account)
    for node in trio:
        await _check_merged(await fleet.client(node), account)


def _check_registers(holding: dict[bytes, Item], account: Account) -> None:
    wrong = {
        key: (left, history.attempts[-5:])
        for key, history in account.registers.items()
        if (left := holding[key].value if key in holding else None)
        not in history.allowed()
    }
    assert not wrong, f"{len(wrong)} of {len(account.registers)} keys are wrong"


async def _check_merged(client: Client, account: Account) -> None:
    for key, tally in account.tallies.items():
        total = await client.counter(key).value()
        assert tally.allows(total), (key, total, tally)
    members = await client.set("set").members()
    wrong = {
        member: history.attempts[-5:]
        for member, history in account.members.items()
        if (member if member in members else None) not in history.allowed()
    }
    assert not wrong
