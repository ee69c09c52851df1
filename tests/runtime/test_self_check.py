"""A store is looked through now and then; what is wrong with it is told and mended."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.store_view import Commit, DurableState, Filling, Write
from kvnode.runtime import self_check
from kvnode.runtime.self_check import SelfCheck
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import EntryKey
from tests.runtime.nodes import OWN, at, foreign, running_node, until


@dataclass
class FakeNode:
    """Notes what the check finds."""

    committed_state: DurableState
    found: list[tuple[int, RollingDigest]] = field(default_factory=list)
    keys: list[EntryKey] = field(default_factory=list)

    def checked(self, total: int, then: RollingDigest) -> None:
        """Note it."""
        self.found.append((total, then))

    def damaged(self, key: EntryKey) -> None:
        """Note it."""
        self.keys.append(key)


def checking(store: MemoryStore, *, interval_ms: int = 0) -> tuple[SelfCheck, FakeNode]:
    """Return a check of *store*, and what it reports to."""
    node = FakeNode(store.state())
    check = SelfCheck(
        store,
        node,
        interval_ms=interval_ms,
        uniform=lambda _, high: high,
        on_checked=node.checked,
    )
    return check, node


async def store_with(digest: RollingDigest) -> MemoryStore:
    """Return a store of one entry that says it has *digest*."""
    store = MemoryStore(OWN)
    state = replace(store.state(), digest=digest)
    await store.apply(Commit(state, (Write(at(b"k"), foreign(1), None),)))
    return store


async def test_scan_finds_the_digest_that_turns_carry_along() -> None:
    """It is the sum of all that is stored."""
    async with running_node() as node:
        await node.put(b"k")
        check, found = checking(node.store)

        assert await check.check()

        digest = node.store.state().digest
        assert found.found == [(digest.total, digest)]


async def test_unknown_digest_is_looked_into_without_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where no scans are wanted otherwise."""
    monkeypatch.setattr(self_check, "LOOK_SECONDS", 0.0)
    check, found = checking(await store_with(RollingDigest(1, 1, known=False)))
    running = asyncio.create_task(check.run())

    await until(lambda: bool(found.found))

    running.cancel()


@pytest.mark.parametrize(("interval_ms", "scans"), [(1, True), (0, False)])
async def test_known_digest_is_checked_at_the_interval(
    monkeypatch: pytest.MonkeyPatch, interval_ms: int, *, scans: bool
) -> None:
    """0: not at all."""
    monkeypatch.setattr(self_check, "LOOK_SECONDS", 0.0005)
    store = await store_with(RollingDigest())
    check, found = checking(store, interval_ms=interval_ms)
    looks = 0

    async def counted(seconds: float) -> None:
        nonlocal looks
        looks += 1
        await original(seconds)

    original = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", counted)
    running = asyncio.create_task(check.run())
    await until(lambda: bool(found.found) or looks > 50)
    running.cancel()

    assert bool(found.found) is scans


async def test_store_that_is_being_filled_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it holds is no state that ever was."""
    monkeypatch.setattr(self_check, "LOOK_SECONDS", 0.0)
    check, found = checking(await store_with(RollingDigest(1, 1, known=False)))
    found.committed_state = replace(found.committed_state, filling=Filling())
    running = asyncio.create_task(check.run())
    for _ in range(100):
        await asyncio.sleep(0)
    running.cancel()

    assert found.found == []
