"""
Many seeds: each one a plan, run and judged by itself, over several processes.

Results come in the order of their seeds whatever the number of processes, and no
more than a few seeds wait at any time.  A seed whose run breaks is a result, too:
`unknown`, with the reason.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from jepsen_like import generator
from jepsen_like.plan import Plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.run import RunPlan, described
from jepsen_like.runner.worlds import run_plan_on
from jepsen_like.shrinking import Symptom, symptom_of
from jepsen_like.verdict import Judgement, Verdict, combined
from jepsen_like.workloads.workload import Extent

_WAITING_PER_JOB: Final = 4


@dataclass(frozen=True, slots=True)
class Sweep:
    """
    What all the plans have in common.

    Attributes:
        workload: By name.
        nemeses: By names.
        nodes: Names of the nodes.
        extent: How much is asked for.
        system: Where they run; `jepsen_like.runner.worlds` says what there is.
        settings: Of the store, each a name and a value.
        previous: Where a previous version is installed, for processes to begin with.
    """

    workload: str
    nemeses: tuple[str, ...]
    nodes: tuple[str, ...]
    extent: Extent
    system: str
    settings: tuple[tuple[str, str], ...] = ()
    previous: Path | None = None

    def world(self) -> RunPlan:
        """
        Return what runs its plans.

        Raises:
            UnknownWorldError: There is no such system, or it has no other version.
        """
        return run_plan_on(self.system, previous=self.previous)

    def plan(self, seed: int) -> Plan:
        """
        Return the plan of *seed*.

        Raises:
            ValueError: There can be none.
        """
        drawn = generator.plan(
            self.workload, self.nemeses, seed, self.nodes, self.extent
        )
        return replace(drawn, settings=self.settings)


class Explored(NamedTuple):
    """
    What one seed gave.

    Attributes:
        seed: Which.
        verdict: Of all checkers.
        symptom: By what its failure is known; None if it did not fail.
        reason: Why it is not valid; empty if it is.
        operations: How many were asked.
        elapsed_ms: How long it took, in its own time.
    """

    seed: int
    verdict: Verdict
    symptom: Symptom | None
    reason: str
    operations: int
    elapsed_ms: int


def explore_seed(sweep: Sweep, seed: int) -> Explored:
    """Return what *seed* gives."""
    plan = sweep.plan(seed)
    try:
        run = sweep.world()(plan)
        judgements = judge_run(run, plan)
    except Exception as error:  # noqa: BLE001 - one seed's mistake is its result
        return Explored(seed, Verdict.UNKNOWN, None, described(error), 0, 0)
    verdict = combined(judgements)
    return Explored(
        seed,
        verdict,
        symptom_of(judgements),
        reason_of(judgements, verdict),
        len(run.history.operations),
        run.elapsed_ms,
    )


def reason_of(judgements: Iterable[Judgement], verdict: Verdict) -> str:
    """Return the first reason for *verdict*, with the checker that gives it."""
    for judgement in judgements:
        if judgement.verdict is verdict and judgement.reason:
            return f"{judgement.checker}: {judgement.reason}"
    return ""


def explore(
    sweep: Sweep,
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    seconds_max: float = float("inf"),
) -> Iterator[Explored]:
    """
    Yield what each of *seeds* gives, in their order.

    Args:
        sweep: What to run.
        seeds: For which.
        jobs: How many processes at once; 1 stays in this one.
        seconds_max: After so long on the wall no seed is begun.

    Raises:
        ValueError: The sweep has no plans, or no system.
    """
    until = time.monotonic() + seconds_max
    sweep.world()  # so that what cannot work fails here, and at once
    if jobs == 1:
        for seed in seeds:
            if time.monotonic() > until:
                return
            yield explore_seed(sweep, seed)
        return
    yield from _explore_in_parallel(sweep, iter(seeds), jobs, until)


def _explore_in_parallel(
    sweep: Sweep, seeds: Iterator[int], jobs: int, until: float
) -> Iterator[Explored]:
    waiting: deque[Future[Explored]] = deque()
    # Spawned, since a fork would copy threads' locks in whatever state they are.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        while True:
            while len(waiting) < jobs * _WAITING_PER_JOB and time.monotonic() <= until:
                seed = next(seeds, None)
                if seed is None:
                    break
                waiting.append(pool.submit(explore_seed, sweep, seed))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
