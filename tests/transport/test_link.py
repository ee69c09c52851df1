"""A link keeps order, is bounded, and can be slowed and cut."""

import asyncio
import random

import pytest

from kvnode.core.versions.store_view import PeerAddress
from kvnode.transport import link as link_module
from kvnode.transport.link import Conditions, Link
from kvnode.types import ReplicaId
from tests.runtime.nodes import until

PEER = PeerAddress("tokyo", "127.0.0.1:1", ReplicaId(7))


class Wire:
    """Keeps what is written and when; stands still while `flowing` is not set."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.times: list[float] = []
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def write(self, message: bytes) -> None:
        """Keep *message*."""
        await self.flowing.wait()
        self.written.append(message[0])
        self.times.append(asyncio.get_running_loop().time())

    async def has(self, count: int) -> None:
        """Return when so many were written."""
        await until(lambda: len(self.written) >= count)


def _message(number: int, padding: int = 0) -> bytes:
    return bytes([number]) + bytes(padding)


async def _started(conditions: Conditions) -> tuple[Link, Wire, asyncio.Task[None]]:
    link, wire = Link(PEER, conditions, dialed=True), Wire()
    return link, wire, asyncio.create_task(link.pump(wire.write))


async def test_messages_leave_in_order() -> None:
    """Whatever waits in between."""
    link, wire, pump = await _started(Conditions())
    for number in range(5):
        link.send(_message(number))
    await wire.has(5)
    for number in range(5, 9):
        link.send(_message(number))
    await wire.has(9)

    assert wire.written == list(range(9))
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_delay_is_added_to_each_message_and_keeps_order() -> None:
    """Also if it becomes shorter meanwhile: a road has no overtaking lane."""
    conditions = Conditions(delay_ms=40)
    link, wire, pump = await _started(conditions)
    start = asyncio.get_running_loop().time()
    link.send(_message(1))
    conditions.delay_ms = 0
    link.send(_message(2))
    await wire.has(2)

    assert wire.written == [1, 2]
    assert wire.times[0] - start >= 0.039
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_delay_does_not_limit_how_much_is_on_the_road() -> None:
    """Ten messages sent together arrive together, not one delay after another."""
    link, wire, pump = await _started(Conditions(delay_ms=40))
    start = asyncio.get_running_loop().time()
    for number in range(10):
        link.send(_message(number))
    await wire.has(10)

    assert wire.times[-1] - start < 0.3
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_peer_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The queue is bounded, and the reason is told."""
    monkeypatch.setattr(link_module, "QUEUE_BYTES_MAX", 10_000)
    link, wire, pump = await _started(Conditions())
    wire.flowing.clear()
    for number in range(4):
        link.send(_message(number, padding=4000))
        await asyncio.sleep(0)

    assert link.closed.is_set()
    assert "stopped reading" in link.reason
    link.send(_message(9))
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)


async def test_queue_is_measured_by_what_waits() -> None:
    """What was written makes room again."""
    link, wire, pump = await _started(Conditions())
    for _ in range(100):
        link.send(_message(0, padding=1024 * 1024))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await wire.has(100)

    assert not link.closed.is_set()
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_first_reason_for_closing_stands() -> None:
    """The later ones follow from it."""
    link = Link(PEER, Conditions(), dialed=False)
    link.close("first")
    link.close("second")
    assert link.reason == "first"


async def test_cut_road_carries_nothing_and_ends_the_link_when_mended() -> None:
    """
    Messages to a peer arrive in order, or the connection ends.

    What was lost in the cut would be missed for ever by two nodes that went on
    as if nothing had happened.
    """
    conditions = Conditions()
    link, wire, pump = await _started(conditions)
    conditions.blocked = True
    link.send(_message(1))
    await asyncio.sleep(0)
    assert not link.closed.is_set()

    conditions.blocked = False
    link.send(_message(2))

    assert link.closed.is_set()
    assert "cut" in link.reason
    await asyncio.wait_for(pump, 1)
    assert wire.written == []


async def test_cut_catches_what_is_on_the_road() -> None:
    """A message sent before the cut and due after it does not arrive."""
    conditions = Conditions(delay_ms=20)
    link, wire, pump = await _started(conditions)
    link.send(_message(1))
    conditions.blocked = True
    await asyncio.sleep(0.03)
    conditions.blocked = False
    link.send(_message(2))

    await asyncio.wait_for(pump, 1)
    assert wire.written == []


async def test_cut_that_nothing_met_leaves_no_trace() -> None:
    """Nothing was lost, so the connection may stay."""
    conditions = Conditions()
    link, wire, pump = await _started(conditions)
    conditions.blocked = True
    await asyncio.sleep(0)
    conditions.blocked = False
    link.send(_message(1))
    await wire.has(1)

    assert not link.closed.is_set()
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_message_received_during_a_cut_is_lost_as_well() -> None:
    """A cable is cut both ways."""
    conditions = Conditions()
    link = Link(PEER, conditions, dialed=True)
    assert link.carries()
    conditions.blocked = True
    assert not link.carries()
    conditions.blocked = False
    assert not link.carries()
    assert link.closed.is_set()


# -- what may pass what --------------------------------------------------------


async def _order(link: Link, wire: Wire, sent: list[tuple[int, bool]]) -> list[int]:
    """Queue what is *sent* while the road is blocked; return how it leaves."""
    for number, urgent in sent:
        link.send(_message(number), urgent=urgent)
    await wire.has(len(sent))
    return wire.written


async def test_fresh_writes_pass_a_bootstrap() -> None:
    """Megabytes of pages may wait in front of them."""
    link, wire, pump = await _started(Conditions())
    sent = [(1, False), (2, False), (3, True), (4, False), (5, True)]

    assert await _order(link, wire, sent) == [3, 5, 1, 2, 4]
    link.close("done")
    await asyncio.wait_for(pump, 1)


async def test_bootstrap_goes_on_beside_a_flood_of_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After so many urgent bytes, one of the others goes."""
    monkeypatch.setattr(link_module, "URGENT_BYTES_MAX", 2)
    link, wire, pump = await _started(Conditions())
    sent = [(1, False), (2, False), *((n, True) for n in range(3, 9))]

    assert await _order(link, wire, sent) == [3, 4, 1, 5, 6, 2, 7, 8]
    link.close("done")
    await asyncio.wait_for(pump, 1)


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_passes_what_is_urgent(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report must not come before the writes that it counts."""
    monkeypatch.setattr(link_module, "URGENT_BYTES_MAX", 3)
    chance = random.Random(seed)
    sent = [(number, chance.random() < 0.5) for number in range(60)]
    link, wire, pump = await _started(Conditions())

    left = await _order(link, wire, sent)

    urgent = {number for number, is_urgent in sent if is_urgent}
    assert [n for n in left if n in urgent] == sorted(urgent)
    assert [n for n in left if n not in urgent] == sorted(set(left) - urgent)
    for place, number in enumerate(left):
        if number not in urgent:
            assert not any(later in urgent for later in left[place:] if later < number)
    link.close("done")
    await asyncio.wait_for(pump, 1)
