"""The operators' methods."""

import grpc
import pytest

from kvnode._pb import kv_pb2
from kvnode.client import (
    Client,
    ClockEntry,
    Departure,
    FillingStatus,
    RescueFile,
    Standing,
)
from kvnode.errors import ConnectionLostError, Outcome, RejectedError, UnavailableError
from tests.client.fake_server import FakeNode


async def test_status_and_digest_come_as_values(client: Client) -> None:
    """Milliseconds become seconds, -1 becomes None."""
    status = await client.status()
    digest = await client.digest("n")

    assert (status.name, status.uptime_seconds) == ("fake", 1.5)
    assert status.clock == (ClockEntry(1, 2, 3),)  # type: ignore[arg-type] # an int
    assert status.peers[0].heard_seconds_ago is None
    assert digest.digest.startswith(b"n.")
    assert (digest.entry_count, digest.live_count) == (2, 1)


async def test_digests_and_repairs_come_as_values(client: Client) -> None:
    """64 bits as hex digits, milliseconds as seconds."""
    told = (await client.status()).digests
    result = await client.repair("other")

    assert (told.total, told.known, told.alarms) == ("0" * 14 + "ab", True, ("other",))
    assert (result.peer, result.differing_keys) == ("other", 3)
    assert (result.size_bytes, result.seconds) == (99, 1.5)


async def test_status_tells_of_members_and_upkeep(client: Client) -> None:
    """What is not measured is None, and what is not there yet is nothing."""
    status = await client.status()

    [member] = status.members
    assert (member.standing, member.rtt_seconds) == (Standing.LEFT, 0.0015)
    assert (member.heard_seconds_ago, member.clock_offset_seconds) == (None, None)
    assert status.floor.age_seconds is None
    assert status.filling == FillingStatus(1, 4, 25, "")
    assert status.rescued == (RescueFile("a.jsonl", 0, 2.5),)


async def test_member_is_removed(client: Client) -> None:
    """Who is gone by the call comes back."""
    [gone] = await client.remove_member("tokyo", former=True)
    assert (gone.name, gone.standing) == ("tokyo", Standing.REMOVED)


async def test_leaving_that_fails_is_not_tried_again(
    node: FakeNode, client: Client
) -> None:
    """It takes as long as the caller has said, and not a multiple of it."""
    assert await client.leave(patience=1) == Departure(told=1, members=2)
    with pytest.raises(UnavailableError, match="2 writes are here alone"):
        await client.leave(patience=0.5)
    with pytest.raises(RejectedError, match="patience is 0"):
        await client.leave(patience=0)

    assert node.leave_calls == 2


async def test_lag_comes_in_seconds_or_is_not_known(client: Client) -> None:
    """An origin that was never a member has no standing."""
    lag = await client.lag()

    known, unknown = lag.origins
    assert (known.missing, known.behind_seconds, known.holders) == (3, 1.5, ("third",))
    assert (unknown.standing, unknown.behind_seconds) == (None, None)


async def test_namespaces_are_created_listed_and_deleted(client: Client) -> None:
    """Each says whether it changed anything."""
    assert await client.create_namespace("n")
    assert not await client.create_namespace("n")
    assert await client.namespaces() == ("default", "n")
    assert await client.delete_namespace("n")
    assert not await client.delete_namespace("n")


async def test_backup_yields_its_chunks(client: Client) -> None:
    """In order, to the end."""
    assert [chunk async for chunk in client.backup()] == [b"first ", b"second"]


async def test_link_is_set(client: Client) -> None:
    """And bad delays are refused here."""
    await client.set_link("other", delay=0.1, blocked=True)
    with pytest.raises(RejectedError, match="delay is -1"):
        await client.set_link("other", delay=-1)


async def test_clock_is_set_in_milliseconds(node: FakeNode, client: Client) -> None:
    """No arguments make it right again, and what no clock can be is refused here."""
    await client.set_clock(offset=-1.5, drift_ppm=200)
    await client.set_clock()
    with pytest.raises(RejectedError, match="offset is 1000000000000"):
        await client.set_clock(offset=1e12)
    with pytest.raises(RejectedError, match="drift_ppm 1000001"):
        await client.set_clock(drift_ppm=1_000_001)

    assert node.clock_settings == [(-1500, 200), (0, 0)]


async def test_write_without_a_precise_error_is_in_doubt(
    node: FakeNode, client: Client
) -> None:
    """UNAVAILABLE may come from the transport, after the fact."""
    node.faults.admin_status = grpc.StatusCode.UNAVAILABLE

    with pytest.raises(ConnectionLostError) as caught:
        await client.create_namespace("n")

    assert caught.value.outcome is Outcome.INDETERMINATE


async def test_precise_error_in_the_trailer_is_believed(node: FakeNode) -> None:
    """The node refused, so the call was repeated, and failed without doubt."""
    node.faults.admin_error = kv_pb2.Error(
        code=kv_pb2.ERROR_CODE_UNAVAILABLE, message="fenced"
    )
    async with Client(node.address, deadline=0.2) as client:
        with pytest.raises(UnavailableError, match="fenced") as caught:
            await client.create_namespace("n")

    assert caught.value.outcome is Outcome.FAILED


async def test_read_moves_on_to_the_next_endpoint() -> None:
    """As data reads do."""
    async with FakeNode() as first, FakeNode() as second:
        first.faults.admin_status = grpc.StatusCode.UNAVAILABLE
        async with Client(first.address, second.address) as client:
            assert (await client.status()).name == "fake"
