"""The inbox is bounded, keeps order, and never keeps anyone waiting for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.node.commands import (
    AddToCounter,
    Delete,
    Put,
    UpdateDocument,
    UpdateSet,
    WriteRequest,
)
from kvnode.core.node.events import Received, Tick
from kvnode.core.replication.delta import PAGE_ENTRIES_MAX
from kvnode.core.replication.messages import DeltaAcknowledgement
from kvnode.errors import OverloadedError
from kvnode.runtime.inbox import (
    TURN_BYTES_MAX,
    TURN_OPERATIONS_MAX,
    Inbox,
    command_bytes,
)
from tests.runtime.nodes import PEER, at


def _received(number: int) -> Received:
    return Received(PEER, DeltaAcknowledgement(1, number))


sizes = st.lists(
    st.tuples(st.integers(0, TURN_OPERATIONS_MAX + 5), st.integers(0, 2 * 10**7)),
    min_size=1,
    max_size=12,
)


def _numbered(number: int) -> WriteRequest:
    return WriteRequest(number, ())


@given(sizes=sizes)
def test_turns_keep_order_and_bounds(sizes: list[tuple[int, int]]) -> None:
    """A turn is over its bounds only if it has a single event."""

    async def taken() -> list[list[int]]:
        inbox = Inbox(operations_max=10**6, bytes_max=10**9)
        for number, (operations, size) in enumerate(sizes):
            inbox.put(_numbered(number), operations, size)
        turns = []
        while inbox:
            events = await inbox.take()
            turns.append([e.number for e in events if isinstance(e, WriteRequest)])
        inbox.check_room(10**6, 10**9)  # nothing is left of the counts
        return turns

    turns = asyncio.run(taken())

    assert [n for turn in turns for n in turn] == list(range(len(sizes)))
    for turn in turns:
        operations, size = map(sum, zip(*(sizes[n] for n in turn), strict=True))
        assert len(turn) == 1 or (
            operations <= TURN_OPERATIONS_MAX and size <= TURN_BYTES_MAX
        )


@pytest.mark.parametrize(("operations", "size"), [(3, 0), (1, 11), (11, 1)])
async def test_request_beyond_a_bound_is_refused_with_the_numbers(
    operations: int, size: int
) -> None:
    """The message says how much waits and how much may."""
    inbox = Inbox(operations_max=10, bytes_max=100)
    inbox.put(_numbered(1), 8, 90)

    with pytest.raises(OverloadedError, match=r"8 operations .* 10 .* 90 bytes of 100"):
        inbox.check_room(operations, size)
    inbox.check_room(2, 10)


async def test_peers_do_not_use_up_the_room_of_clients() -> None:
    """A flood of pushes is held back by its bytes, and refuses nobody."""
    inbox = Inbox(operations_max=10, bytes_max=100)
    inbox.put(_received(1), 500, 50)

    inbox.check_room(10, 50)

    await inbox.take()
    inbox.check_room(10, 100)


async def test_turn_takes_one_page_of_a_delta_behind_all_else() -> None:
    """Who writes to a node that catches up waits for one page, not for all (D7)."""
    inbox = Inbox(operations_max=10, bytes_max=10**6)
    for number in range(3):
        inbox.put(_received(number), PAGE_ENTRIES_MAX, 9, is_maintenance=True)
    inbox.put(_numbered(1), 1, 1)

    turns = [await inbox.take() for _ in range(3)]

    assert turns == [
        [_numbered(1), _received(0)],
        [_received(1)],
        [_received(2)],
    ]
    assert not inbox


async def test_small_pages_share_a_turn() -> None:
    """Each turn is a sync of the disk."""
    inbox = Inbox(operations_max=10, bytes_max=10**6)
    for number in range(4):
        inbox.put(_received(number), PAGE_ENTRIES_MAX // 3, 9, is_maintenance=True)

    assert [len(await inbox.take()) for _ in range(2)] == [3, 1]


async def test_page_comes_in_its_turn_however_much_else_there_is() -> None:
    """A node under load comes up to date all the same."""
    inbox = Inbox(operations_max=10**6, bytes_max=10**6)
    inbox.put(_received(0), PAGE_ENTRIES_MAX, 9, is_maintenance=True)
    for number in range(TURN_OPERATIONS_MAX + 1):
        inbox.put(_numbered(number), 1, 1)

    assert _received(0) in await inbox.take()


async def test_events_get_in_although_the_inbox_is_full() -> None:
    """A node that did not hear of time and connections would stand still."""
    inbox = Inbox(operations_max=1, bytes_max=1)
    inbox.put(_numbered(1), 1, 1)

    inbox.put(Tick(), 0, 0)

    assert await inbox.take() == [_numbered(1), Tick()]


async def test_room_waits_until_enough_was_taken() -> None:
    """A peer is held back by bytes, and goes on as soon as there is room."""
    inbox = Inbox(operations_max=10, bytes_max=100)
    inbox.put(_numbered(1), 1, TURN_BYTES_MAX)
    inbox.put(_numbered(2), 1, 101)
    inbox.put(_numbered(3), 1, 100)
    waiting = asyncio.create_task(inbox.room())

    await inbox.take()
    await asyncio.sleep(0)
    assert not waiting.done()
    await inbox.take()

    await asyncio.wait_for(waiting, 1)


async def test_wake_ends_every_wait() -> None:
    """A node that stops must not leave a peer's delivery hanging."""
    inbox = Inbox(operations_max=10, bytes_max=100)
    inbox.put(_numbered(1), 1, 101)
    waiting = asyncio.create_task(inbox.room())
    await asyncio.sleep(0)

    inbox.wake()

    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(inbox.room(), 1)


async def test_wake_lets_take_return_nothing() -> None:
    """So that the driver sees that it was told to stop."""
    inbox = Inbox(operations_max=10, bytes_max=100)
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)

    inbox.wake()

    assert await asyncio.wait_for(taking, 1) == []


def test_commands_are_counted_with_all_they_hold() -> None:
    """Memory is bounded by what clients send, whichever the command."""
    key = at(b"key")
    assert command_bytes(Put(key, b"12345", '{"a":1}')) == 3 + 5 + 7
    assert command_bytes(UpdateSet(key, (b"a", b"bc"), (b"def",))) == 3 + 6
    assert command_bytes(UpdateDocument(key, b"1234")) == 3 + 4
    assert command_bytes(AddToCounter(key, 1)) == command_bytes(Delete(key)) == 3
