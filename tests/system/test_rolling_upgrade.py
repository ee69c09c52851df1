"""
Two versions in one cluster: they understand each other, and one becomes the other.

Every rolling upgrade is a cluster of two versions for a while.  Here that is done with
real installations of both: the version at hand, and the one before it
(tests/system/versions.py).  What each test claims is that of docs/decisions/0017.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pycrdt import Doc, Text

from cluster.local.installation import Installation
from kvnode.client import Client, Item
from tests.system import client_program
from tests.system.client_program import LARGE_BYTES
from tests.system.history import Ended, History, Tally
from tests.system.nodes import Fleet, ServedNode, connected, cut_off, everything, logged
from tests.system.versions import (
    PREVIOUS_OPENS_THIS,
    ROOT,
    agreed,
    altered,
    assert_understood,
    misunderstood,
    run_as,
    runs,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

LOAD_SECONDS = 1.0
"""How long clients write before, between and after restarts."""

TRIPS = 20
PATIENCE_SECONDS = 30.0


@pytest.fixture
async def old_and_new(
    fleet: Fleet, previous: Installation, this: Installation
) -> list[ServedNode]:
    """A node of the previous version and one of this, connected."""
    old, new = nodes = fleet.add_peers("old", "new")
    old.installation, new.installation = previous, this
    await fleet.start(nodes)
    await connected(*nodes)
    assert runs(old, previous)
    assert runs(new, this)
    return nodes


async def _write_all_kinds(client: Client, name: str) -> None:
    """Make one key of each kind, under the name of who writes, and common ones."""
    await client.put(f"{name}/register", name, metadata={"by": name})
    await client.put(f"{name}/expiring", name, ttl=3600.0)
    await client.put(f"{name}/expired", name, ttl=0.001)
    await client.put(f"{name}/large", name.ljust(LARGE_BYTES, "."))
    await client.put(f"{name}/deleted", name)
    await client.delete(f"{name}/deleted")
    for counter in (f"{name}/counter", "common/counter"):
        await client.counter(counter).increment(2)
    for members in (f"{name}/set", "common/set"):
        await client.set(members).add(name, "taken out")
        await client.set(members).remove("taken out")
    document: Doc[Text] = await client.document("common/document").load()
    document.get("text", type=Text).insert(0, name)
    await client.document("common/document").save(document)


async def _check_all_kinds(held: dict[bytes, Item], name: str) -> None:
    """Check that *held* has all that was written under *name*."""

    def value(key: str) -> bytes | None:
        return held[f"{name}/{key}".encode()].value

    assert value("register") == name.encode()
    assert held[f"{name}/register".encode()].metadata == {"by": name}
    assert held[f"{name}/expiring".encode()].expires_at is not None
    assert value("large") == name.encode().ljust(LARGE_BYTES, b".")
    assert value("counter") == b"2"
    assert not {f"{name}/expired".encode(), f"{name}/deleted".encode()} & held.keys()
    assert name in str(held[b"common/document"].value)


async def test_all_that_one_version_writes_reaches_the_other(
    fleet: Fleet, old_and_new: list[ServedNode]
) -> None:
    """Values small and large, deletions, deadlines and merged types, both ways."""
    for node in old_and_new:
        await _write_all_kinds(await fleet.client(node), node.name)

    await agreed(*old_and_new)
    for node in old_and_new:
        held = await everything(node)
        for name in ("old", "new"):
            await _check_all_kinds(held, name)
        client = await fleet.client(node)
        assert await client.counter("common/counter").value() == 4
        assert await client.set("common/set").members() == {b"old", b"new"}
    assert_understood(old_and_new)


async def test_session_and_watch_go_from_one_version_to_the_other(
    fleet: Fleet, old_and_new: list[ServedNode]
) -> None:
    """Tokens of either are read by the other: of sessions, and of watches (S1)."""
    clients = [await fleet.client(node) for node in old_and_new]
    token = b""
    for number in range(TRIPS):
        here, there = clients[number % 2], clients[(number + 1) % 2]
        session = here.session(token)
        await session.put("seen/key", str(number))
        session = there.session(session.token)
        found = await session.get("seen/key")
        assert found is not None
        assert found.value == str(number).encode()
        token = session.token

    for here, there in (clients, clients[::-1]):
        resume = await _watched(here, b"", "seen/first", there)
        await _watched(there, resume, "seen/second", here)
    assert_understood(old_and_new)


async def _watched(here: Client, resume: bytes, key: str, there: Client) -> bytes:
    """Watch at one node what is put at another; return where to go on."""
    steps = here.watch("seen/", resume_token=resume)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await anext(steps)
        await there.put(key, b"")
        async for step in steps:
            if any(change.key == key.encode() for change in step.changes):
                return step.resume_token
    raise AssertionError(key)


async def test_what_one_version_missed_the_other_sends_as_a_delta(
    fleet: Fleet, old_and_new: list[ServedNode]
) -> None:
    """After a kill of either, and after a cut in which both went on (D1)."""
    for away, stays in (old_and_new, old_and_new[::-1]):
        client = await fleet.client(stays)
        await client.put(f"deleted while {away.name} is away", b"")
        await agreed(*old_and_new)
        await away.kill()
        await _write_all_kinds(client, f"while {away.name} is away")
        await client.delete(f"deleted while {away.name} is away")
        await away.start()
        await connected(*old_and_new)
        await agreed(*old_and_new)

    old, new = old_and_new
    await cut_off(old, [new])
    for node in old_and_new:
        client = await fleet.client(node)
        await client.put("concurrent", node.name)
        await client.counter("sum").increment(3)
    await cut_off(old, [new], blocked=False)
    await agreed(*old_and_new)

    held = await everything(new)
    assert f"deleted while {new.name} is away".encode() not in held
    assert f"deleted while {old.name} is away".encode() not in held
    assert held[b"sum"].value == b"6"
    assert_understood(old_and_new)


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
        process = await _program(installation, "load", prefix, *endpoints)
        return cls(prefix, process)

    async def stop(self) -> client_program.Told:
        """Stop writing; return what was seen."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, _ = await self._process.communicate()
        assert self._process.returncode == 0
        return client_program.Told(**json.loads(output))

    def end(self) -> None:
        """Make sure that nothing is left of the process."""
        if self._process.returncode is None:
            self._process.kill()


async def _program(
    installation: Installation, *arguments: str
) -> asyncio.subprocess.Process:
    """Start a client program that has the client library of *installation*."""
    # Appended, so that the kvnode of this directory is not the one that is found.
    code = f"import sys; sys.path.append({str(ROOT)!r});"
    code += "from tests.system.client_program import main; main()"
    process = await asyncio.create_subprocess_exec(
        *installation.python("-c", code, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        told = (await process.stdout.readline()).decode().strip()
    assert told == str(installation.directory / "kvnode")
    return process


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


async def _check_load(
    client: Client, prefix: str, told: client_program.Told
) -> None:
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
    fleet: Fleet, old_trio: list[ServedNode], this: Installation
) -> None:
    """A node that slept through the deletes and the upgrade of all others brings
    nothing back, neither with its old version nor with the new."""
    first, second, sleeper = old_trio
    client = await fleet.client(first)
    for number in range(20):
        await client.put(f"key/{number}", b"")
    await agreed(*old_trio)
    await sleeper.stop()
    for number in range(10):
        await client.delete(f"key/{number}")
    for node in (first, second):
        await run_as(node, this)
    for number in range(10, 15):
        await client.delete(f"key/{number}")
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


async def _identity(node: ServedNode) -> int:
    async with node.client() as client:
        return (await client.status()).replica


async def test_store_goes_from_version_to_version(
    fleet: Fleet, previous: Installation, this: Installation
) -> None:
    """This version opens what the previous one wrote, under the same identity; and
    back, or with a refusal that says which version it takes and harms nothing."""
    node = fleet.add("alone")
    await run_as(node, previous)
    client = await fleet.client(node)
    await _write_all_kinds(client, "old")
    identity, before = await _identity(node), await everything(node)

    await run_as(node, this)
    assert await everything(node) == before
    assert await _identity(node) == identity
    await _write_all_kinds(client, "new")
    written = await everything(node)

    assert await node.stop() == 0
    node.installation = previous
    if PREVIOUS_OPENS_THIS:
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


async def test_store_of_a_later_format_is_refused_and_left_as_it_is(
    fleet: Fleet, previous: Installation, this: Installation, tmp_path: Path
) -> None:
    """By both versions, with the reason; the later version has lost nothing."""
    later = altered(this, tmp_path / "later", storage__disk__layout="STORE_FORMAT += 1")
    node = fleet.add("alone")
    await run_as(node, later)
    await (await fleet.client(node)).put("key", b"value")
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


async def test_client_library_of_one_version_speaks_to_nodes_of_the_other(
    old_and_new: list[ServedNode], previous: Installation, fleet: Fleet
) -> None:
    """One call of each kind, as programs that were not rebuilt make them."""
    old, _ = old_and_new
    alone = fleet.add("alone")
    alone.installation = old_and_new[1].installation
    await alone.start()

    await client_program.basic(old.endpoint)
    program = await _program(previous, "basic", alone.endpoint)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await program.communicate()

    assert program.returncode == 0


async def test_version_that_speaks_a_later_protocol_too_is_understood(
    fleet: Fleet, previous: Installation, this: Installation, tmp_path: Path
) -> None:
    """Hellos say a range, and what lies in both is spoken."""
    old, new = nodes = fleet.add_peers("old", "new")
    old.installation = previous
    new.installation = altered(this, tmp_path / "later", transport__wire="PROTOCOL += 1")
    await fleet.start(nodes)
    await connected(*nodes)
    for node in nodes:
        await _write_all_kinds(await fleet.client(node), node.name)

    await agreed(*nodes)
    assert_understood(nodes)


async def test_version_that_gave_up_the_old_protocol_is_noticed(
    fleet: Fleet, previous: Installation, this: Installation, tmp_path: Path
) -> None:
    """The tests above can fail: both logs say so when there is nothing in common."""
    old, new = nodes = fleet.add_peers("old", "new")
    old.installation = previous
    only_later = "PROTOCOL += 1\nPROTOCOL_MIN = PROTOCOL"
    new.installation = altered(this, tmp_path / "later", transport__wire=only_later)
    await fleet.start(nodes)
    await logged("no common protocol version", *nodes)

    for node in nodes:
        with pytest.raises(AssertionError, match="no common protocol version"):
            assert_understood([node])
