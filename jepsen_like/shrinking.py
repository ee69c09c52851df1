"""
Cutting a failing plan down to what it takes to fail.

Operations, faults, nodes, times and the simulation's own chance are cut down
together, because what is superfluous in one often is so only after something in
another has gone.  A smaller plan is taken when the same checker finds the same
kind of anomaly in it: another failure is another story.

Every pass proposes only smaller plans, and all passes are repeated until none
finds one; so the result is minimal in the sense that no single thing in it can be
left out, unless a bound was met before.

Reference:
    Zeller & Hildebrandt, 2002.  Simplifying and isolating failure-inducing input.
        The chunks of `_fewer_steps` are those of its delta debugging.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar

from jepsen_like.nemesis.conditions import is_ending, nodes_met
from jepsen_like.nemesis.faults import Cut, Disturb, Fault, Kill, Pause, Resume, Start
from jepsen_like.nemesis.tidying import tidied
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.run import Run, RunPlan
from jepsen_like.verdict import Judgement, Verdict

_Item = TypeVar("_Item")

RUNS_MAX: Final = 2_000
SECONDS_MAX: Final = 300.0

Judge = Callable[[Run, Plan], tuple[Judgement, ...]]


class Symptom(NamedTuple):
    """By what a failure is known again."""

    checker: str
    kind: str


class Effort(NamedTuple):
    """
    How much may be tried.

    Attributes:
        runs: So many plans.
        seconds: For so long, on the wall; only this can make two shrinkings of
            one plan differ.
    """

    runs: int = RUNS_MAX
    seconds: float = SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Shrunk:
    """
    What a plan was cut down to.

    Attributes:
        plan: The smallest found.
        symptom: How it fails, as the given one did.
        runs: How many plans were run.
        is_minimal: Nothing in it can be left out; else a bound was met first.
    """

    plan: Plan
    symptom: Symptom
    runs: int
    is_minimal: bool


class DoesNotFailError(ValueError):
    """The plan given fails no check, so there is nothing to cut down to."""


def symptom_of(judgements: Sequence[Judgement]) -> Symptom | None:
    """Return the first failure's, or None if there is no failure."""
    return next(iter(_symptoms(judgements)), None)


def shrink(  # noqa: PLR0913 - what a search can be given, each by its name
    plan: Plan,
    run: RunPlan,
    *,
    judge: Judge = judge_run,
    streams: Sequence[str] | None = None,
    effort: Effort = Effort(),  # noqa: B008 - a value that never changes
    tell: Callable[[Plan, int], None] | None = None,
) -> Shrunk:
    """
    Return the smallest plan found that fails as *plan* does.

    Args:
        plan: One that fails.
        run: Runs plans; the same plan must come out the same.
        judge: Judges runs.
        streams: Names of the simulation's chance, each of which may be calmed;
            by default, those that the run of *plan* names.
        effort: How much may be tried.
        tell: Told each better plan, and how many were run by then.

    Raises:
        DoesNotFailError: *plan* is not found invalid.
    """
    first = run(plan)
    symptom = symptom_of(judge(first, plan))
    if symptom is None:
        msg = "the plan fails no check when it is run again; nothing to shrink"
        raise DoesNotFailError(msg)

    def failing(candidate: Plan) -> Run | None:
        made = run(candidate)
        return made if symptom in _symptoms(judge(made, candidate)) else None

    search = _Search(plan, failing, effort, tell)
    search.streams = tuple(first.streams if streams is None else streams)
    is_minimal = search.exhaust()
    return Shrunk(search.best, symptom, search.runs, is_minimal)


class _EnoughError(Exception):
    """A bound of the effort is met."""


class _Search:
    """The best plan so far, and what was tried."""

    def __init__(
        self,
        plan: Plan,
        failing: Callable[[Plan], Run | None],
        effort: Effort,
        tell: Callable[[Plan, int], None] | None,
    ) -> None:
        self.best = plan
        self.runs = 1
        self.streams: tuple[str, ...] = ()
        self._failing = failing
        self._effort = effort
        self._until = time.monotonic() + effort.seconds
        self._tell = tell
        self._tried = {plan}

    def exhaust(self) -> bool:
        """Repeat all passes until none helps; False if a bound was met."""
        try:
            self._attempt(self.best)  # which leaves out what makes no sense
            while True:
                before = self.best
                self._fewer_steps()
                self._fewer_nodes()
                self._fewer_workers()
                self._narrower_faults()
                self._earlier()
                self._calmer()
                if self.best == before:
                    return True
        except _EnoughError:
            return False

    def _attempt(self, candidate: Plan) -> bool:
        """Take *candidate* if it fails; say whether."""
        tidy = replace(candidate, steps=tidied(candidate.steps))
        if tidy in self._tried:
            return False
        if self.runs >= self._effort.runs or time.monotonic() > self._until:
            raise _EnoughError
        self._tried.add(tidy)
        self.runs += 1
        run = self._failing(tidy)
        if run is None:
            return False
        self.best = tidy
        # A smaller plan has fewer processes, each with its own streams.
        self.streams = run.streams or self.streams
        if self._tell:
            self._tell(tidy, self.runs)
        return True

    def _fewer_steps(self) -> None:
        size = max(1, len(self.best.steps) // 2)
        while True:
            shorter = self._without_chunks(size)
            if size == 1 and not shorter:
                return
            size = size if size == 1 else size // 2

    def _without_chunks(self, size: int) -> bool:
        """Try to leave out each *size* steps that are no endings; say if any went."""
        shorter = False
        end = len(self.best.steps)
        while end > 0:
            steps = self.best.steps
            # Endings before the chunk may have gone with what was left out.
            places = range(min(end, len(steps)))
            chosen = [place for place in places if not _is_ending(steps[place])]
            chosen = chosen[-size:]
            if not chosen:
                break
            left = tuple(
                step for place, step in enumerate(steps) if place not in chosen
            )
            end = chosen[0]
            shorter |= self._attempt(replace(self.best, steps=left))
        return shorter

    def _fewer_nodes(self) -> None:
        for node in reversed(self.best.nodes):
            left = tuple(each for each in self.best.nodes if each != node)
            if left:
                steps = tuple(_steps_without(node, left[0], self.best.steps))
                self._attempt(replace(self.best, nodes=left, steps=steps))

    def _fewer_workers(self) -> None:
        numbers = _workers(self.best)
        self._renumber(dict(zip(numbers, range(len(numbers)), strict=True)))
        for number in reversed(_workers(self.best)):
            for other in _workers(self.best):
                if other < number and self._renumber({number: other}):
                    break

    def _renumber(self, numbers: dict[int, int]) -> bool:
        steps = tuple(
            replace(step, worker=numbers.get(step.worker, step.worker))
            if isinstance(step, Invoke)
            else step
            for step in self.best.steps
        )
        return self._attempt(replace(self.best, steps=steps))

    def _narrower_faults(self) -> None:
        for place in range(len(self.best.steps)):
            if place >= len(self.best.steps):
                return  # endings went with what they ended
            has_narrowed = True
            while has_narrowed and place < len(self.best.steps):
                has_narrowed = any(
                    self._attempt(_with_step(self.best, place, narrower))
                    for narrower in _narrowed(self.best.steps[place])
                )

    def _earlier(self) -> None:
        for place in range(len(self.best.steps)):
            before = self.best.steps[place - 1].at if place else 0
            gap = self.best.steps[place].at - before
            too_short = -1
            while gap - too_short > max(1, gap // 8):
                tried = 0 if too_short < 0 else (gap + too_short) // 2
                if self._attempt(_shifted(self.best, place, tried - gap)):
                    gap = tried
                else:
                    too_short = tried

    def _calmer(self) -> None:
        streams = self.streams
        used = self.best.calm.intersection(streams)
        self._attempt(replace(self.best, calm=used))
        size = len(streams)
        while size:
            for begin in range(0, len(streams), size):
                calm = self.best.calm.union(streams[begin : begin + size])
                self._attempt(replace(self.best, calm=calm))
            size //= 2


def _symptoms(judgements: Sequence[Judgement]) -> Iterator[Symptom]:
    for judgement in judgements:
        if judgement.verdict is Verdict.INVALID:
            for witness in judgement.witnesses:
                yield Symptom(judgement.checker, witness.kind)


def _is_ending(step: Step) -> bool:
    return isinstance(step, Strike) and is_ending(step.fault)


def _workers(plan: Plan) -> list[int]:
    return sorted({step.worker for step in plan.steps if isinstance(step, Invoke)})


def _steps_without(node: str, instead: str, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield *steps* with *instead* asked for *node*, and its faults left out."""
    for step in steps:
        match step:
            case Invoke():
                yield replace(step, node=instead) if step.node == node else step
            case Strike(at, fault):
                spared = _sparing(fault, node)
                if spared is not None:
                    yield Strike(at, spared)


def _sparing(fault: Fault, node: str) -> Fault | None:
    """Return what is left of *fault* when *node* is not there."""
    if node not in nodes_met(fault):
        return fault
    match fault:
        case Cut() | Disturb():
            links = tuple(link for link in fault.links if node not in link)
            return replace(fault, links=links) if links else None
        case Kill() | Start() | Pause() | Resume():
            nodes = tuple(each for each in fault.nodes if each != node)
            return replace(fault, nodes=nodes) if nodes else None
        case _:
            return None


def _narrowed(step: Step) -> Iterator[Step]:
    """Yield *step* with a fault that meets fewer nodes or links, narrowest first."""
    if not isinstance(step, Strike) or is_ending(step.fault):
        return
    fault = step.fault
    match fault:
        case Cut() | Disturb():
            for links in _parts(fault.links):
                yield Strike(step.at, replace(fault, links=links))
        case Kill() | Pause():
            for nodes in _parts(fault.nodes):
                yield Strike(step.at, replace(fault, nodes=nodes))
        case _:
            return


def _parts(items: tuple[_Item, ...]) -> Iterator[tuple[_Item, ...]]:
    """Yield parts of *items*: halves, then all but one."""
    if len(items) > 1:
        yield items[: len(items) // 2]
        yield items[len(items) // 2 :]
        for place in range(len(items)):
            yield items[:place] + items[place + 1 :]


def _with_step(plan: Plan, place: int, step: Step) -> Plan:
    return replace(plan, steps=(*plan.steps[:place], step, *plan.steps[place + 1 :]))


def _shifted(plan: Plan, place: int, by_ms: int) -> Plan:
    """Return *plan* with the step at *place* and all after it moved in time."""
    moved = (replace(step, at=step.at + by_ms) for step in plan.steps[place:])
    return replace(plan, steps=(*plan.steps[:place], *moved))
