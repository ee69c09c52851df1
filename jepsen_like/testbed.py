"""
A cluster as a test sees it: harm is planned, a workload is run, a verdict falls.

This is what the fixtures of jepsen_like.pytest_plugin give; it knows nothing of
pytest, so other frameworks may use it, too.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from jepsen_like import generator
from jepsen_like.cli.verdict_text import answered_text, asked_text
from jepsen_like.history.operation import FOREVER
from jepsen_like.nemesis.faults import Fault
from jepsen_like.nemesis.registry import nemesis_named
from jepsen_like.plan import Plan, Step, Strike
from jepsen_like.plan_file import write_plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.run import Run
from jepsen_like.runner.worlds import SIMULATED, run_plan_on
from jepsen_like.verdict import Judgement, Verdict, Witness, combined
from jepsen_like.workloads.workload import Extent

_ROWS_MAX: Final = 20
"""Operations of a witness that are shown: the replay shows all."""


class NotValidError(AssertionError):
    """A run was not judged valid; the message has the witness and the replay."""


@dataclass(slots=True)
class Harm:
    """What is to be done to the cluster, in the test's own words."""

    names: list[str] = field(default_factory=list)
    strikes: list[tuple[int, Fault]] = field(default_factory=list)

    def use(self, *names: str) -> None:
        """
        Let the nemeses called *names* loose.

        Raises:
            ValueError: There is none of that name.
        """
        for name in names:
            self.names.append(nemesis_named(name).name)

    def at(self, at_ms: int, fault: Fault) -> None:
        """Do *fault* at *at_ms* of the run, besides what nemeses do."""
        self.strikes.append((at_ms, fault))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what was found of it."""

    plan: Plan
    run: Run
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all checkers."""
        return combined(self.judgements)


class TestedCluster:
    """A cluster that is started for each run, and judged after it."""

    __test__ = False  # pytest would take the name for a test

    def __init__(
        self, harm: Harm, system: str, seed: int, node_count: int, plan_file: Path
    ) -> None:
        """
        Prepare, without starting anything.

        Args:
            harm: What will be done to it.
            system: Where it runs; see jepsen_like.runner.worlds.
            seed: What everything is drawn from.
            node_count: How many nodes.
            plan_file: Where the plan of a failing run is kept.
        """
        self.nodes = generator.node_names(node_count)
        self.system = system
        self.seed = seed
        self.told: list[str] = []
        self._harm = harm
        self._plan_file = plan_file

    def run(
        self,
        workload: str = "register",
        *,
        operations: int = 200,
        workers: int = 6,
        keys: int = 4,
        seconds: float = 10.0,
    ) -> Outcome:
        """
        Run *workload* while harm is done, and judge what came out.

        Args:
            workload: What clients ask for, by name.
            operations: How many, over all workers.
            workers: How many clients at once.
            keys: How many keys.
            seconds: For how long, in the time of the run.

        Raises:
            NotValidError: The run is invalid or unknown.
            ValueError: A name is not known, or a number does not fit.
        """
        __tracebackhide__ = True
        extent = Extent(operations, workers, keys, round(seconds * 1000))
        drawn = generator.plan(
            workload, self._harm.names, self.seed, self.nodes, extent
        )
        return self.run_plan(self._with_strikes(drawn))

    def run_plan(self, plan: Plan) -> Outcome:
        """
        Run *plan*, without any other harm, and judge what came out.

        Raises:
            NotValidError: The run is invalid or unknown.
        """
        __tracebackhide__ = True
        run = run_plan_on(self.system)(plan)
        outcome = Outcome(plan, run, judge_run(run, plan))
        if outcome.verdict is Verdict.VALID:
            return outcome
        write_plan(plan, self._plan_file)
        self.told.append(self._replay_text())
        raise NotValidError(_complaint(outcome))

    def _with_strikes(self, plan: Plan) -> Plan:
        steps: list[Step] = [Strike(at, fault) for at, fault in self._harm.strikes]
        steps = sorted([*steps, *plan.steps], key=lambda step: step.at)
        return replace(plan, steps=tuple(steps))

    def _replay_text(self) -> str:
        words = ["jepsen_like", "replay", str(self._plan_file)]
        if self.system != SIMULATED:
            words += ["--system", self.system]
        return f"seed {self.seed}; again:\n  {shlex.join(words)}"


def _complaint(outcome: Outcome) -> str:
    """Return verdicts and the plainest witness, for people."""
    lines = [f"the run is {outcome.verdict.value}"]
    for judgement in outcome.judgements:
        reason = f": {judgement.reason}" if judgement.reason else ""
        lines.append(f"  {judgement.checker}: {judgement.verdict.value}{reason}")
    for judgement in outcome.judgements:
        if judgement.witnesses:
            lines += ["", *_witness_lines(judgement.witnesses[0])]
            break
    return "\n".join(lines)


def _witness_lines(witness: Witness) -> Iterator[str]:
    about = "" if witness.key is None else f", key {witness.key}"
    yield f"{witness.kind}{about}: {witness.explanation}"
    for each in witness.operations[:_ROWS_MAX]:
        returned = "never" if each.returned == FOREVER else f"{each.returned / 1e6:.3f}"
        yield (
            f"  process {each.process} at {each.node or 'a node'}:"
            f" {asked_text(each)} -> {answered_text(each)}"
            f"  [{each.called / 1e6:.3f}, {returned}] ms"
        )
    if len(witness.operations) > _ROWS_MAX:
        yield f"  and {len(witness.operations) - _ROWS_MAX} more operations"
