"""The network: time and trouble on lines, order in streams, and what breaks them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.simulated.chance import Chance
from cluster.simulated.line import Line, Trouble
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import Network
from cluster.simulated.stream import WINDOW_BYTES, End, Host
from cluster.simulated.trace import Trace
from kvnode.errors import RoadError

T = TypeVar("T")
DELAY_MS = 50.0
HERE, THERE = ("here", "there"), ("there", "here")


class World:
    """Two hosts; one listens and keeps what arrives."""

    def __init__(self, loop: VirtualLoop, chance: Chance) -> None:
        delays = {HERE: DELAY_MS}
        self.loop = loop
        self.network = Network(loop, chance, delays, Trace(loop.time))
        self.dialer = self.network.host("here", loop.owner("here"))
        self.server = self.network.host("there", loop.owner("there"))
        self.accepted: list[End] = []
        self.arrived: list[tuple[bytes, float]] = []
        self.network.listen(self.server, "there:1", self._accept)

    def _accept(self, end: End) -> None:
        self.accepted.append(end)
        self.loop.spawn(self.server.owner, self._keep(end), "keep")

    async def _keep(self, end: End) -> None:
        try:
            while True:
                message = await end.receive()
                self.arrived.append((message, self.loop.time()))
        except RoadError:
            pass

    async def connected(self, host: Host | None = None) -> End:
        """Return a connection to the one that listens."""
        end = self.network.dial(host or self.dialer, "there:1")
        await end.connection()
        return end

    def messages(self) -> list[bytes]:
        """Return what has arrived."""
        return [message for message, _ in self.arrived]


def run(
    main: Callable[[World], Coroutine[Any, Any, T]],
    seed: int = 0,
    calm: frozenset[str] = frozenset(),
) -> T:
    """Run *main* on a world of its own."""
    chance = Chance(seed, calm)
    loop = VirtualLoop(chance)  # type: ignore[abstract]  # the rest it refuses
    return loop.run_until_complete(main(World(loop, chance)))


troubles = st.builds(
    Trouble,
    delay_ms=st.floats(0, 100),
    jitter_ms=st.floats(0, 300),
    loss=st.floats(0, 0.2),
    duplication=st.floats(0, 1),
    reordering=st.floats(0, 1),
    bytes_per_second=st.sampled_from((0, 10_000, 1_000_000)),
)


@settings(max_examples=40, deadline=None)
@given(trouble=troubles, seed=st.integers(0, 1 << 30))
def test_stream_keeps_order_and_content_in_any_trouble(
    trouble: Trouble, seed: int
) -> None:
    """What is lost below is sent again; a stream that breaks loses its tail."""

    async def main(world: World) -> tuple[list[bytes], bool]:
        end = await world.connected()
        world.network.disturb(HERE, trouble)
        for n in range(30):
            if not end.broken:
                await end.send(b"%d" % n)
        await asyncio.sleep(1000)
        return world.messages(), bool(end.broken)

    arrived, broken = run(main, seed)

    assert arrived == [b"%d" % n for n in range(len(arrived))]
    assert broken or len(arrived) == 30


def test_message_takes_the_delay_of_its_line() -> None:
    """After one round trip for the connection."""

    async def main(world: World) -> tuple[float, float]:
        end = await world.connected()
        connected_at = world.loop.time()
        await end.send(b"hello")
        await asyncio.sleep(1)
        return connected_at, world.arrived[0][1]

    calm = frozenset({"flight here>there", "flight there>here", "stalls"})

    assert run(main, calm=calm) == pytest.approx((0.1, 0.15))


def test_bandwidth_makes_messages_queue() -> None:
    """A hundred kilobytes at ten a second."""

    async def main(world: World) -> float:
        end = await world.connected()
        world.network.disturb(HERE, Trouble(bytes_per_second=10_000))
        for _ in range(10):
            await end.send(bytes(10_000))
        await asyncio.sleep(60)
        return world.arrived[-1][1]

    assert 10 < run(main) < 11


def test_raw_trouble_reaches_the_receiver() -> None:
    """As from a proxy that misbehaves: twice, and out of order."""

    async def main(world: World) -> list[bytes]:
        end = await world.connected()
        await asyncio.sleep(1)
        world.network.disturb(HERE, Trouble(duplication=0.3, reordering=0.3, raw=True))
        for n in range(100):
            await end.send(b"%03d" % n)
        await asyncio.sleep(10)
        return world.messages()

    arrived = run(main)

    assert len(arrived) > 100
    assert len(set(arrived)) == 100
    assert arrived != sorted(arrived)


def test_short_cut_only_holds_messages_back() -> None:
    """Those in flight too; the order stays."""

    async def main(world: World) -> list[tuple[bytes, bool]]:
        end = await world.connected()
        await end.send(b"in flight")
        world.network.cut(HERE)
        await end.send(b"in the cut")
        await asyncio.sleep(5)
        assert world.messages() == []
        world.network.heal()
        await end.send(b"after it")
        await asyncio.sleep(5)
        return [(message, at >= 5) for message, at in world.arrived]

    assert run(main) == [
        (b"in flight", True),
        (b"in the cut", True),
        (b"after it", True),
    ]


def test_connection_given_up_after_a_cut_takes_all_its_messages_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by a plan of documents under `mixed`, seed 198."""
    flights = iter([0.05, None, 0.05, 0.05])
    monkeypatch.setattr(Line, "flight_seconds", lambda *_: next(flights))

    async def main(world: World) -> list[bytes]:
        end = await world.connected()
        world.network.cut(HERE)
        for number in range(3):
            await end.send(bytes([number]))
        world.network.heal()
        await asyncio.sleep(5)
        assert world.loop.complaints == []
        return world.messages()

    assert run(main) == []


@pytest.mark.parametrize("link", [HERE, THERE])
def test_long_cut_either_way_is_noticed_by_whoever_dialed(
    link: tuple[str, str],
) -> None:
    """Ten seconds of silence, and five for an answer."""

    async def main(world: World) -> tuple[float, str]:
        end = await world.connected()
        world.network.cut(link)
        with pytest.raises(RoadError) as caught:
            await end.receive()
        return world.loop.time(), str(caught.value)

    when, why = run(main)

    assert 15 <= when < 15.2
    assert why == "closed here"


def test_quiet_connection_is_kept_alive() -> None:
    """For hours, by answers to keepalives."""

    async def main(world: World) -> str:
        end = await world.connected()
        await asyncio.sleep(7200)
        return end.broken

    assert run(main) == ""


def test_end_that_is_no_more_answers_with_a_reset() -> None:
    """Whoever still believes in the connection learns of it by sending."""

    async def main(world: World) -> str:
        end = await world.connected()
        await asyncio.sleep(1)
        world.network.cut(HERE)
        await asyncio.sleep(20)
        assert end.broken
        (other,) = world.accepted
        assert not other.broken
        world.network.heal()
        other.send_now(b"are you there?")
        await asyncio.sleep(5)
        return other.broken

    assert run(main) in {"reset", "keepalive: no answer"}


def test_nobody_listens_is_refused_at_once_and_a_cut_is_silent() -> None:
    """As TCP tells a dead process from a dead road."""

    async def main(world: World) -> tuple[str, float]:
        refused = world.network.dial(world.dialer, "there:2")
        with pytest.raises(RoadError, match="refused"):
            await refused.connection()
        world.network.cut(HERE)
        silent = world.network.dial(world.dialer, "there:1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await silent.connection()
        world.network.heal()
        await silent.connection()
        return silent.broken, world.loop.time()

    broken, at = run(main)

    assert broken == ""
    assert 3 < at < 5


def test_process_that_ends_is_noticed_by_the_other_side() -> None:
    """Its operating system says so."""

    async def main(world: World) -> str:
        end = await world.connected()
        await end.send(b"hello")
        await asyncio.sleep(1)
        world.loop.kill(world.server.owner)
        world.network.end_host(world.server)
        with pytest.raises(RoadError) as caught:
            await end.receive()
        with pytest.raises(RoadError, match="refused"):
            await world.connected()
        return str(caught.value)

    assert run(main) == "the process ended"


def test_sender_waits_for_a_receiver_that_does_not_read() -> None:
    """Nothing grows beyond the window and one message."""

    async def main(world: World) -> tuple[int, int]:
        end = await world.connected()
        sent = 0
        world.loop.pause(world.server.owner)

        async def send() -> None:
            nonlocal sent
            for _ in range(100):
                await end.send(bytes(WINDOW_BYTES // 8))
                sent += 1

        sending = asyncio.create_task(send())
        await asyncio.sleep(5)
        while_paused = sent
        world.loop.resume(world.server.owner)
        await sending
        return while_paused, sent

    while_paused, sent = run(main)

    assert while_paused == 9
    assert sent == 100
