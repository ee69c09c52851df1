"""
A cluster of the previous version becomes one of this version, node by node.

With real installations of both (tests/system/versions.py), on the same directories.
What each test claims is that of docs/decisions/0017.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.local.installation import Installation
from kvnode.client import Client, Delete, Put
from tests.system import client_program
from tests.system.every_kind import write_every_kind
from tests.system.history import Ended, History, Tally
from tests.system.nodes import Fleet, ServedNode, connected, everything
from tests.system.versions import (
    agreed,
    altered,
    assert_understood,
    misunderstood,
    numbers,
    run_as,
    start_program,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

LOAD_SECONDS = 0.7
"""How long clients write before, between and after restarts."""

PATIENCE_SECONDS = 30.0


class LoadProcess:
    """A program of one version that writes while nodes are upgraded."""

    def __init__(self, prefix: str, process: asyncio.subprocess.Process) -> None:
        self.prefix = prefix
        self._process = process

    @classmethod
    async def start(
        cls, prefix: str, installation: Installation, nodes: list[ServedNode]
    ) -> "LoadProcess":
        """Start writing at all of *nodes*, with that version's client library."""
        endpoints = [node.endpoint for node in nodes]
        process = await start_program(installation, "load", prefix, *endpoints)
        return cls(prefix, process)

    async def stop(self) -> client_program.Told:
        """Stop writing; return what was seen."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, _ = await self._process.communicate(b"")  # ends its input
        assert self._process.returncode == 0
        return client_program.Told(**json.loads(output))

    def end(self) -> None:
        """Make sure that nothing is left of the process."""
        if self._process.returncode is None:
            self._process.kill()


@pytest.fixture
async def old_trio(fleet: Fleet, previous: Installation) -> list[ServedNode]:
    """Three nodes of the previous version, connected."""
    nodes = fleet.add_peers("a", "b", "c")
    for node in nodes:
        node.installation = previous
    await fleet.start(nodes)
    await connected(*nodes)
    return nodes


@pytest.fixture
async def loads(
    old_trio: list[ServedNode], previous: Installation, this: Installation
) -> AsyncIterator[list[LoadProcess]]:
    """Programs of both versions that write at all nodes."""
    started = [
        await LoadProcess.start(prefix, installation, old_trio)
        for prefix, installation in (("by-old", previous), ("by-new", this))
    ]
    yield started
    for load in started:
        load.end()


async def test_rolling_upgrade_under_load_loses_nothing(
    fleet: Fleet,
    old_trio: list[ServedNode],
    loads: list[LoadProcess],
    this: Installation,
) -> None:
    """One node after the other; programs of both versions go on all the while."""
    await asyncio.sleep(LOAD_SECONDS)
    for node in old_trio:
        await run_as(node, this)
        await connected(*old_trio)
        await asyncio.sleep(LOAD_SECONDS)
    told = {load.prefix: await load.stop() for load in loads}

    await agreed(*old_trio)
    assert_understood(old_trio)
    for prefix, seen in told.items():
        print(prefix, _summary(seen))  # noqa: T201 -- pytest shows it when a test fails
        for node in old_trio:
            await _check_load(await fleet.client(node), prefix, seen)


def _summary(told: client_program.Told) -> str:
    acknowledged = sum(
        ended == "acknowledged"
        for attempts in told.registers.values()
        for _, ended in attempts
    )
    return f"{acknowledged} acknowledged, {told.reads} read, errors {told.errors}"


async def _check_load(client: Client, prefix: str, told: client_program.Told) -> None:
    """Check what a load has written against what is there, and what it has seen."""
    # The only writes that fail are those that nobody may send again: in doubt.
    assert set(told.errors) <= {"ConnectionLostError"}, told.errors
    assert told.missed == []
    assert told.reads > 0
    held = {item.key: item.value async for item in client.scan(prefix, values=True)}
    for key, attempts in told.registers.items():
        history = History()
        for state, ended in attempts:
            history.note(None if state is None else state.encode(), Ended(ended))
        assert history.count(Ended.ACKNOWLEDGED) > 0
        found = held.get(key.encode())
        left = None if found is None else found.rstrip(b".")
        assert left in history.allowed(), (key, left, history.attempts[-5:])
    for key, sums in told.sums.items():
        tally = Tally(sums.get("acknowledged", 0), sums.get("indeterminate", 0))
        assert tally.allows(await client.counter(key).value()), (key, sums)
    members = await client.set(f"{prefix}/set").members()
    assert {member.encode() for member in told.members} <= members


async def test_deleted_keys_stay_deleted_through_an_upgrade(
    old_trio: list[ServedNode], this: Installation
) -> None:
    """
    None comes back by a node that slept through it all.

    Neither when that goes on with its old version, nor when it is upgraded, too.
    """
    first, second, sleeper = old_trio
    async with first.client() as client:
        await client.batch([Put(f"key/{number}", b"") for number in range(20)])
    await agreed(*old_trio)
    await sleeper.stop()
    async with first.client() as client:
        await client.batch([Delete(f"key/{number}") for number in range(10)])
    for node in (first, second):
        await run_as(node, this)
    async with first.client() as client:
        await client.batch([Delete(f"key/{number}") for number in range(10, 15)])
    left = {b"key/%d" % number for number in range(15, 20)}

    await sleeper.start()
    await connected(*old_trio)
    await agreed(*old_trio)
    assert (await everything(sleeper)).keys() == left

    await run_as(sleeper, this)
    await connected(*old_trio)
    await agreed(*old_trio)
    assert (await everything(first)).keys() == left
    assert_understood(old_trio)


async def _written_by(node: ServedNode, name: str) -> None:
    async with node.client() as client:  # an open one would hold up the stop
        await write_every_kind(client, name)


async def _identity(node: ServedNode) -> int:
    async with node.client() as client:
        return (await client.status()).replica


async def test_store_goes_from_version_to_version(
    fleet: Fleet, previous: Installation, this: Installation
) -> None:
    """
    This version opens what the previous one wrote, under the same identity.

    Going back works, too, as long as what is stored is of one format; else it is
    refused with the reason, and harms nothing.
    """
    theirs, ours = numbers(previous), numbers(this)
    can_go_back = all(theirs[name] == ours[name] for name in ("store", "state"))
    node = fleet.add("alone")
    await run_as(node, previous)
    await _written_by(node, "old")
    identity, before = await _identity(node), await everything(node)

    await run_as(node, this)
    assert await everything(node) == before
    assert await _identity(node) == identity
    await _written_by(node, "new")
    written = await everything(node)

    assert await node.stop() == 0
    node.installation = previous
    if can_go_back:
        await node.start()
        assert await everything(node) == written
        assert await node.stop() == 0
    else:
        node.spawn()
        assert await node.ended() != 0
        assert "this version reads" in node.log
    await run_as(node, this)
    assert await everything(node) == written
    assert await _identity(node) == identity
    assert misunderstood(node.log) == []


def test_store_and_protocol_rise_with_every_format_inside_them(
    previous: Installation, this: Installation
) -> None:
    """Else the previous version would take what it cannot read for damage, or worse."""
    before, now = numbers(previous), numbers(this)

    def changed(*names: str) -> set[str]:
        return {name for name in names if before[name] != now[name]}

    # Without the node's state: no version starts that cannot read it.
    inside = changed("record on disk", "conflicts", "counter", "set")
    assert now["store"] > before["store"] or not inside, inside
    # Records travel, and with them the states of counters and sets.
    travels = changed("record on the wire", "counter", "set")
    assert now["protocol"] > before["protocol"] or not travels, travels
    assert now["oldest protocol"] <= before["protocol"]


LATER_FORMAT = """
STORE_FORMAT += 1
STORE_FORMATS = (*globals().get("STORE_FORMATS", ()), STORE_FORMAT)
"""


async def test_store_of_a_later_format_is_refused_and_left_as_it_is(
    fleet: Fleet, previous: Installation, this: Installation, tmp_path: Path
) -> None:
    """By both versions, with the reason; the later version has lost nothing."""
    later = altered(this, tmp_path / "later", storage__disk__layout=LATER_FORMAT)
    node = fleet.add("alone")
    await run_as(node, later)
    await _written_by(node, "later")
    held = await everything(node)
    assert await node.stop() == 0

    for installation in (previous, this):
        node.installation = installation
        node.spawn()
        assert await node.ended() != 0
        assert "run the version that wrote it" in node.log.splitlines()[-1]
    assert "Traceback" not in node.log

    await run_as(node, later)
    assert await everything(node) == held
