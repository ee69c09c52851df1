"""Hosts of shards in trouble: what was acknowledged is in all states in the end."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from kvnode.errors import KvError, StoreFullError
from kvnode.runtime.shards.host import ShardHost
from kvnode.runtime.shards.state import compaction, snapshot_sender
from kvnode.types import ReplicaId
from tests.runtime.shards.site import MEMBERS, SHARD, Site, change, simulated

ROUNDS = 40


class Trouble:
    """What goes wrong at one site, by one seed; and the keys that are safe."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.random = Random(seed)
        self.acknowledged: set[bytes] = set()
        self.written = 0

    async def run(self) -> None:
        """Do harm, and write meanwhile; then let all be well."""
        harms = (self.cut, self.heal, self.crash, self.fill, self.break_state)
        for _ in range(ROUNDS):
            await self.random.choice(harms)()
            await self.write_all()
            await asyncio.sleep(self.random.choice((0.01, 0.5, 3.0)))
        await self.heal()
        await asyncio.sleep(10)
        await self.site.settled(*MEMBERS)

    async def write_all(self) -> None:
        """Write at whoever leads, for a while."""
        for _ in range(self.random.randrange(8)):
            first, self.written = self.written, self.written + 20
            for host in list(self.site.hosts.values()):
                if host.leads(SHARD):
                    keys = [b"%06d" % key for key in range(first, first + 20)]
                    await asyncio.gather(*(self.write(host, k) for k in keys))

    async def write(self, host: ShardHost, key: bytes) -> None:
        """Write one key; note it if that is acknowledged."""
        with suppress(KvError, TimeoutError):
            async with asyncio.timeout(0.3):
                await host.propose(SHARD, change(key))
            self.acknowledged.add(key)

    async def cut(self) -> None:
        """Cut one host off, for others; or make the network bad."""
        self.site.cut = {self.any_member()}
        self.site.loss = self.random.choice((0.0, 0.05))
        self.site.doubled = self.random.choice((0.0, 0.2))
        self.site.slow_pages = self.random.choice((0.002, 0.1, 0.5))

    async def heal(self) -> None:
        """Let everything be well."""
        self.site.cut = set()
        self.site.loss = self.site.doubled = 0.0
        self.site.slow_pages = 0.002
        for own in MEMBERS:
            self.site.stores[own].is_full = False
            self.site.states[own].open(SHARD).failure = None

    async def crash(self) -> None:
        """Let one host lose its power, and come back."""
        own = self.any_member()
        await self.site.crash(own)
        self.site.start(own)

    async def fill(self) -> None:
        """Fill one host's disk."""
        self.site.stores[self.any_member()].is_full = True

    async def break_state(self) -> None:
        """Let the disk of one host's state fail, or be full."""
        failure = self.random.choice((StoreFullError("full"), OSError("gone")))
        self.site.states[self.any_member()].open(SHARD).failure = failure

    def any_member(self) -> ReplicaId:
        """Return one of the hosts."""
        return self.random.choice(MEMBERS)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_acknowledged_is_lost(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, and however short the logs are."""
    monkeypatch.setattr(compaction, "KEPT_ENTRIES", 20)
    monkeypatch.setattr(compaction, "CHECKPOINT_ENTRIES", 40)
    monkeypatch.setattr(compaction, "STEP_ENTRIES", 10)
    monkeypatch.setattr(snapshot_sender, "SNAPSHOT_PAGE_BYTES_MAX", 500)
    monkeypatch.setattr(snapshot_sender, "CATCH_UP_SECONDS", 1.0)

    async def main(site: Site) -> None:
        trouble = Trouble(site, seed)
        await trouble.run()

        assert len(trouble.acknowledged) > 200
        for own in MEMBERS:
            rows = dict(site.rows(own))
            assert trouble.acknowledged <= rows.keys()
            assert rows == dict(site.rows(MEMBERS[0]))

    simulated(main)
