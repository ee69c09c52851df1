"""Repairs run one at a time, and end alone when a peer is wrong (D9)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import PeerUp, Received
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.replication.messages import (
    Message,
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairMessage,
    RepairPage,
    RepairRange,
    wire_entry,
)
from kvnode.core.replication.range_message import RangeMessage
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.rolling_digest import TOTAL_END, RollingDigest
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Filling,
    PeerAddress,
    Write,
)
from kvnode.errors import InvalidArgumentError, UnavailableError
from kvnode.runtime import repair_session
from kvnode.runtime.repair_session import WINDOW_MESSAGES
from kvnode.types import EntryKey, HlcTimestamp, ReplicaId
from tests.runtime.nodes import OWN, PEER, RunningNode, at, foreign, running_node, until

PEER_ADDRESS = PeerAddress("tokyo", "", PEER, "asia")
LAST = True
CLOCK = VersionVector.of({PEER: 10_000})


async def holding(node: RunningNode, *numbers: int) -> None:
    """Let *node* hold PEER's writes of *numbers*, and cover all."""
    rows = [(at(b"%05d" % n), foreign(n)) for n in numbers]
    total = sum(fingerprint(key, entry) for key, entry in rows) % TOTAL_END
    state = replace(node.store.state(), digest=RollingDigest(total))
    writes = tuple(Write(key, entry, None) for key, entry in rows)
    await node.store.apply(Commit(state, writes))
    node.driver.node.state = node.driver.committed_state = state


async def covering_all(node: RunningNode) -> None:
    """Let *node* cover CLOCK from the beginning, and be connected to PEER."""
    state = DurableState(OWN, CLOCK)
    await node.store.apply(Commit(state))
    node.driver.node.state = node.driver.committed_state = state
    await node.driver.deliver(PeerUp(PEER_ADDRESS, CLOCK, (), protocol=2))
    await node.settled()


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    """A node that covers CLOCK, and is connected to PEER."""
    async with running_node() as node:
        await covering_all(node)
        yield node


def said(node: RunningNode) -> list[RepairMessage]:
    """Return what *node* has said of repairs."""
    return [m for _, m in node.transport.sent if isinstance(m, RepairMessage)]


class Pair:
    """Two nodes that carry each other's messages of repairs."""

    def __init__(self, one: RunningNode, other: RunningNode) -> None:
        self.nodes = (one, other)
        self.carried: list[Message] = []
        self.spoil: Callable[[RepairMessage], RepairMessage] = lambda message: message

    async def carry(self) -> None:
        """Carry messages for ever."""
        done = [0, 0]
        while True:
            for at_, node in enumerate(self.nodes):
                for _, message in node.transport.sent[done[at_] :]:
                    done[at_] += 1
                    if isinstance(message, RepairMessage):
                        carried = self.spoil(message)
                        self.carried.append(carried)
                        await self.nodes[1 - at_].driver.deliver(
                            Received(PEER, carried)
                        )
            await asyncio.sleep(0)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Two nodes that cover the same, each the other's PEER."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(page_bytes=1000))
            for _ in range(2)
        ]
        for node in nodes:
            await covering_all(node)
        pair = Pair(*nodes)
        carrying = asyncio.create_task(pair.carry())
        yield pair
        carrying.cancel()


async def test_repair_mends_both_sides_and_says_what_it_did(pair: Pair) -> None:
    """Each sends what the other lacks, in pages of a window."""
    one, other = pair.nodes
    await holding(one, *range(1, 1000))
    await holding(other, *range(1, 800), *range(1000, 1100))

    outcome = await one.driver.repair("tokyo")

    await until(lambda: not other.repairs.repairing_with)
    assert outcome.differing_keys == 300
    assert (outcome.sent, outcome.received) == (200, 100)
    assert (outcome.changed_here, outcome.changed_there) == (100, 200)
    assert other.repairs.repaired == 200
    with one.store.snapshot() as here, other.store.snapshot() as there:
        rows = [list(view.scan(at(b"").namespace)) for view in (here, there)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1099
    assert outcome.messages == len(pair.carried) - 1  # but for the one that begins


async def test_repair_of_equal_stores_costs_two_ranges(pair: Pair) -> None:
    """And two empty pages, which end it."""
    for node in pair.nodes:
        await holding(node, *range(1, 100))

    outcome = await pair.nodes[0].driver.repair("tokyo")

    assert outcome.differing_keys == 0
    kinds = [type(m) for m in pair.carried]
    assert kinds.count(RepairRange) == 2
    assert kinds.count(RepairPage) == 2


async def test_node_takes_part_in_one_repair_at_a_time(node: RunningNode) -> None:
    """Whoever comes second is told so, and tries again later."""
    first = asyncio.create_task(node.driver.repair("tokyo"))
    await node.settled()

    with pytest.raises(UnavailableError, match="a repair with tokyo is under way"):
        await node.driver.repair("tokyo")
    await node.receive(RepairBegin(99))

    assert said(node)[-1] == RepairEnd(99, "another repair, with tokyo, is under way")
    first.cancel()


async def test_repair_goes_on_when_nobody_waits_for_it(pair: Pair) -> None:
    """An operator's deadline ends his waiting alone."""
    one, other = pair.nodes
    await holding(other, 1, 2, 3)
    waiting = asyncio.create_task(one.driver.repair("tokyo"))
    await asyncio.sleep(0)
    waiting.cancel()

    await until(lambda: one.repairs.repairs == 1)

    assert one.repairs.repaired == 3


async def test_repair_with_nobody_is_refused(node: RunningNode) -> None:
    """Who is no peer, and who is none for now."""
    with pytest.raises(InvalidArgumentError, match="'paris' is no peer"):
        await node.driver.repair("paris")
    await node.peer_down()
    with pytest.raises(UnavailableError, match="is not connected"):
        await node.driver.repair("tokyo")


async def test_node_that_is_being_filled_takes_part_in_no_repair(
    node: RunningNode,
) -> None:
    """D10: what it holds is no state that ever was."""
    state = replace(node.driver.committed_state, filling=Filling())
    node.driver.committed_state = state

    with pytest.raises(UnavailableError, match="is being filled"):
        await node.driver.repair("tokyo")
    await node.receive(RepairBegin(5))

    (end,) = said(node)
    assert isinstance(end, RepairEnd)
    assert "is being filled" in end.reason


async def test_repair_ends_with_the_connection(node: RunningNode) -> None:
    """Its snapshots are released, and another one may begin."""
    repair = asyncio.create_task(node.driver.repair("tokyo"))
    await node.settled()
    await node.peer_down()

    with pytest.raises(UnavailableError, match="the connection is gone"):
        await repair

    assert node.store._image.holders == 0
    assert not node.repairs.repairing_with


async def test_peer_that_goes_quiet_ends_the_repair(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; it can be begun again."""
    monkeypatch.setattr(repair_session, "INDEX_SECONDS_MAX", 0.01)

    with pytest.raises(UnavailableError, match="went quiet"):
        await node.driver.repair("tokyo")

    assert isinstance(said(node)[-1], RepairEnd)


HOSTILE: tuple[tuple[str, Callable[[int], RepairMessage]], ...] = (
    ("garbage", lambda session: RepairRange(session, b"\xff" * 40)),
    ("nothing", lambda session: RepairRange(session, b"")),
    (
        "another step",
        lambda session: RepairRange(
            session, RangeMessage(5, LAST, 0, 4, b"", b"").encode()
        ),
    ),
    (
        "answers to nothing",
        lambda session: RepairRange(
            session, RangeMessage(1, LAST, 0, 4, b"\xff" * 99, b"").encode()
        ),
    ),
    ("what was not sent", RepairAcknowledgement),
    ("an end", lambda session: RepairEnd(session, "enough")),
)


@pytest.mark.parametrize(
    "message", [m for _, m in HOSTILE], ids=[name for name, _ in HOSTILE]
)
async def test_what_no_correct_peer_says_ends_the_repair_alone(
    node: RunningNode, message: Callable[[int], RepairMessage]
) -> None:
    """The connection stays, and the node goes on."""
    await holding(node, 1, 2, 3)
    repair = asyncio.create_task(node.driver.repair("tokyo"))
    await node.settled()
    session = said(node)[0].session

    for _ in range(2):
        await node.receive(message(session))

    with pytest.raises(UnavailableError, match="the repair with tokyo ended"):
        await repair
    assert node.transport.disconnected == []
    assert not node.repairs.repairing_with
    await node.put(b"k")


async def test_peer_that_sends_more_than_a_window_ends_the_repair(
    node: RunningNode,
) -> None:
    """What waits is bounded whatever a peer sends."""
    await node.receive(RepairBegin(7))

    for _ in range(WINDOW_MESSAGES + 1):
        await node.driver.deliver(Received(PEER, RepairRange(7, b"x")))
    await node.settled()

    (end,) = said(node)
    assert isinstance(end, RepairEnd)
    assert "more than 4 messages at a time" in end.reason
    assert not node.repairs.repairing_with


async def test_messages_of_no_repair_are_answered_with_its_end(
    node: RunningNode,
) -> None:
    """Who was restarted knows of none; ends are not answered, or both would go on."""
    await node.receive(RepairRange(5, b""))
    await node.receive(RepairEnd(6, "over"))
    await node.receive(RepairAcknowledgement(8))

    assert said(node) == [RepairEnd(5, "there is no such repair")]


async def test_page_that_does_not_belong_to_a_repair_is_not_merged(
    node: RunningNode,
) -> None:
    """Nobody may change contents behind a node's back."""
    key: EntryKey = at(b"k")
    await node.receive(RepairPage(5, (wire_entry(key, foreign(1)),), last=True))

    with node.store.snapshot() as view:
        assert view.entry(key) is None


async def test_scan_of_a_sound_store_tells_nothing(
    node: RunningNode, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is it doubted."""
    await node.put(b"k")
    digest = node.driver.committed_state.digest

    assert not node.repairs.checked(digest.total, digest)

    assert (node.repairs.scans, node.repairs.scans_wrong) == (1, 0)
    assert not node.repairs.doubted
    assert "does not hold" not in caplog.text


async def test_scan_that_finds_another_digest_is_told_of_and_corrects_it(
    node: RunningNode, caplog: pytest.LogCaptureFixture
) -> None:
    """So that peers see the difference; and its contents count less from now on."""
    await node.put(b"k")
    digest = node.driver.committed_state.digest

    assert node.repairs.checked(12345, digest)
    await node.settled()

    assert node.driver.committed_state.digest.total == 12345
    assert node.repairs.doubted
    assert "does not hold what was written to it (D9)" in caplog.text


async def test_scan_of_a_store_of_unknown_digest_settles_it(node: RunningNode) -> None:
    """Which is no fault."""
    then = RollingDigest(5, breaks=1, known=False)
    node.driver.node.state = replace(node.driver.node.state, digest=then)

    assert not node.repairs.checked(12345, then)
    await node.settled()

    digest = node.driver.committed_state.digest
    assert (digest.total, digest.known) == (12345, True)


async def test_repair_finds_out_whose_store_is_wrong(pair: Pair) -> None:
    """Making the index has looked through all of it: the sound store's value counts."""
    one, other = pair.nodes
    for node, value in ((one, b"right"), (other, b"zzzzz")):
        entry = foreign(1, value)
        total = fingerprint(at(b"k"), foreign(1, b"right"))
        state = replace(node.store.state(), digest=RollingDigest(total))
        await node.store.apply(Commit(state, (Write(at(b"k"), entry, None),)))
        node.driver.node.state = node.driver.committed_state = state

    outcome = await one.driver.repair("tokyo")

    await until(lambda: not other.repairs.repairing_with)
    assert (outcome.changed_here, outcome.changed_there) == (0, 1)
    for node in pair.nodes:
        with node.store.snapshot() as view:
            assert view.entry(at(b"k")) == foreign(1, b"right")
    assert other.repairs.scans_wrong == 1
    assert not other.repairs.doubted


async def test_node_that_has_forgotten_what_it_does_not_cover_sends_nothing(
    pair: Pair,
) -> None:
    """It is about to start over."""
    one, other = pair.nodes
    await holding(one, 1, 2)
    floor = Floor(VersionVector.of({ReplicaId(5): 1}), HlcTimestamp(1))
    state = replace(one.store.state(), floor=floor)
    await one.store.apply(Commit(state))
    one.driver.node.state = one.driver.committed_state = state

    outcome = await other.driver.repair("tokyo")

    assert outcome.received == 0
