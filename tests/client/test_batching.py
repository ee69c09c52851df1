"""Concurrent calls share frames; bounds hold; nothing waits for company."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode._pb import kv_pb2
from kvnode.client.batching import FRAME_BYTES_SOFT_MAX, NO_WINDOW, Batcher, Window
from kvnode.client.gate import Gate
from kvnode.deadlines import Deadlines
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    OverloadedError,
    UnavailableError,
)

FAR = 1e9


class Bench:
    """A batcher and what surrounds it."""

    def __init__(self, window: Window = NO_WINDOW) -> None:
        self.loop = asyncio.get_running_loop()
        self.gate = Gate()
        self.silences = 0
        self.deadlines = Deadlines(self.loop)
        self.batcher: Batcher[kv_pb2.OperationResult] = Batcher(
            "a:1",
            loop=self.loop,
            gate=self.gate,
            deadlines=self.deadlines,
            on_silence=self._count_silence,
            window=window,
        )
        self._last = 0

    def _count_silence(self) -> None:
        self.silences += 1

    def add(
        self, key: bytes = b"k", value: bytes = b"", expires_at: float = FAR
    ) -> asyncio.Future[kv_pb2.OperationResult]:
        """Add a put as the dispatcher would."""
        self._last += 1
        put = kv_pb2.PutRequest(key=key, value=value)
        payload = kv_pb2.Operation(id=self._last, put=put).SerializeToString()
        assert self.gate.try_enter(len(payload))
        return self.batcher.add(self._last, payload, expires_at)

    async def frame(self) -> kv_pb2.Frame:
        """Return the next frame as the node would see it."""
        return kv_pb2.Frame.FromString(await self.batcher.frame())


def _reply(*ids: int) -> kv_pb2.FrameReply:
    return kv_pb2.FrameReply(
        results=[
            kv_pb2.OperationResult(id=one, write=kv_pb2.WriteReply(applied=True))
            for one in ids
        ]
    )


@settings(max_examples=30)
@given(sizes=st.lists(st.sampled_from([0, 1, 120, 130, 20_000, 3_000_000]), min_size=1))
def test_frames_hold_all_calls_in_order_within_the_budget(sizes: list[int]) -> None:
    """The concatenation of elements is a Frame, whatever their sizes."""

    async def check() -> None:
        bench = Bench()
        for size in sizes[:30]:
            bench.add(value=bytes(size))
        seen: list[int] = []
        while len(seen) < len(sizes[:30]):
            frame = await bench.frame()
            seen += [len(one.put.value) for one in frame.operations]
            budget = FRAME_BYTES_SOFT_MAX + 10 * len(frame.operations)
            assert len(frame.operations) == 1 or frame.ByteSize() <= budget
        assert seen == sizes[:30]

    asyncio.run(check())


async def test_waiting_frame_holds_all_calls_of_one_turn_of_the_loop() -> None:
    """The writer sleeps; three calls in a row wake it once."""
    bench = Bench()
    writer = asyncio.create_task(bench.frame())
    await asyncio.sleep(0)

    for key in (b"a", b"b", b"c"):
        bench.add(key)

    assert [one.put.key for one in (await writer).operations] == [b"a", b"b", b"c"]


async def test_window_holds_calls_back_until_others_are_answered() -> None:
    """By their number, and by what they are given; one may always go."""
    bench = Bench(Window(2, 1000))
    for size in (0, 0, 0, 900, 900, 2000):
        bench.add(value=bytes(size))
    assert [one.id for one in (await bench.frame()).operations] == [1, 2]
    writer = asyncio.create_task(bench.frame())
    await asyncio.sleep(0.01)
    assert not writer.done()

    bench.batcher.resolve(_reply(1))
    assert [one.id for one in (await writer).operations] == [3]
    bench.batcher.resolve(_reply(2, 3))
    assert [one.id for one in (await bench.frame()).operations] == [4]
    writer = asyncio.create_task(bench.frame())
    await asyncio.sleep(0.01)
    assert not writer.done()
    bench.batcher.resolve(_reply(4))
    assert [one.id for one in (await writer).operations] == [5]
    bench.batcher.resolve(_reply(5))
    assert [one.id for one in (await bench.frame()).operations] == [6]


async def test_call_that_is_given_up_makes_room_in_the_window() -> None:
    """Its answer may never come."""
    bench = Bench(Window(1))
    first = bench.add(expires_at=bench.loop.time() + 0.01)
    bench.add()
    assert [one.id for one in (await bench.frame()).operations] == [1]
    writer = asyncio.create_task(bench.frame())
    with pytest.raises(DeadlineError):
        await first
    assert [one.id for one in (await writer).operations] == [2]


async def test_batcher_that_refuses_more_waits_for_what_was_sent() -> None:
    """What was not sent has not happened."""
    bench = Bench()
    sent = bench.add(b"a")
    await bench.frame()
    unsent, cancelled = bench.add(b"b"), bench.add(b"c")
    cancelled.cancel()
    bench.batcher.refuse_more("it stops")

    with pytest.raises(UnavailableError, match="nothing was done at a:1: it stops"):
        await unsent
    with pytest.raises(UnavailableError, match="it stops"):
        bench.add(b"d")
    assert bench.batcher.call_count == bench.gate.operations == 1
    bench.batcher.resolve(_reply(1))
    assert sent.result().write.applied
    bench.batcher.close("it has ended")
    assert bench.batcher.call_count == bench.gate.operations == 0


async def test_cancelled_call_is_not_sent_and_gives_its_room_back() -> None:
    """A caller that gave up in time causes no write."""
    bench = Bench()
    cancelled, kept = bench.add(b"a"), bench.add(b"b")

    cancelled.cancel()

    assert [one.put.key for one in (await bench.frame()).operations] == [b"b"]
    assert bench.gate.operations == bench.batcher.call_count == 1
    bench.batcher.resolve(_reply(2))
    assert kept.result().write.applied
    assert bench.gate.operations == 0


async def test_replies_find_their_calls_in_any_order() -> None:
    """Ids match them; unknown ones mean nothing."""
    bench = Bench()
    first, second = bench.add(b"a"), bench.add(b"b")
    await bench.frame()

    bench.batcher.resolve(_reply(2, 77, 1))

    assert (first.result().id, second.result().id) == (1, 2)


async def test_closing_tells_sent_calls_from_pending_ones() -> None:
    """What was never written did not happen."""
    bench = Bench()
    sent = bench.add(b"a")
    await bench.frame()
    pending = bench.add(b"b")

    bench.batcher.close("the test says so")

    assert isinstance(sent.exception(), ConnectionLostError)
    assert isinstance(pending.exception(), UnavailableError)
    assert bench.gate.operations == bench.batcher.call_count == 0
    with pytest.raises(UnavailableError, match="the test says so"):
        bench.add(b"c")
    assert bench.gate.operations == 0


async def test_expiry_tells_sent_calls_from_pending_ones() -> None:
    """A deadline leaves doubt only about what was written."""
    bench = Bench()
    sent = bench.add(b"a", expires_at=bench.loop.time())
    await bench.frame()
    pending = bench.add(b"b", expires_at=bench.loop.time())

    await asyncio.wait([sent, pending])

    assert isinstance(sent.exception(), DeadlineError)
    assert isinstance(pending.exception(), UnavailableError)
    assert bench.gate.operations == bench.batcher.call_count == 0
    assert bench.silences == 1


async def test_expiry_on_a_stream_that_talks_is_no_silence() -> None:
    """One slow operation does not condemn the endpoint."""
    bench = Bench()
    slow, quick = bench.add(b"a", expires_at=bench.loop.time()), bench.add(b"b")
    await bench.frame()
    bench.batcher.resolve(_reply(2))

    await asyncio.wait([slow])

    assert isinstance(slow.exception(), DeadlineError)
    assert quick.done()
    assert bench.silences == 0


async def test_answered_calls_leave_nothing_on_the_wheel() -> None:
    """An entry that stayed would keep its reply in memory until the deadline."""
    bench = Bench()
    expires_at = bench.loop.time() + 60
    bench.add(expires_at=expires_at)
    await bench.frame()
    bench.batcher.resolve(_reply(1))
    probe = _Probe()

    assert bench.deadlines.add(probe, expires_at) == {probe}
    bench.deadlines.close()


class _Probe:
    def expire(self) -> None:
        """Never called."""


async def test_gate_lets_callers_in_first_come_first_served() -> None:
    """Room that was promised is not taken by a newcomer."""
    gate, order = Gate(operations_max=1, bytes_max=100), list[str]()
    assert gate.try_enter(10)

    async def enter(name: str) -> None:
        await gate.enter(10, FAR)
        order.append(name)

    tasks = [asyncio.create_task(enter(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    gate.leave(10)
    assert not gate.try_enter(10)
    await tasks[0]
    assert order == ["a"]
    gate.leave(10)
    await tasks[1]
    assert order == ["a", "b"]
    gate.leave(10)
    assert gate.operations == 0


async def test_gate_refuses_who_waits_beyond_the_deadline() -> None:
    """The error names the limits; the room stays whole."""
    gate = Gate(operations_max=1, bytes_max=100)
    assert gate.try_enter(10)

    with pytest.raises(OverloadedError, match="limits 1 and 100"):
        await gate.enter(10, asyncio.get_running_loop().time() + 0.001)

    gate.leave(10)
    assert gate.try_enter(10)


@pytest.mark.parametrize("leave_first", [True, False], ids=["let in", "still waiting"])
async def test_gate_loses_no_room_to_a_cancelled_waiter(*, leave_first: bool) -> None:
    """Whether the cancellation comes before or after its turn."""
    gate = Gate(operations_max=1, bytes_max=100)
    assert gate.try_enter(10)
    waiter = asyncio.create_task(gate.enter(10, FAR))
    await asyncio.sleep(0)
    steps: list[Callable[[], object]] = [lambda: gate.leave(10), waiter.cancel]

    for step in steps if leave_first else reversed(steps):
        step()
    await asyncio.wait([waiter])

    assert waiter.cancelled()
    assert gate.operations == 0
    assert gate.try_enter(10)


async def test_gate_lets_one_large_operation_go_alone() -> None:
    """A limit of bytes must not lock out what is legal by itself."""
    gate = Gate(operations_max=9, bytes_max=100)

    assert gate.try_enter(1000)
    assert not gate.try_enter(1)
