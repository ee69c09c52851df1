"""One node killed while all take writes, and brought back."""

import asyncio
from time import monotonic

from cluster.demo.stage import Stage
from cluster.demo.waiting import until
from cluster.demo.writers import Writers
from kvnode.client import Client
from kvnode.errors import KvError
from kvnode.types import ReplicaId

VICTIM = "virginia"
BEFORE_SECONDS = 1.5
OUTAGE_SECONDS = 4.0
PAUSE_SECONDS_MAX = 1.0
"""A survivor that takes no write for a second would count as blocked."""

CATCH_UP_SECONDS = 30.0


async def survive_outage(stage: Stage) -> None:
    """Kill a node under load, start it again, and see it catch up."""
    narrator = stage.narrator
    narrator.step(
        f"Kill {VICTIM} while writes go on",
        "SIGKILL: no goodbye, no flush. What was acknowledged is on disk; the others"
        " neither wait for it nor elect anything.",
    )
    writers = {name: Writers(name, client) for name, client in stage.clients.items()}
    for writer in writers.values():
        writer.start()
    try:
        await asyncio.sleep(BEFORE_SECONDS)
        killed_at = monotonic()
        await stage.cluster.kill(VICTIM)
        await writers[VICTIM].stop()
        narrator.say(
            f"{VICTIM} killed after {len(writers[VICTIM].acknowledged):,} acknowledged"
            f" writes; {writers[VICTIM].unknown} more had no answer yet"
        )
        await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (monotonic() - killed_at)))
        await _bring_back(stage, writers, killed_at)
    finally:
        await asyncio.gather(*(writer.stop() for writer in writers.values()))
    for writer in writers.values():
        stage.acknowledged.update(writer.acknowledged)
    total = sum(len(writer.acknowledged) for writer in writers.values())
    narrator.say(f"writers stopped; {total:,} writes were acknowledged in all")


async def _bring_back(
    stage: Stage, writers: dict[str, Writers], killed_at: float
) -> None:
    narrator = stage.narrator
    survivors = stage.others(VICTIM)
    needed = await _joined_clock([stage.clients[name] for name in survivors])
    started_at = monotonic()
    for name in survivors:
        writer = writers[name]
        pause = writer.longest_pause(killed_at, started_at)
        count = writer.count(killed_at, started_at)
        narrator.claim(
            f"{name} went on taking writes",
            f"{count:,} in {started_at - killed_at:.1f} s,"
            f" longest pause {1000 * pause:.0f} ms",
            holds=count > 0 and pause < PAUSE_SECONDS_MAX,
        )
    await stage.cluster.start(VICTIM)
    serving = monotonic() - started_at
    client = stage.clients[VICTIM]
    missing_at_first = await _missing(client, needed)
    missing = await until(
        lambda: _missing(client, needed), lambda left: left == 0, CATCH_UP_SECONDS
    )
    caught_up = monotonic() - started_at
    narrator.claim(
        f"{VICTIM} came back and caught up by itself",
        f"serving {serving:.2f} s after its start, lacking {missing_at_first:,} writes;"
        f" all there {caught_up - serving:.2f} s later",
        holds=missing == 0,
    )


async def _joined_clock(clients: list[Client]) -> dict[ReplicaId, int]:
    """Return all writes that any of the nodes covers, as the highest by replica."""
    joined: dict[ReplicaId, int] = {}
    for client in clients:
        for entry in (await client.status()).clock:
            joined[entry.replica] = max(entry.covered, joined.get(entry.replica, 0))
    return joined


async def _missing(client: Client, needed: dict[ReplicaId, int]) -> int:
    """Return how many of the *needed* writes the node does not cover."""
    try:
        found = {
            entry.replica: entry.covered for entry in (await client.status()).clock
        }
    except KvError:
        return sum(needed.values())  # it does not answer yet
    return sum(max(0, seq - found.get(replica, 0)) for replica, seq in needed.items())
