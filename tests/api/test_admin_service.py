"""Operators see what is so, and change what they say."""

import grpc
import pytest

from kvnode._pb import admin_pb2
from kvnode._pb import kv_pb2 as pb
from kvnode.api import admin_service
from kvnode.api.port import NodePort
from kvnode.api.writing import write_and_wait
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Command
from kvnode.core.replication.messages import Report
from kvnode.errors import OverloadedError
from kvnode.types import DEFAULT_NAMESPACE, Millis
from tests.api.server import Served, served, trailer_of
from tests.runtime.nodes import NOW, OWN, PEER, foreign, push_of, until


async def _create(node: Served, name: str) -> bool:
    request = admin_pb2.NamespaceRequest(name=name)
    return (await node.admin.CreateNamespace(request)).changed


async def _delete(node: Served, name: str) -> bool:
    request = admin_pb2.NamespaceRequest(name=name)
    return (await node.admin.DeleteNamespace(request)).changed


# -- status ------------------------------------------------------------------------


async def test_status_describes_the_node(node: Served) -> None:
    """Who it is, what it holds, what it covers."""
    await node.api.write(b"k")
    status = await node.admin.Status(admin_pb2.StatusRequest())

    assert (status.name, status.region, status.cluster) == ("home", "europe", "test")
    assert (status.replica, status.uptime_ms) == (OWN, 70)
    assert status.entry_count == 1
    assert status.accepting_writes
    assert [(e.replica, e.covered, e.newest) for e in status.clock] == [(OWN, 1, 1)]
    assert list(status.namespaces) == ["default"]
    assert status.hlc >> 16 == NOW
    assert status.resident_bytes > 1_000_000


async def test_status_says_why_writes_are_refused(node: Served) -> None:
    """W3: what an operator must free."""
    node.api.node.store.reserve_bytes = 1 << 50
    status = await node.admin.Status(admin_pb2.StatusRequest())
    assert not status.accepting_writes
    assert "no room" in status.refusing_because


async def test_status_tells_the_digest_and_whether_it_counts(node: Served) -> None:
    """D9: nodes of one view must have one total."""
    inner = node.api.node
    await node.api.write(b"k")
    await until(lambda: not inner.driver.node.digests.incomparable)
    digests = (await node.admin.Status(admin_pb2.StatusRequest())).digests

    assert digests.known
    assert digests.total == inner.store.state().digest.total
    assert not digests.incomparable_because
    assert (digests.comparisons, digests.differences, digests.repairs) == (0, 0, 0)

    await inner.peer_up()
    await inner.receive(push_of(b"later", foreign(2)))
    inner.clock.now = Millis(NOW + 1000)  # it compares again
    await until(lambda: bool(inner.driver.node.digests.incomparable))
    digests = (await node.admin.Status(admin_pb2.StatusRequest())).digests
    assert digests.incomparable_because == "writes are on their way to it"


async def test_repair_with_nobody_is_refused(node: Served) -> None:
    """It names those that there are."""
    await node.api.node.peer_up()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.admin.Repair(admin_pb2.RepairRequest(peer="rome"))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "it knows tokyo" in str(caught.value.details())


async def test_status_shows_peers_connected_or_not(node: Served) -> None:
    """How far apart the two are, and what is on the road."""
    await node.api.node.peer_up()
    await node.api.write(b"k")
    await node.api.node.receive(Report(VersionVector.of({PEER: 2}), NOW))
    node.api.node.clock.now = Millis(NOW + 30)
    node.links.conditions("tokyo").delay_ms = 80

    (peer,) = (await node.admin.Status(admin_pb2.StatusRequest())).peers
    assert (peer.name, peer.replica, peer.region) == ("tokyo", PEER, "asia")
    assert peer.connected
    assert (peer.missing_there, peer.missing_here) == (1, 2)
    assert peer.outbox_bytes > 0
    assert (peer.heard_ms_ago, peer.delay_ms) == (30, 80)

    await node.api.node.peer_down()
    (peer,) = (await node.admin.Status(admin_pb2.StatusRequest())).peers
    assert not peer.connected


# -- namespaces --------------------------------------------------------------------


async def test_namespace_is_made_once_and_gone_with_its_keys(node: Served) -> None:
    """Every call says whether it changed anything."""
    assert await _create(node, "shop")
    assert not await _create(node, "shop")
    for n in range(5):
        await node.kv.Put(pb.PutRequest(namespace="shop", key=b"%d" % n))
    names = await node.admin.ListNamespaces(admin_pb2.ListNamespacesRequest())
    assert list(names.names) == ["default", "shop"]

    assert await _delete(node, "shop")
    assert not await _delete(node, "shop")

    assert await _create(node, "shop")
    assert not (await node.kv.List(pb.ListRequest(namespace="shop"))).items


async def test_deletion_that_broke_off_is_finished_by_the_next_call(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may be overloaded when half of the keys are gone."""
    await _create(node, "shop")
    for n in range(5):
        await node.kv.Put(pb.PutRequest(namespace="shop", key=b"%d" % n))
    monkeypatch.setattr(admin_service, "DELETES_PER_WRITE", 2)
    calls: list[tuple[Command, ...]] = []

    async def failing(port: NodePort, commands: tuple[Command, ...]) -> None:
        calls.append(commands)
        if len(calls) == 3:
            message = "too much to do"
            raise OverloadedError(message)
        await write_and_wait(port, commands)

    monkeypatch.setattr(admin_service, "write_and_wait", failing)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _delete(node, "shop")
    assert trailer_of(caught.value).code == pb.ERROR_CODE_OVERLOADED

    assert await _delete(node, "shop")

    await _create(node, "shop")
    assert not (await node.kv.List(pb.ListRequest(namespace="shop"))).items


@pytest.mark.parametrize("name", ["", "_system", "a b", "n" * 65])
async def test_namespace_of_another_form_is_refused(node: Served, name: str) -> None:
    """To be made and to be deleted."""
    for change in (_create, _delete):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await change(node, name)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_default_namespace_stays(node: Served) -> None:
    """Requests without a namespace mean it."""
    with pytest.raises(grpc.aio.AioRpcError, match="cannot be deleted"):
        await _delete(node, DEFAULT_NAMESPACE)


# -- digest, backup ----------------------------------------------------------------


async def test_digest_counts_and_changes_with_what_is_stored(node: Served) -> None:
    """Deleted entries count, and are not alive."""
    empty = await node.admin.Digest(admin_pb2.DigestRequest())
    await node.api.write(b"k")
    await node.api.ask(pb.DeleteRequest(key=b"l"))
    full = await node.admin.Digest(admin_pb2.DigestRequest())
    same = await node.admin.Digest(admin_pb2.DigestRequest(namespace="default"))

    assert len(full.digest) == 32
    assert full.digest != empty.digest
    assert (full.entry_count, full.live_count) == (2, 1)
    assert [(e.replica, e.newest) for e in full.clock] == [(OWN, 2)]
    assert same.digest == full.digest


async def test_digest_of_an_unknown_namespace_is_refused(node: Served) -> None:
    """It would look like an empty one."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.admin.Digest(admin_pb2.DigestRequest(namespace="nowhere"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_backup_comes_in_pieces(node: Served) -> None:
    """As the store gives them."""
    call = node.admin.Backup(admin_pb2.BackupRequest())
    assert [chunk.data async for chunk in call] == [b"one", b"two"]


# -- links -------------------------------------------------------------------------


async def test_link_conditions_are_set_by_the_peers_name(node: Served) -> None:
    """The transport sees them at once."""
    await node.api.node.peer_up()
    request = admin_pb2.SetLinkRequest(peer="tokyo", delay_ms=9, blocked=True)
    await node.admin.SetLink(request)

    conditions = node.links.by_name["tokyo"]
    assert (conditions.delay_ms, conditions.blocked) == (9, True)


async def test_link_of_no_peer_is_refused_and_peers_are_named(node: Served) -> None:
    """A misspelt name must not look like a cut."""
    await node.api.node.peer_up()
    with pytest.raises(grpc.aio.AioRpcError, match="it knows tokyo"):
        await node.admin.SetLink(admin_pb2.SetLinkRequest(peer="tokio"))


async def test_links_cannot_be_harmed_unless_that_was_allowed() -> None:
    """A production node must not be cut off by one call."""
    async with served(fault_injection=False) as node:
        await node.api.node.peer_up()
        with pytest.raises(grpc.aio.AioRpcError, match="fault_injection"):
            await node.admin.SetLink(admin_pb2.SetLinkRequest(peer="tokyo"))
        assert node.links.by_name == {}


async def test_clock_is_bent_as_asked(node: Served) -> None:
    """And what no clock can be is refused with the clock's own words."""
    await node.admin.SetClock(admin_pb2.SetClockRequest(offset_ms=-9, drift_ppm=7))
    with pytest.raises(grpc.aio.AioRpcError, match="drift_ppm is 2000000") as caught:
        await node.admin.SetClock(admin_pb2.SetClockRequest(drift_ppm=2_000_000))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert node.clock.bends == [(-9, 7)]


async def test_clock_cannot_be_bent_unless_that_was_allowed() -> None:
    """Wrong stamps of a production node would outlive the call."""
    async with served(fault_injection=False) as node:
        with pytest.raises(grpc.aio.AioRpcError, match="fault_injection"):
            await node.admin.SetClock(admin_pb2.SetClockRequest(offset_ms=9))
        assert node.clock.bends == []


async def test_uncovered_batches_and_conflicts_are_counted(node: Served) -> None:
    """What an alarm would look at."""
    await node.api.write(b"k")
    await node.api.hear(b"k", foreign(2))

    status = await node.admin.Status(admin_pb2.StatusRequest())

    assert (status.uncovered_batches, status.conflicts_ever) == (1, 1)
