"""
Nodes and clients of two versions understand each other.

Every rolling upgrade is a cluster of two versions for a while.  Here that is done with
real installations of both: the version at hand, and the one before it
(tests/system/versions.py).  What each test claims is that of docs/decisions/0017.
"""

import asyncio
from pathlib import Path

import pytest

from cluster.local.installation import Installation
from kvnode.client import Client
from tests.system import client_program
from tests.system.every_kind import check_every_kind, write_every_kind
from tests.system.nodes import Fleet, ServedNode, connected, cut_off, everything, logged
from tests.system.versions import (
    agreed,
    altered,
    assert_understood,
    runs,
    start_program,
)

pytestmark = pytest.mark.system

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


async def test_all_that_one_version_writes_reaches_the_other(
    fleet: Fleet, old_and_new: list[ServedNode]
) -> None:
    """Values small and large, deletions, deadlines and merged types, both ways."""
    for node in old_and_new:
        await write_every_kind(await fleet.client(node), node.name)

    await agreed(*old_and_new)
    for node in old_and_new:
        held = await everything(node)
        for name in ("old", "new"):
            check_every_kind(held, name)
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
        await write_every_kind(client, f"while {away.name} is away")
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


async def test_client_library_of_one_version_speaks_to_nodes_of_the_other(
    old_and_new: list[ServedNode], previous: Installation, fleet: Fleet
) -> None:
    """One call of each kind, as programs that were not rebuilt make them."""
    old, _ = old_and_new
    alone = fleet.add("alone")
    alone.installation = old_and_new[1].installation
    await alone.start()

    await client_program.basic(old.endpoint)
    program = await start_program(previous, "basic", alone.endpoint)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await program.communicate()

    assert program.returncode == 0


async def test_version_that_speaks_a_later_protocol_too_is_understood(
    fleet: Fleet, previous: Installation, this: Installation, tmp_path: Path
) -> None:
    """Hellos say a range, and what lies in both is spoken."""
    old, new = nodes = fleet.add_peers("old", "new")
    old.installation = previous
    new.installation = altered(
        this, tmp_path / "later", transport__wire="PROTOCOL += 1"
    )
    await fleet.start(nodes)
    await connected(*nodes)
    for node in nodes:
        await write_every_kind(await fleet.client(node), node.name)

    await agreed(*nodes)
    assert_understood(nodes)


NO_COMMON_PROTOCOL = "PROTOCOL += 1\nPROTOCOL_MIN = PROTOCOL"
UNKNOWN_KIND = """
_known = encode_message


def encode_message(message):
    if isinstance(message, Report):
        return pb.PeerMessage.FromString(bytes((0xFA, 0x06, 0x00)))  # field 111, empty
    return _known(message)
"""


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        (NO_COMMON_PROTOCOL, "no common protocol version"),
        (UNKNOWN_KIND, "kind None is not known"),
    ],
    ids=["no-common-protocol", "unknown-kind"],
)
async def test_version_that_breaks_the_rule_is_noticed(
    *,
    fleet: Fleet,
    previous: Installation,
    this: Installation,
    tmp_path: Path,
    mistake: str,
    line: str,
) -> None:
    """The tests above can fail: the old node's log has the line that betrays it."""
    old, new = nodes = fleet.add_peers("old", "new")
    old.installation = previous
    new.installation = altered(this, tmp_path / "wrong", transport__wire=mistake)
    await fleet.start(nodes)
    await logged(line, old)

    with pytest.raises(AssertionError, match=line):
        assert_understood(nodes)
