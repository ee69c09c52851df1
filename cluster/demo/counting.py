"""One counter, incremented everywhere at once: no increment is lost."""

import asyncio
from time import monotonic

from cluster.demo.stage import Stage
from cluster.demo.waiting import until

KEY = "visits/home"
INCREMENTS = 200
SETTLE_SECONDS = 20.0


async def count_everywhere(stage: Stage) -> None:
    """Increment a counter at every node at once; wait until all see the sum."""
    narrator = stage.narrator
    narrator.step(
        f"Count {INCREMENTS} visits at each node, all at once",
        "A counter is a CRDT: every node adds to its own share, and merging keeps all"
        " shares, where a register would keep one writer's sum.",
    )
    counters = {name: client.counter(KEY) for name, client in stage.clients.items()}
    expected = INCREMENTS * len(counters)
    began = monotonic()
    await asyncio.gather(
        *(
            counter.increment()
            for _ in range(INCREMENTS)
            for counter in counters.values()
        )
    )
    acknowledged = monotonic()

    async def sums() -> dict[str, int]:
        return {name: await counter.value() for name, counter in counters.items()}

    found = await until(
        sums, lambda found: set(found.values()) == {expected}, SETTLE_SECONDS
    )
    settled = monotonic()
    narrator.say(", ".join(f"{name} reads {value}" for name, value in found.items()))
    narrator.claim(
        f"all read {expected}, the sum of all increments",
        f"{expected} increments in {acknowledged - began:.2f} s,"
        f" equal {settled - acknowledged:.2f} s later",
        holds=set(found.values()) == {expected},
    )
    stage.acknowledged[KEY.encode()] = str(expected).encode()
