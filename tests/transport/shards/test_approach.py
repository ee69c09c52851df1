"""A node is spoken with directly where that is possible, and over gRPC elsewhere."""

import asyncio

import pytest

from kvnode._pb.shards_pb2 import ShardFrame
from kvnode.errors import RoadError
from kvnode.transport.direct_road import DirectDoor, DirectRoad
from kvnode.transport.grpc_road import SHARDS
from kvnode.transport.shards import approach as approach_module
from kvnode.transport.shards.lane import hello_frame
from tests.runtime.nodes import until
from tests.transport.shards.mesh_nodes import MeshNode, MeshSite, mesh_site


async def _stream_kind(a: MeshNode, address: str) -> str:
    """Return by what *a* meets whoever listens at *address*."""
    async with a.approach.open(address) as (_, stream):
        return type(stream).__name__


@pytest.fixture(name="site", params=["direct"])
async def direct_site(site: MeshSite) -> MeshSite:
    """Nodes that have ports for plain TCP."""
    return site


async def test_node_with_a_direct_port_is_met_there(site: MeshSite) -> None:
    """Its name and identity are those that it has told over gRPC."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    async with a.approach.open(b.address) as (node, stream):
        assert node == b.own[1:]
        assert type(stream).__name__ == "DirectStream"


async def test_node_without_a_direct_port_is_met_over_grpc(site: MeshSite) -> None:
    """So is one of a version that has none."""
    async with mesh_site(is_direct=False) as old:
        b = await old.start("b", 2)
        assert await _stream_kind(await site.start("a", 1), b.address) == "DialedStream"


async def test_node_behind_a_firewall_is_met_over_grpc_and_asked_again_later(
    site: MeshSite, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs it is told once which port to open."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    await site.doors.pop(b).close()
    with pytest.raises(RoadError):
        await _stream_kind(a, b.address)
    assert "b is spoken with over gRPC" in caplog.text
    assert str(b.own.direct_port) in caplog.text
    caplog.clear()

    assert await _stream_kind(a, b.address) == "DialedStream"
    assert caplog.text == ""
    monkeypatch.setattr(approach_module, "DIRECT_AGAIN_SECONDS", 0.0)
    a.approach._not_directly[b.address] = 0.0
    with pytest.raises(RoadError):
        await _stream_kind(a, b.address)


async def test_mesh_gets_to_a_node_behind_a_firewall(site: MeshSite) -> None:
    """By itself, and what is sent arrives."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    await site.doors.pop(b).close()
    a.run(b)
    await a.met(b)
    a.say(b, 7)
    await until(lambda: b.numbers == [7])


async def test_node_behind_a_proxy_is_met_over_grpc(site: MeshSite) -> None:
    """What is between the two is there for one port, and must not be gone around."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    b.mesh.own = b.approach.own = b.own._replace(address="127.0.0.1:1")
    assert await _stream_kind(a, b.address) == "DialedStream"


async def test_another_node_at_the_direct_port_is_not_taken_for_the_one_that_was_met(
    site: MeshSite,
) -> None:
    """As after a restart, when another node has got the port."""
    a, b, c = [await site.start(name, at) for at, name in enumerate("abc", 1)]
    port = c.own.direct_port
    b.mesh.own = b.approach.own = b.own._replace(direct_port=port)
    with pytest.raises(Exception, match="c has answered in place of b"):
        await _stream_kind(a, b.address)


@pytest.mark.parametrize(
    ("host", "dialed"),
    [("localhost", "localhost"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1")],  # noqa: S104 -- for a moment
)
async def test_door_is_found_by_whatever_name_it_was_opened(
    host: str, dialed: str
) -> None:
    """A free port is the same for all addresses of a host."""
    try:
        door = await DirectDoor.open(SHARDS.frames, host, 0)
    except OSError as error:
        pytest.skip(f"this machine has no such address: {error}")
    async with DirectRoad(SHARDS).open(f"{dialed}:{door.port}"):
        pass
    await door.close()


async def test_message_beyond_the_limit_is_refused_before_it_is_read(
    site: MeshSite,
) -> None:
    """A length that somebody made up takes no memory."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    hello = hello_frame(b.own.hello())
    reader, writer = await asyncio.open_connection("127.0.0.1", a.own.direct_port)
    writer.write(len(hello).to_bytes(4, "big") + hello)
    length = int.from_bytes(await reader.readexactly(4), "big")
    assert ShardFrame.FromString(await reader.readexactly(length)).hello.name == "a"

    writer.write((SHARDS.bytes_max + 1).to_bytes(4, "big"))
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
