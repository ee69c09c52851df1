"""Watching a prefix, at one node and across nodes, through kills and cuts."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from kvnode.client import Changes, Client, Conflict, Put
from tests.system.nodes import (
    Fleet,
    ServedNode,
    connected,
    converged,
    cut_off,
    everything,
)

pytestmark = pytest.mark.system

PATIENCE_SECONDS = 30.0


class Watcher:
    """What one watch has shown so far; None: deleted."""

    def __init__(self, steps: AsyncIterator[Changes]) -> None:
        self.seen: dict[bytes, bytes | None] = {}
        self.conflicts: list[Conflict] = []
        self.changes = 0
        self.token = b""
        self._steps = steps

    async def until(self, is_enough: Callable[["Watcher"], bool]) -> None:
        """Take steps until *is_enough*; at least one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for step in self._steps:
                self.changes += len(step.changes)
                self.seen |= {
                    change.key: change.value.value if change.value else None
                    for change in step.changes
                }
                self.conflicts.extend(step.conflicts)
                self.token = step.resume_token
                if is_enough(self):
                    return

    async def stand(self) -> None:
        """Return when the watch stands; what is put from then on is seen."""
        await self.until(lambda _: True)


async def _sees(watcher: Watcher, key: bytes, value: bytes | None) -> None:
    await watcher.until(lambda w: key in w.seen and w.seen[key] == value)


async def test_watch_shows_the_latest_value_of_every_changed_key(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """Of one prefix, from all nodes, deletions too; history may be skipped."""
    clients = [await fleet.client(node) for node in trio]
    watcher = Watcher(clients[0].watch("seen/"))
    await watcher.stand()

    async def overwrite(client: Client, number: int) -> None:
        for value in range(20):
            await client.put(f"seen/{number}", b"%d" % value)
            await client.put(f"other/{number}", b"%d" % value)
        if number % 5 == 0:
            await client.delete(f"seen/{number}")

    await asyncio.gather(*(overwrite(clients[n % 3], n) for n in range(30)))

    expected = {b"seen/%d" % n: None if n % 5 == 0 else b"19" for n in range(30)}
    await watcher.until(lambda w: w.seen == expected)
    await converged(*trio)
    held = await everything(trio[1])
    for key, value in watcher.seen.items():
        assert (held[key].value if key in held else None) == value


async def test_watch_from_the_start_shows_what_is_there_first(
    fleet: Fleet, node: ServedNode
) -> None:
    """More than one reply's worth; then it goes on with what comes."""
    client = await fleet.client(node)
    await client.batch([Put(f"k/{n:05}", b"%d" % n) for n in range(2_000)])
    watcher = Watcher(client.watch("k/", from_start=True))

    await watcher.until(lambda w: len(w.seen) == 2_000)

    assert watcher.seen == {b"k/%05d" % n: b"%d" % n for n in range(2_000)}
    await client.put("k/new", b"v")
    await _sees(watcher, b"k/new", b"v")


async def test_watch_resumes_at_another_node_from_its_token(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """What was changed in between is shown, and what was seen before is not."""
    first, second, _ = [await fleet.client(node) for node in trio]
    await first.batch([Put(f"k/{n}", b"old") for n in range(750)])
    watcher = Watcher(first.watch("k/", from_start=True))
    await watcher.until(lambda w: len(w.seen) == 750)
    await converged(*trio)
    await first.put("k/7", b"new")
    await first.delete("k/8")
    await first.put("k/new", b"new")
    await converged(*trio)

    resumed = Watcher(second.watch("k/", resume_token=watcher.token))

    await resumed.until(lambda w: len(w.seen) == 3)
    assert resumed.seen == {b"k/7": b"new", b"k/8": None, b"k/new": b"new"}
    assert resumed.changes == 3


async def test_token_moves_on_after_any_number_of_changes(
    fleet: Fleet, node: ServedNode
) -> None:
    """Also where the changes fill their last reply exactly: all come only once."""
    client = await fleet.client(node)
    await client.batch([Put(f"k/{n}", b"v") for n in range(500)])
    watcher, tokens = Watcher(client.watch("k/", from_start=True)), set[bytes]()

    def is_moved(w: Watcher) -> bool:
        tokens.add(w.token)
        return len(w.seen) == 500 and len(tokens) > 1

    await watcher.until(is_moved)

    resumed = Watcher(client.watch("k/", resume_token=watcher.token))
    await resumed.stand()
    assert resumed.seen == {}


async def test_watch_goes_on_at_another_node_when_its_own_is_killed(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """The library resumes by itself; nothing in between is missed."""
    client = Client(*(node.endpoint for node in trio))
    async with client:
        watcher = Watcher(client.watch("k/"))
        await watcher.stand()
        other = await fleet.client(trio[1])
        await other.put("k/before", b"v")
        await _sees(watcher, b"k/before", b"v")

        await trio[0].kill()
        await other.put("k/between", b"v")
        await _sees(watcher, b"k/between", b"v")
        await trio[0].start()
        await connected(*trio)
        third = await fleet.client(trio[0])
        await third.put("k/after", b"v")

        await _sees(watcher, b"k/after", b"v")


async def test_watch_shows_what_comes_after_a_cut(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """Entries that come with a delta are changes like any other."""
    here, there = await fleet.client(trio[0]), await fleet.client(trio[1])
    watcher = Watcher(here.watch("k/"))
    await watcher.stand()
    await cut_off(trio[0], trio[1:])
    await asyncio.gather(*(there.put(f"k/{n}", b"v") for n in range(1_000)))

    await cut_off(trio[0], trio[1:], blocked=False)

    await watcher.until(lambda w: len(w.seen) == 1_000)


async def test_watch_reports_conflicts(fleet: Fleet, trio: list[ServedNode]) -> None:
    """Who merges concurrent writes tells its watchers what lost (R4)."""
    clients = [await fleet.client(node) for node in trio]
    watchers = [Watcher(client.watch("k", conflicts=True)) for client in clients]
    for watcher in watchers:
        await watcher.stand()
    await cut_off(trio[0], trio[1:])
    await clients[0].put("k", b"loser")
    await clients[1].put("k", b"winner")

    await cut_off(trio[0], trio[1:], blocked=False)

    await converged(*trio)
    await _sees(watchers[0], b"k", b"winner")
    reported = [
        conflict
        for watcher, client in zip(watchers, clients, strict=True)
        for conflict in await _reported(watcher, client)
    ]
    assert reported, "at least one node did the merging"
    assert {conflict.value for conflict in reported} == {b"loser"}


async def _reported(watcher: Watcher, client: Client) -> list[Conflict]:
    """Return what *watcher* is told of the conflicts that its node has noticed."""
    noticed = len((await client.conflicts("k")).items)
    if len(watcher.conflicts) < noticed:
        await watcher.until(lambda w: len(w.conflicts) >= noticed)
    return watcher.conflicts
