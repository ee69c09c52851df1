"""
What failure detection costs a node that has a thousand members.

Run with `python -m tests.benchmarks.detector`; the seed is fixed.  Budget: 200 us
for a ping with as many updates as fit, all of them news, because a node takes in
about three messages a second and 0.06 % of a core is nothing; 10 us for a tick, of
which there are 20 a second.  Neither depends on the number of members.
"""

from collections.abc import Sequence
from random import Random
from statistics import median, quantiles
from time import perf_counter_ns

from rich.console import Console

from kvnode.core.membership.events import Event, MembersKnown, Received, Tick
from kvnode.core.membership.messages import UPDATES_MAX, Health, Ping, Update
from kvnode.core.membership.settings import SwimSettings
from kvnode.core.membership.swim import Swim
from kvnode.core.node.events import TICK_MILLIS
from kvnode.types import Millis, ReplicaId

MEMBERS = 1000
SEED = 20_240_229
OWN = ReplicaId(1)
SUSPICION_TICKS = 72_000 // TICK_MILLIS  # the longest of a thousand members

console = Console(highlight=False)


class Subject:
    """One failure detector, its clock and its chance."""

    def __init__(self) -> None:
        self.rng = Random(SEED)
        self.now = 1_700_000_000_000
        self.swim = Swim(OWN, 0, SwimSettings())
        self.others = tuple(
            ReplicaId(self.rng.getrandbits(64)) for _ in range(MEMBERS - 1)
        )
        self.swim.step(MembersKnown((OWN, *self.others)), Millis(self.now), self.rng)

    def measure(self, name: str, events: Sequence[Event], *, apart: int = 0) -> None:
        """Print what one of *events*, *apart* ms from the last, takes."""
        spans = []
        for event in events:
            self.now += apart
            began = perf_counter_ns()
            self.swim.step(event, Millis(self.now), self.rng)
            spans.append((perf_counter_ns() - began) / 1000)
        most = quantiles(spans, n=20)[-1]
        console.print(f"{name:<42}{median(spans):7.1f} us, 95 % within {most:7.1f} us")

    def accusations(self, count: int) -> list[Event]:
        """Return *count* pings full of suspicions, of all others in turn."""
        claims = [
            Update(replica, 0, Health.SUSPECT, self.others[0])
            for replica in self.others
        ]
        pages = [
            tuple(claims[start : start + UPDATES_MAX])
            for start in range(0, len(claims), UPDATES_MAX)
        ]
        return [
            Received(self.others[0], Ping(number, OWN, pages[number % len(pages)]))
            for number in range(count)
        ]


def main() -> None:
    """Measure ticks and pings, quiet and in a storm."""
    subject = Subject()
    ping: Event = Received(subject.others[0], Ping(1, OWN))
    subject.measure("tick", [Tick()] * 2000, apart=TICK_MILLIS)
    subject.measure("ping", [ping] * 5000)
    pages = -(-len(subject.others) // UPDATES_MAX)
    subject.measure("ping full of news", subject.accusations(pages))
    subject.measure("ping full of what is known", subject.accusations(1000))
    subject.measure(
        "tick, all suspect, until all are dead",
        [Tick()] * SUSPICION_TICKS,
        apart=TICK_MILLIS,
    )
    dead = {member.replica for member in subject.swim.members() if member.health}
    assert dead == set(subject.others), "nobody has refuted"
    subject.measure("tick, all dead", [Tick()] * 2000, apart=TICK_MILLIS)


if __name__ == "__main__":
    main()
