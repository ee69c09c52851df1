"""
`jepsen_like explore`: many seeds in simulation, and the failures cut down.

Each kind of failure is shrunk once, and kept as a plan that `jepsen_like replay`
runs again.  What the exit code says: jepsen_like.cli.exit_codes.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jepsen_like.cli.exit_codes import EXIT_CODES_TOLD, failing_apart, leave
from jepsen_like.cli.planning import (
    AsJson,
    KeyCount,
    NemesisNames,
    NodeCount,
    OperationCount,
    PreviousInstall,
    Seconds,
    StoreSettings,
    SystemName,
    Wish,
    WorkerCount,
    WorkloadName,
    busy,
    complaints,
    replay_command,
)
from kvnode.cli.output import console, print_json, print_line
from kvnode.object_json import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepsen_like.runner.exploring import Explored, Sweep
    from jepsen_like.shrinking import Shrunk
    from jepsen_like.verdict import Verdict

_SHRUNK_MAX = 3
"""Kinds of failures that are cut down: each takes as long as many seeds."""

_SHOWN_MAX = 10
_MS_PER_HOUR = 3_600_000


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("explore", epilog=EXIT_CODES_TOLD)(failing_apart(explore))


def explore(
    workload: WorkloadName = "register",
    nemesis: NemesisNames = "mixed",
    system: SystemName = "simulated",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 200,
    first_seed: Annotated[int, typer.Option(help="Seeds count up from here.")] = 0,
    nodes: NodeCount = 3,
    operations: OperationCount = 200,
    workers: WorkerCount = 6,
    keys: KeyCount = 4,
    seconds: Seconds = 10.0,
    settings: StoreSettings = None,
    previous_install: PreviousInstall = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=256,
            help="How many seeds at once, each in a process.",
            show_default="all cores",
        ),
    ] = os.cpu_count() or 1,
    first_failure: Annotated[
        bool,
        typer.Option(
            "--first-failure", metavar="", help="Stop at the first that fails."
        ),
    ] = False,
    limit_seconds: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="After so long no seed is begun.",
            metavar="S",
            show_default=False,
        ),
    ] = float("inf"),
    shrink: Annotated[
        bool,
        typer.Option(
            help="Cut failing plans down to what they need; one of each kind."
        ),
    ] = True,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where failing plans are kept; one of each kind."
        ),
    ] = Path("failures"),
    as_json: AsJson = False,
) -> None:
    """Run many seeds, each a plan of its own, and keep what fails, cut down."""
    wish = Wish(
        workload,
        nemesis,
        system,
        nodes,
        operations,
        workers,
        keys,
        seconds,
        previous_install,
        tuple(settings or ()),
    )
    with complaints():
        sweep = wish.sweep()
        tally = Tally()
        with _bars(seeds, tally) as tell:
            from jepsen_like.runner import exploring

            for explored in exploring.explore(
                sweep,
                range(first_seed, first_seed + seeds),
                jobs=jobs,
                seconds_max=limit_seconds,
            ):
                tally.add(explored)
                tell()
                if first_failure and explored.symptom:
                    break
        tally.stop()
        kept = [
            _kept(sweep, each, out, shrinks=shrink) for each in tally.of_each_kind()
        ]
    if as_json:
        print_json(tally.document() | {"kept": list(kept)})
    else:
        _show(tally, kept, wish)
    raise leave(tally.verdict)


class Tally:
    """What all seeds gave so far."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stopped: float | None = None
        self.seeds = 0
        self.operations = 0
        self.elapsed_ms = 0
        self.failed: list[Explored] = []
        self.unknown: list[Explored] = []

    def add(self, explored: "Explored") -> None:
        """Count one more."""
        self.seeds += 1
        self.operations += explored.operations
        self.elapsed_ms += explored.elapsed_ms
        if explored.symptom is not None:
            self.failed.append(explored)
        elif explored.reason:
            self.unknown.append(explored)

    def stop(self) -> None:
        """Measure time no further."""
        self._stopped = time.monotonic()

    @property
    def verdict(self) -> "Verdict":
        """The worst of all seeds; unknown if there were none."""
        from jepsen_like.verdict import Verdict

        if self.failed:
            return Verdict.INVALID
        return Verdict.UNKNOWN if self.unknown or not self.seeds else Verdict.VALID

    @property
    def wall_seconds(self) -> float:
        """For how long seeds were run."""
        until = time.monotonic() if self._stopped is None else self._stopped
        return max(until - self._began, 1e-6)

    def rates(self) -> str:
        """Return how quickly it goes, for people."""
        hours = self.elapsed_ms / _MS_PER_HOUR
        return (
            f"{self.seeds / self.wall_seconds:.1f} seeds/s,"
            f" {hours / self.wall_seconds:.3f} simulated hours a second"
        )

    def of_each_kind(self) -> "list[Explored]":
        """Return the first failures, one of each kind, only so many."""
        kinds: dict[object, Explored] = {}
        for explored in self.failed:
            kinds.setdefault(explored.symptom, explored)
        return list(kinds.values())[:_SHRUNK_MAX]

    def document(self) -> dict[str, Json]:
        """Return all that is known as JSON has it."""
        hours = self.elapsed_ms / _MS_PER_HOUR
        return {
            "verdict": self.verdict.value,
            "seeds": self.seeds,
            "operations": self.operations,
            "seconds": round(self.wall_seconds, 3),
            "seeds_per_second": round(self.seeds / self.wall_seconds, 3),
            "simulated_hours": round(hours, 4),
            "simulated_hours_per_second": round(hours / self.wall_seconds, 5),
            "failed": [_explored_json(each) for each in self.failed],
            "unknown": [_explored_json(each) for each in self.unknown],
        }


def _explored_json(explored: "Explored") -> dict[str, Json]:
    symptom = explored.symptom
    return {
        "seed": explored.seed,
        "checker": symptom.checker if symptom else None,
        "kind": symptom.kind if symptom else None,
        "reason": explored.reason,
    }


@contextmanager
def _bars(seeds: int, tally: Tally) -> "Iterator[Callable[[], None]]":
    """Show how far it is, where somebody can see it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    out = console(stderr=True)
    bars = Progress(
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bars:
        task = bars.add_task("starting", total=seeds)

        def tell() -> None:
            failures = f", {len(tally.failed)} failed" if tally.failed else ""
            bars.update(
                task, completed=tally.seeds, description=tally.rates() + failures
            )

        yield tell


def _kept(
    sweep: "Sweep", explored: "Explored", directory: Path, *, shrinks: bool
) -> dict[str, Json]:
    """Cut the plan of a failure down, keep it, and return what is to be told."""
    from jepsen_like.plan_file import write_plan

    plan, runs, is_minimal = sweep.plan(explored.seed), 0, False
    if shrinks:
        shrunk = _shrunk(sweep, explored.seed)
        if shrunk is not None:
            plan, runs, is_minimal = shrunk.plan, shrunk.runs, shrunk.is_minimal
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{sweep.workload}-{explored.seed}.json"
    write_plan(plan, path)
    return {
        **_explored_json(explored),
        "plan": str(path),
        "steps": len(plan.steps),
        "steps_before": len(sweep.plan(explored.seed).steps),
        "runs": runs,
        "minimal": is_minimal,
        "replay": replay_command(path, sweep.system, sweep.previous),
    }


def _shrunk(sweep: "Sweep", seed: int) -> "Shrunk | None":
    """Return the plan of *seed* cut down, or None if it fails no more."""
    from jepsen_like.shrinking import DoesNotFailError, shrink

    with busy(f"cutting down seed {seed}"):
        try:
            return shrink(sweep.plan(seed), sweep.world())
        except DoesNotFailError:
            return None  # only where a run does not repeat itself


def _show(tally: Tally, kept: list[dict[str, Json]], wish: Wish) -> None:
    """Print what was found, for people."""
    print_line(
        f"{wish.workload} under {wish.nemesis} on {wish.system}:"
        f" {tally.verdict.value}; {tally.seeds} seeds,"
        f" {tally.operations} operations in {tally.wall_seconds:.1f} s,"
        f" {tally.rates()}"
    )
    for title, found in (("failed", tally.failed), ("unknown", tally.unknown)):
        if found:
            print_line(f"\n{len(found)} {title}:")
        for explored in found[:_SHOWN_MAX]:
            print_line(f"  seed {explored.seed}: {explored.reason}")
        if len(found) > _SHOWN_MAX:
            print_line(f"  and {len(found) - _SHOWN_MAX} more: --json has them all")
    for each in kept:
        print_line(
            f"\n{each['checker']}, {each['kind']}: seed {each['seed']},"
            f" {each['steps_before']} steps cut down to {each['steps']}"
            f" in {each['runs']} runs\n  {each['replay']}"
        )
