"""What the proxy does to connections, in one process and in real time, but briefly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import pytest

from cluster.fault_proxy import PERFECT, Conditions, FaultProxy, Passage
from cluster.fault_proxy.proxy import HOST, Ends

A_TO_B, B_TO_A = ("a", "b"), ("b", "a")
SOON_SECONDS = 5.0
"""Far more than anything here takes on a busy machine."""
SILENCE_SECONDS = 0.1
"""What does not come in this time on one machine was not sent."""

HELD = Conditions(Passage.HELD)
RESET = Conditions(Passage.RESET)
DEEP = 8 * 1024 * 1024
"""More than all buffers between two ends together."""


class Listener:
    """Node b: takes connections, and gives a test their ends."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Ends] = asyncio.Queue()
        self.port = 0
        self._ends: list[Ends] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._meet, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _meet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._ends.append((reader, writer))
        self.arrived.put_nowait((reader, writer))

    async def close(self) -> None:
        """End all."""
        assert self._server is not None, "it was started"
        self._server.close()
        for _, writer in self._ends:
            writer.transport.abort()
        await self._server.wait_closed()


class World:
    """Nodes a and b, and the proxy over which a reaches b."""

    def __init__(self, proxy: FaultProxy, listener: Listener, port: int) -> None:
        self.proxy = proxy
        self.listener = listener
        self.port = port
        self._dialed: list[asyncio.StreamWriter] = []

    async def dial(self, port: int = 0) -> Ends:
        """Connect a to b."""
        reader, writer = await asyncio.open_connection(HOST, port or self.port)
        self._dialed.append(writer)
        return reader, writer

    async def pair(self) -> tuple[Ends, Ends]:
        """Return a's ends of a connection and b's."""
        here = await self.dial()
        async with asyncio.timeout(SOON_SECONDS):
            return here, await self.listener.arrived.get()

    def close(self) -> None:
        """End what a has dialed."""
        for writer in self._dialed:
            writer.transport.abort()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two nodes with a perfect network."""
    proxy, listener = FaultProxy(Random(1)), Listener()
    await listener.start()
    made = World(
        proxy, listener, await proxy.listen("a", "b", HOST, port=listener.port)
    )
    yield made
    made.close()
    await proxy.close()
    await listener.close()


async def _read(ends: Ends, size_bytes: int) -> bytes:
    async with asyncio.timeout(SOON_SECONDS):
        return await ends[0].readexactly(size_bytes)


async def _is_silent(ends: Ends) -> bool:
    """Tell whether nothing comes, not even an end."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await ends[0].read(1)
    except TimeoutError:
        return True
    return False


async def _is_torn(ends: Ends) -> bool:
    """Wait until the connection has ended; tell whether it was by a reset."""
    try:
        async with asyncio.timeout(SOON_SECONDS):
            while await ends[0].read(1 << 16):
                pass
    except ConnectionResetError:
        return True
    return False


async def test_perfect_road_carries_both_ways_and_counts(world: World) -> None:
    """Bytes arrive as they were sent, and each direction is counted by itself."""
    a, b = await world.pair()
    sent = Random(2).randbytes(1_000_000)
    a[1].write(sent)
    b[1].write(b"hello")

    assert await _read(b, len(sent)) == sent
    assert await _read(a, 5) == b"hello"
    assert world.proxy.bytes_passed(A_TO_B) == len(sent)
    assert world.proxy.bytes_passed(B_TO_A) == 5


async def test_end_of_one_side_leaves_the_other_open(world: World) -> None:
    """A half-closed connection stays one."""
    a, b = await world.pair()
    a[1].write(b"last words")
    a[1].write_eof()
    async with asyncio.timeout(SOON_SECONDS):
        assert await b[0].read() == b"last words"
    b[1].write(b"answer")
    b[1].write_eof()
    async with asyncio.timeout(SOON_SECONDS):
        assert await a[0].read() == b"answer"


async def test_held_road_is_silent_and_then_gives_all(world: World) -> None:
    """A cut that heals loses nothing: TCP would have sent it again."""
    a, b = await world.pair()
    world.proxy.set(A_TO_B, HELD)
    a[1].write(b"later")

    assert await _is_silent(b)
    world.proxy.set(A_TO_B, PERFECT)
    assert await _read(b, 5) == b"later"


async def test_one_way_cut_leaves_the_other_way(world: World) -> None:
    """Whoever dialed."""
    a, b = await world.pair()
    world.proxy.set(B_TO_A, HELD)
    b[1].write(b"unheard")
    a[1].write(b"heard")

    assert await _read(b, 5) == b"heard"
    assert await _is_silent(a)


@pytest.mark.parametrize("link", [A_TO_B, B_TO_A])
async def test_no_connection_is_made_over_a_held_road(
    world: World, link: tuple[str, str]
) -> None:
    """A handshake needs both ways; it is completed when they are open."""
    world.proxy.set(link, HELD)
    a = await world.dial()
    a[1].write(b"x")
    await asyncio.sleep(SILENCE_SECONDS)
    assert world.listener.arrived.empty()

    world.proxy.heal()
    async with asyncio.timeout(SOON_SECONDS):
        b = await world.listener.arrived.get()
    assert await _read(b, 1) == b"x"


async def test_sender_over_a_held_road_is_slowed_down(world: World) -> None:
    """The proxy's memory is bounded: what it does not take stays with the sender."""
    a, b = await world.pair()
    world.proxy.set(A_TO_B, HELD)
    a[1].write(bytes(DEEP))
    drained = asyncio.create_task(a[1].drain())
    await asyncio.sleep(SILENCE_SECONDS)
    assert not drained.done()

    world.proxy.heal()
    assert len(await _read(b, DEEP)) == DEEP
    await drained


@pytest.mark.parametrize("link", [A_TO_B, B_TO_A])
async def test_reset_tears_what_is_there_and_what_comes(
    world: World, link: tuple[str, str]
) -> None:
    """At both ends; healed, the next connection is as any."""
    a, b = await world.pair()
    world.proxy.set(link, RESET)
    assert await _is_torn(a)
    assert await _is_torn(b)

    fresh = await world.dial()
    with suppress(ConnectionResetError):
        async with asyncio.timeout(SOON_SECONDS):
            assert await fresh[0].read(1) == b""
    assert world.listener.arrived.empty()

    world.proxy.heal()
    again, there = await world.pair()
    again[1].write(b"y")
    assert await _read(there, 1) == b"y"


async def test_reset_by_one_end_reaches_the_other(world: World) -> None:
    """A node that was killed looks killed."""
    a, b = await world.pair()
    b[1].write(b"x")
    await _read(a, 1)
    a[1].transport.abort()
    assert not await _is_silent(b)


async def test_target_that_does_not_listen_refuses(world: World) -> None:
    """A node that is down looks down."""
    await world.listener.close()
    a = await world.dial()
    assert await _is_torn(a)


async def test_refusing_port_refuses(world: World) -> None:
    """The address that leads nowhere."""
    assert await _is_torn(await world.dial(await world.proxy.refusing()))


async def test_delay_is_felt_once_each_way(world: World) -> None:
    """As distance is: by the first byte, not by every byte."""
    loop = asyncio.get_running_loop()
    a, b = await world.pair()
    world.proxy.set(A_TO_B, Conditions(delay_ms=60, jitter_ms=20))
    began = loop.time()
    for number in range(20):
        a[1].write(b"%02d" % number)
        await asyncio.sleep(0)
    got = await _read(b, 40)

    assert got == b"".join(b"%02d" % number for number in range(20))
    assert 0.06 <= loop.time() - began < 1


async def test_bandwidth_is_shared_by_all_connections(world: World) -> None:
    """Two connections together take what one cable gives."""
    loop = asyncio.get_running_loop()
    world.proxy.set(A_TO_B, Conditions(bytes_per_second=1_000_000))
    pairs = [await world.pair() for _ in range(2)]
    began = loop.time()
    for a, _ in pairs:
        a[1].write(bytes(100_000))
    for _, b in pairs:
        await _read(b, 100_000)

    assert loop.time() - began >= 0.2


async def test_what_flies_arrives_at_once_when_the_road_is_healed(
    world: World,
) -> None:
    """Nobody waits for a minute that is over."""
    a, b = await world.pair()
    world.proxy.set(A_TO_B, Conditions(delay_ms=60_000))
    a[1].write(b"x")
    assert await _is_silent(b)
    world.proxy.heal()
    assert await _read(b, 1) == b"x"


async def test_loss_of_all_packets_tears_or_stalls(world: World) -> None:
    """TCP gives up some day; until then nothing comes."""
    a, b = await world.pair()
    world.proxy.set(A_TO_B, Conditions(loss=1.0))
    a[1].write(b"x")
    assert await _is_silent(b)
    world.proxy.heal()
    assert await _read(b, 1) == b"x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay_ms": -1},
        {"jitter_ms": 60_001},
        {"loss": 1.5},
        {"bytes_per_second": -1},
    ],
)
def test_conditions_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    """With the name of what is wrong."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Conditions(**wrong)  # type: ignore[arg-type] # the names vary
