"""
How often healthy nodes are suspected because others are starved, and its price.

A starved node misses answers that came in time, and suspects those who sent them.
SWIM lets it; Lifeguard makes it doubt itself.  The price of patience is that a true
crash is noticed later, so that is measured in the same run: one healthy node
crashes halfway through.

Of a cluster, a tenth of the nodes by default is starved all the time: blocked for
0.1 to 8 s, then running for 5 to 500 ms, the lengths drawn evenly on a logarithmic
scale.  Claims against starved nodes are not counted: they are
slow, and whether they should be asked is a matter of taste.

Reference:
    Dadgar, Phillips & Currey, 2018.  Lifeguard: the false positives of the whole
        group, and those at healthy members.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import exp, log
from random import Random
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.scale.detectors import Change, Detectors, Starvation
from kvnode.core.membership.messages import Health
from kvnode.core.membership.settings import STALL_AFTER, SwimSettings
from kvnode.types import Millis, ReplicaId

BLOCKED_MILLIS = (100, 8000)
RUNNING_MILLIS = (5, 500)
NODES_MIN = 4
"""One starved, one to crash, and two to talk about it."""

NO_STALL = Millis(2**62)
"""No steps are that far apart: stalls go unnoticed."""


@dataclass(frozen=True, slots=True)
class SuspicionFigures:
    """
    What came of one run.

    Attributes:
        nodes: All of them.
        starved: Those without enough processor.
        seconds: Virtual time.
        seed: What all was drawn from.
        lifeguard: Whether Lifeguard was on.
        stalls_noticed: Whether nodes noticed that they had not run.
        suspicions_raised: How often some node's own probe of a healthy node failed
            so that it was suspected.
        suspicions: How often some node came to suspect a healthy one, by its own
            probe or because it was told.
        deaths_raised: How often some node was the one to declare a healthy one
            dead, having waited for a refutation in vain.
        deaths: How often some node came to take a healthy one for dead.
        deaths_at_healthy: Those of them at healthy nodes.
        suspected_ms: From the crash to the first suspicion; None if there was none.
        detected_ms: From the crash to the first who took it for dead.
        disseminated_ms: From the crash to when all healthy nodes did so.
        messages_per_node_second: What it cost.
    """

    nodes: int
    starved: int
    seconds: int
    seed: int
    lifeguard: bool
    stalls_noticed: bool
    suspicions_raised: int
    suspicions: int
    deaths_raised: int
    deaths: int
    deaths_at_healthy: int
    suspected_ms: int | None
    detected_ms: int | None
    disseminated_ms: int | None
    messages_per_node_second: float


class _Observer:
    """Counts changes of belief about healthy nodes, and about the crashed one."""

    def __init__(self, starved: frozenset[ReplicaId], healthy: int) -> None:
        self._starved = starved
        self._healthy = healthy
        self._holders: set[ReplicaId] = set()
        self._crashed: ReplicaId | None = None
        self.crashed_at = Millis(0)
        self.counts = {
            (health, raised): 0
            for health in (Health.SUSPECT, Health.DEAD)
            for raised in (False, True)
        }
        self.deaths_at_healthy = 0
        self.suspected_ms: int | None = None
        self.detected_ms: int | None = None
        self.disseminated_ms: int | None = None

    def crash(self, replica: ReplicaId, at: Millis) -> None:
        """From now on, claims against *replica* are true."""
        self._crashed, self.crashed_at = replica, at

    def __call__(self, change: Change) -> None:
        """Count *change*."""
        health = change.change.health
        if change.replica in self._starved:
            return
        if change.replica == self._crashed:
            self._of_crashed(change, health)
        elif health is not Health.ALIVE:
            self.counts[health, change.raised] += 1
            if health is Health.DEAD and change.observer not in self._starved:
                self.deaths_at_healthy += 1

    def _of_crashed(self, change: Change, health: Health) -> None:
        after = change.at - self.crashed_at
        if health is Health.SUSPECT and self.suspected_ms is None:
            self.suspected_ms = after
        if health is Health.DEAD:
            if self.detected_ms is None:
                self.detected_ms = after
            if change.observer not in self._starved:
                self._holders.add(change.observer)
            if self.disseminated_ms is None and len(self._holders) == self._healthy:
                self.disseminated_ms = after


def false_suspicions(  # noqa: PLR0913 -- what a run is made of, named at the call
    *,
    nodes: int,
    seconds: int,
    seed: int,
    lifeguard: bool,
    starved_share: float = 0.1,
    stalls_noticed: bool = True,
) -> SuspicionFigures:
    """
    Run one cluster and count what it gets wrong.

    Args:
        nodes: How many, >= 4.
        seconds: Of virtual time, > 0; a node crashes halfway.
        seed: The same for both kinds gives the same starvation.
        lifeguard: Whether nodes doubt themselves.
        starved_share: Of the nodes, 0 up to where two healthy ones are left
            besides the one that crashes.
        stalls_noticed: Whether nodes notice that they have not run; that is not
            part of Lifeguard, nor of SWIM.

    Raises:
        ValueError: A size is out of range.
    """
    starved_count = round(nodes * starved_share)
    if nodes < NODES_MIN or seconds <= 0 or not 0 <= starved_count <= nodes - 3:
        msg = (
            f"need nodes >= {NODES_MIN}, seconds > 0 and three healthy nodes:"
            f" {nodes}, {seconds}, {starved_share}"
        )
        raise ValueError(msg)
    settings = SwimSettings(
        lifeguard=lifeguard, stall_after=STALL_AFTER if stalls_noticed else NO_STALL
    )
    starved = frozenset(ReplicaId(number + 1) for number in range(starved_count))
    observer = _Observer(starved, nodes - starved_count - 1)
    detectors = Detectors(nodes, settings, seed, on_change=observer)
    for replica in sorted(starved):
        detectors.starve(replica, _spans(seed, replica))
    detectors.run(seconds * 500)
    crashing = detectors.replicas[-1]
    detectors.crash(crashing)
    observer.crash(crashing, detectors.now)
    detectors.run(seconds * 500)
    counts = observer.counts
    return SuspicionFigures(
        nodes=nodes,
        starved=starved_count,
        seconds=seconds,
        seed=seed,
        lifeguard=lifeguard,
        stalls_noticed=stalls_noticed,
        suspicions_raised=counts[Health.SUSPECT, True],
        suspicions=counts[Health.SUSPECT, True] + counts[Health.SUSPECT, False],
        deaths_raised=counts[Health.DEAD, True],
        deaths=counts[Health.DEAD, True] + counts[Health.DEAD, False],
        deaths_at_healthy=observer.deaths_at_healthy,
        suspected_ms=observer.suspected_ms,
        detected_ms=observer.detected_ms,
        disseminated_ms=observer.disseminated_ms,
        messages_per_node_second=round(detectors.messages / nodes / seconds, 2),
    )


def _spans(seed: int, replica: ReplicaId) -> Iterator[Starvation]:
    """Yield how one node starves; drawn apart from all that detectors draw."""
    rng = Random(f"{seed}/starvation/{replica}")  # noqa: S311 -- to be repeatable
    while True:
        yield Starvation(_drawn(rng, *BLOCKED_MILLIS), _drawn(rng, *RUNNING_MILLIS))


def _drawn(rng: Random, low: int, high: int) -> int:
    return round(exp(rng.uniform(log(low), log(high))))


# -- the command -------------------------------------------------------------

VARIANTS = {
    "SWIM": (False, False),
    "SWIM, stalls": (False, True),
    "Lifeguard": (True, False),
    "Lifeguard, stalls": (True, True),
}
"""What is compared: (lifeguard, stalls_noticed); the last is what nodes run."""


def table(runs: dict[str, SuspicionFigures]) -> Table:
    """Return *runs*, by name and all of one size, for people."""
    first = next(iter(runs.values()))
    shown = Table(
        title=(
            f"{first.nodes} nodes, {first.starved} of them starved, for"
            f" {first.seconds} s (seed {first.seed})"
        )
    )
    shown.add_column()
    rows: dict[str, list[str]] = {}
    for name, run in runs.items():
        shown.add_column(name, justify="right")
        for title, cell in _cells(run).items():
            rows.setdefault(title, []).append(cell)
    for title, cells in rows.items():
        shown.add_row(title, *cells)
    return shown


def _cells(run: SuspicionFigures) -> dict[str, str]:
    return {
        "suspicions raised": str(run.suspicions_raised),
        "suspicions held": str(run.suspicions),
        "deaths raised": str(run.deaths_raised),
        "deaths held": str(run.deaths),
        "  at healthy nodes": str(run.deaths_at_healthy),
        "crash suspected": _seconds(run.suspected_ms),
        "crash known to one": _seconds(run.detected_ms),
        "  to all healthy": _seconds(run.disseminated_ms),
        "messages a node, s": f"{run.messages_per_node_second:.2f}",
    }


def _seconds(millis: int | None) -> str:
    return "never" if millis is None else f"{millis / 1000:.1f} s"


def command(
    *,
    nodes: Annotated[int, typer.Option(min=NODES_MIN, help="How many.")] = 100,
    seconds: Annotated[int, typer.Option(min=1, help="Of virtual time.")] = 300,
    seed: Annotated[int, typer.Option(help="What all is drawn from.")] = 1,
    starved_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Of the nodes.")
    ] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Count false suspicions with some nodes starved, with and without Lifeguard."""
    runs = {
        name: false_suspicions(
            nodes=nodes,
            seconds=seconds,
            seed=seed,
            lifeguard=lifeguard,
            starved_share=starved_share,
            stalls_noticed=stalls_noticed,
        )
        for name, (lifeguard, stalls_noticed) in VARIANTS.items()
    }
    if as_json:
        typer.echo(json.dumps({name: asdict(run) for name, run in runs.items()}))
    else:
        Console().print(table(runs))


if __name__ == "__main__":
    typer.run(command)
