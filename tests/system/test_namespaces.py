"""Real cables between real nodes: cut one way or both, and removed without a trace."""

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from cluster.namespaces import (
    NamespaceError,
    NamespaceNetwork,
    remove_leftovers,
    why_not,
)
from jepsen_like.adapters.kvnode_namespaces import KvnodeNamespaces
from jepsen_like.nemesis.faults import Cut, Disturb, Garble, Heal
from jepsen_like.system import NotPossibleError
from tests.system.kvnode_systems import connected, converged, soon_reads

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "they can be made"),
]


def _traces() -> str:
    """Return all namespaces and links of this machine."""
    shown = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for command in (["ip", "netns", "list"], ["ip", "-brief", "link"])
    ]
    return "".join(shown)


@pytest.fixture
async def system() -> AsyncIterator[KvnodeNamespaces]:
    """Three nodes, each behind a cable."""
    made = KvnodeNamespaces(("a", "b", "c"))
    before = _traces()
    try:
        await made.set_up()
        await connected(made)
        yield made
    finally:
        await made.tear_down()
    assert _traces().split() == before.split()


async def _write(system: KvnodeNamespaces, node: str, key: str, value: int) -> None:
    client = await system.connect(system.nodes.index(node), node)
    try:
        await client.invoke("write", key, value)
    finally:
        await client.close()


async def _reads(system: KvnodeNamespaces, node: str, key: str) -> object:
    client = await system.connect(99, node)
    try:
        return (await client.invoke("read", key, None)).value
    finally:
        await client.close()


async def test_cut_node_hears_nothing_until_the_cut_is_healed(
    system: KvnodeNamespaces,
) -> None:
    """Its clients still reach it; afterwards all agree."""
    cut = Cut((("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")))
    await system.inject(cut)
    await system.inject(cut)
    await _write(system, "a", "inside", 1)
    await _write(system, "b", "outside", 2)
    await soon_reads(system, "c", "outside", 2)
    assert await _reads(system, "a", "outside") is None
    assert await _reads(system, "c", "inside") is None

    await system.inject(Heal())
    await converged(system)
    assert await _reads(system, "a", "outside") == 2


async def test_partial_cut_is_bridged_by_the_third_node(
    system: KvnodeNamespaces,
) -> None:
    """Two nodes do not hear each other; the third hears both, and repairs."""
    await system.inject(Cut((("a", "b"), ("b", "a"))))
    await _write(system, "a", "k", 1)

    await soon_reads(system, "b", "k", 1)


async def test_what_a_cable_cannot_do_is_refused(system: KvnodeNamespaces) -> None:
    """With the reason."""
    with pytest.raises(NotPossibleError, match="cut or whole"):
        await system.inject(Disturb((("a", "b"),), delay_ms=5))
    with pytest.raises(NotPossibleError, match="takes a proxy"):
        await system.inject(Garble("a", 1))


def test_cut_one_way_stops_packets_that_way_alone() -> None:
    """An unanswered question still arrives: so it does over a broken fibre."""
    network = NamespaceNetwork(("x", "y"))
    try:
        network.open()
        network.cut(("x", "y"))
        assert _received(network, "y", "x")
        assert not _received(network, "x", "y")
        network.heal()
        assert _received(network, "x", "y")
    finally:
        network.close()


_LISTEN = """
import socket, sys
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind((sys.argv[1], 7777))
ear.settimeout(1)
print("ready", flush=True)
try:
    ear.recv(1)
except TimeoutError:
    sys.exit(1)
"""
_SEND = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (sys.argv[1], 7777))
"""


def _received(network: NamespaceNetwork, sender: str, receiver: str) -> bool:
    """Tell whether a datagram passes."""
    at = network.address(receiver)
    with subprocess.Popen(
        [*network.launcher(receiver), sys.executable, "-c", _LISTEN, at],
        stdout=subprocess.PIPE,
    ) as ear:
        assert ear.stdout is not None, "it was asked for"
        ear.stdout.readline()
        send = [*network.launcher(sender), sys.executable, "-c", _SEND, at]
        subprocess.run(send, check=True)
        return ear.wait() == 0


def test_network_that_cannot_be_finished_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever was made before the failure is removed."""
    before = _traces()
    network = NamespaceNetwork(("x", "y"))
    monkeypatch.setattr(network, "_numbers", {"x": 1, "y": 999})
    with pytest.raises(NamespaceError, match="999"):
        network.open()
    assert _traces().split() == before.split()


def test_leftovers_of_a_dead_process_are_removed() -> None:
    """And those of one that lives are not."""
    script = (
        "from cluster.namespaces import NamespaceNetwork\n"
        "network = NamespaceNetwork(('x',))\n"
        "network.open()\n"
        "print(network.namespace('x'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    ours = NamespaceNetwork(("x",))
    try:
        ours.open()
        assert done.stdout.strip() in remove_leftovers()
        assert done.stdout.strip() not in _traces()
        assert ours.namespace("x") in _traces()
    finally:
        ours.close()
