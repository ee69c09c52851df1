"""A lane keeps order, joins what waits, is bounded, and can be slowed and cut."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cluster.simulated.running import run as run_simulated
from kvnode._pb import shards_pb2 as pb
from kvnode.transport.link import Conditions
from kvnode.transport.shards.lane import (
    JOINED_BYTES_MAX,
    LANE_BYTES_MAX,
    Lane,
    hello_frame,
)


class Wire:
    """Keeps what is written and when; stands still while `flowing` is not set."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.times: list[float] = []
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def write(self, frame: bytes) -> None:
        """Keep *frame*."""
        self.written.append(frame)
        self.times.append(asyncio.get_running_loop().time())
        await self.flowing.wait()

    @property
    def sizes(self) -> list[int]:
        """Return how large the frames were."""
        return [len(frame) for frame in self.written]

    @property
    def numbers(self) -> list[list[int]]:
        """Return the numbers of the questions in each frame."""
        frames = map(pb.ShardFrame.FromString, self.written)
        return [[each.number for each in frame.questions] for frame in frames]


class DirectWire(Wire):
    """A wire that can be written to without waiting, while it has room."""

    def __init__(self) -> None:
        super().__init__()
        self.has_room = True

    def try_write(self, frame: bytes) -> bool:
        """Take *frame* if there is room."""
        if self.has_room:
            self.written.append(frame)
        return self.has_room


WireT = TypeVar("WireT", bound=Wire)


def _beside_a_lane(
    main: Callable[[Lane, WireT, Conditions], Coroutine[Any, Any, None]],
    new_wire: Callable[[], WireT],
) -> None:
    """Run *main* beside a lane that is pumped to a wire, on virtual time."""

    async def whole(_cluster: object) -> None:
        conditions = Conditions()
        lane, wire = Lane(conditions), new_wire()
        try_write = wire.try_write if isinstance(wire, DirectWire) else None
        pump = asyncio.create_task(lane.pump(wire.write, try_write))
        try:
            await main(lane, wire, conditions)
        finally:
            assert not pump.done()
            pump.cancel()

    run_simulated(whole)


def on_a_lane(
    main: Callable[[Lane, Wire, Conditions], Coroutine[Any, Any, None]],
) -> None:
    """Run *main* beside a lane whose stream makes whoever writes wait."""
    _beside_a_lane(main, Wire)


def on_a_direct_lane(
    main: Callable[[Lane, DirectWire, Conditions], Coroutine[Any, Any, None]],
) -> None:
    """Run *main* beside a lane whose stream can be written to at once."""

    async def begun(lane: Lane, wire: DirectWire, conditions: Conditions) -> None:
        await settled()  # the pump runs
        await main(lane, wire, conditions)

    _beside_a_lane(begun, DirectWire)


def question(number: int) -> bytes:
    """Return a frame that can be told from others."""
    return pb.ShardFrame(
        questions=[pb.VoterQuestion(number=number)]
    ).SerializeToString()


async def settled() -> None:
    """Return once the pump has done what it can."""
    await asyncio.sleep(0.001)


def test_frames_gather_while_one_is_written_and_go_as_one_in_order() -> None:
    """And what comes later goes behind them."""

    async def main(lane: Lane, wire: Wire, _conditions: Conditions) -> None:
        wire.flowing.clear()
        lane.send(question(0))
        await settled()
        for number in range(1, 6):
            lane.send(question(number))
        await settled()
        assert wire.numbers == [[0]]
        wire.flowing.set()
        await settled()
        lane.send(question(6))
        await settled()
        assert wire.numbers == [[0], [1, 2, 3, 4, 5], [6]]

    on_a_lane(main)


def test_joined_frame_has_a_bound() -> None:
    """What would make it larger goes with the next; the bound itself may be reached."""
    half = JOINED_BYTES_MAX // 2

    async def main(lane: Lane, wire: Wire, _conditions: Conditions) -> None:
        for size in (half, half, 1, half, half):
            lane.send(bytes(size))
        await settled()
        assert wire.sizes == [2 * half, 1 + half, half]

    on_a_lane(main)


def test_frame_larger_than_the_bound_goes_alone() -> None:
    """A large entry is one message, and cannot be parted."""

    async def main(lane: Lane, wire: Wire, _conditions: Conditions) -> None:
        for size in (10, JOINED_BYTES_MAX + 5, 20):
            lane.send(bytes(size))
        await settled()
        assert wire.sizes == [10, JOINED_BYTES_MAX + 5, 20]

    on_a_lane(main)


def test_what_finds_no_room_is_lost() -> None:
    """What fits is kept, and there is room again once some has gone."""

    async def main(lane: Lane, wire: Wire, _conditions: Conditions) -> None:
        half = bytes(LANE_BYTES_MAX // 2)
        wire.flowing.clear()
        for frame in (half, half, b"lost"):
            lane.send(frame)
        await settled()  # the first is on its way
        for frame in (half, b"lost"):
            lane.send(frame)
        wire.flowing.set()
        await settled()
        assert wire.sizes == [len(half)] * 3
        lane.send(b"kept")
        await settled()
        assert wire.written[-1] == b"kept"

    on_a_lane(main)


def test_distance_delays_every_frame_by_as_much() -> None:
    """They travel side by side, as on a long road, and not one after another."""

    async def main(lane: Lane, wire: Wire, conditions: Conditions) -> None:
        conditions.delay_ms = 100
        start = asyncio.get_running_loop().time()
        for number in range(3):
            lane.send(question(number))
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.2)
        assert wire.numbers == [[0], [1], [2]]
        took = [round(time - start, 3) for time in wire.times]
        assert took == [0.1, 0.13, 0.16]

    on_a_lane(main)


def test_order_is_kept_when_the_distance_falls() -> None:
    """What is due sooner waits for what was sent before."""

    async def main(lane: Lane, wire: Wire, conditions: Conditions) -> None:
        conditions.delay_ms = 100
        lane.send(question(1))
        conditions.delay_ms = 0
        lane.send(question(2))
        await asyncio.sleep(0.2)
        assert wire.numbers == [[1, 2]]

    on_a_lane(main)


def test_cut_road_loses_what_comes_and_what_waits() -> None:
    """What comes when it is open again passes."""

    async def main(lane: Lane, wire: Wire, conditions: Conditions) -> None:
        conditions.delay_ms = 50
        lane.send(question(1))
        conditions.blocked = True
        lane.send(question(2))
        await asyncio.sleep(0.1)
        assert wire.written == []
        conditions.blocked = False
        await asyncio.sleep(0.1)
        lane.send(question(3))
        await asyncio.sleep(0.1)
        assert wire.numbers == [[3]]

    on_a_lane(main)


def test_what_was_lost_in_a_cut_takes_no_room() -> None:
    """Else a long cut would leave a lane that loses everything."""

    async def main(lane: Lane, wire: Wire, conditions: Conditions) -> None:
        for _ in range(3):
            lane.send(bytes(LANE_BYTES_MAX))
            conditions.blocked = True
            await settled()
            conditions.blocked = False
        assert wire.written == []
        lane.send(bytes(LANE_BYTES_MAX))
        await settled()
        assert wire.sizes == [LANE_BYTES_MAX]

    on_a_lane(main)


def test_hello_frame_holds_a_hello_alone() -> None:
    """It is the first of a stream, and is not joined with what is said later."""
    hello = pb.ShardHello(cluster="c", name="n")
    assert pb.ShardFrame.FromString(hello_frame(hello)) == pb.ShardFrame(hello=hello)


def test_closed_lane_ends_after_the_write_under_way() -> None:
    """What waits is lost, however far it has to go, and what comes later, too."""

    async def whole(_cluster: object) -> None:
        for delay_ms in (0, 60_000):
            conditions = Conditions()
            lane, wire = Lane(conditions), Wire()
            pump = asyncio.create_task(lane.pump(wire.write))
            wire.flowing.clear()
            lane.send(question(0))
            await settled()
            conditions.delay_ms = delay_ms
            lane.send(question(1))
            lane.close()
            lane.send(question(2))
            await settled()
            assert not pump.done()
            wire.flowing.set()
            async with asyncio.timeout(1):
                await pump
            assert wire.numbers == [[0]]

    run_simulated(whole)


def test_lane_that_waits_ends_as_soon_as_it_is_closed() -> None:
    """For something to send, or for what is sent to have come a long way."""

    async def whole(_cluster: object) -> None:
        for count in (0, 1):
            lane, wire = Lane(Conditions(delay_ms=60_000)), Wire()
            pump = asyncio.create_task(lane.pump(wire.write))
            for number in range(count):
                lane.send(question(number))
            await settled()
            lane.close()
            async with asyncio.timeout(1):
                await pump
            assert wire.written == []

    run_simulated(whole)


def test_what_is_flushed_goes_at_once_and_together() -> None:
    """Before whoever sends goes on; what is put alone waits for that."""

    async def main(lane: Lane, wire: DirectWire, _conditions: Conditions) -> None:
        for number in range(3):
            lane.put(question(number))
        await settled()
        assert wire.numbers == []
        lane.flush()
        assert wire.numbers == [[0, 1, 2]]
        lane.flush()
        await settled()
        assert wire.numbers == [[0, 1, 2]]

    on_a_direct_lane(main)


def test_what_finds_no_room_at_once_is_pumped_in_order() -> None:
    """Also behind a frame that is being written."""

    async def main(lane: Lane, wire: DirectWire, _conditions: Conditions) -> None:
        wire.has_room = False
        wire.flowing.clear()
        lane.put(question(0))
        lane.put(question(1))
        lane.flush()
        await settled()
        assert wire.numbers == [[0, 1]]  # which waits for the wire
        wire.has_room = True
        lane.put(question(2))
        lane.flush()
        assert wire.numbers == [[0, 1]]
        wire.flowing.set()
        await settled()
        assert wire.numbers == [[0, 1], [2]]
        lane.put(question(3))
        lane.flush()
        assert wire.numbers == [[0, 1], [2], [3]]

    on_a_direct_lane(main)


def test_frame_that_is_not_due_is_not_flushed() -> None:
    """Emulated distances hold for what is in a hurry, too; so does a cut road."""

    async def main(lane: Lane, wire: DirectWire, conditions: Conditions) -> None:
        conditions.delay_ms = 50
        lane.put(question(0))
        lane.flush()
        assert wire.numbers == []
        await asyncio.sleep(0.06)
        assert wire.numbers == [[0]]
        conditions.delay_ms = 0
        lane.put(question(1))
        conditions.blocked = True
        lane.flush()
        conditions.blocked = False
        await settled()
        assert wire.numbers == [[0]]

    on_a_direct_lane(main)


def test_stream_without_such_a_way_is_pumped_what_is_flushed() -> None:
    """It goes as soon as the pump runs."""

    async def main(lane: Lane, wire: Wire, _conditions: Conditions) -> None:
        await settled()
        lane.put(question(0))
        lane.flush()
        await settled()
        assert wire.numbers == [[0]]

    on_a_lane(main)
