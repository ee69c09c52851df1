"""
From a seed to a plan: all operations and faults of a run, drawn beforehand.

The workload and each nemesis draw from a stream of their own, named by the seed
and by who draws: adding a nemesis leaves the operations as they were.

Some faults take away what a node alone knew (a wipe, a restored backup, a removal,
damaged records).  If that is all that was left of an acknowledged write, its loss is
nobody's mistake, and a run would prove nothing.  So the plan is *quiet* before
each of them: all other faults have ended, nobody asks for anything, and what was
acknowledged has time to reach other nodes.  What was planned for the quiet time
comes right after it, and lasts as long as it was to last.

Where schedules of several nemeses meet, faults that make no sense are left out: a
plan holds only what can come to be.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from jepsen_like.nemesis.conditions import Condition, after, endings, is_ending
from jepsen_like.nemesis.faults import (
    FlipBits,
    RemoveMember,
    RestoreBackup,
    TakeBackup,
    Wipe,
)
from jepsen_like.nemesis.nemesis import Nemesis
from jepsen_like.nemesis.registry import nemesis_named
from jepsen_like.nemesis.tidying import tidied
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.workloads import workload_named
from jepsen_like.workloads.workload import Extent, Workload

SETTLE_MS: Final = 30_000
"""Links are dialed again after a few seconds, then all that was missed is sent."""

QUIET_MS: Final = 2_000
"""Ten times what nodes on one machine need to tell each other all they know."""

NODES_MAX: Final = 1_000


def plan(
    workload_name: str,
    nemesis_names: Sequence[str],
    seed: int,
    nodes: Sequence[str],
    extent: Extent,
) -> Plan:
    """
    Return the plan that *seed* stands for: the same for the same arguments.

    Raises:
        ValueError: No workload or nemesis has that name, or it cannot be done
            with so few nodes or in so short a time.
    """
    return plan_of(
        workload_named(workload_name),
        [nemesis_named(name) for name in nemesis_names],
        seed,
        nodes,
        extent,
    )


def plan_of(
    workload: Workload,
    nemeses: Sequence[Nemesis],
    seed: int,
    nodes: Sequence[str],
    extent: Extent,
) -> Plan:
    """
    Return the plan for workloads and nemeses that need not have a name.

    Raises:
        ValueError: As of `plan`.
    """
    _check(nodes, extent)
    asked = workload.invocations(
        _stream(seed, f"workload {workload.name}"), nodes, extent
    )
    strikes = [
        strike
        for place, nemesis in enumerate(nemeses)
        for strike in nemesis.strikes(
            _stream(seed, f"nemesis {place} {nemesis.name}"), nodes, extent.duration_ms
        )
    ]
    unordered: list[Step] = [*strikes, *asked]
    steps = sorted(unordered, key=lambda step: step.at)
    return Plan(
        workload=workload.name,
        seed=seed,
        nodes=tuple(nodes),
        steps=tidied(quieted(steps, min(QUIET_MS, extent.duration_ms // 4))),
        settle=SETTLE_MS,
    )


def node_names(count: int) -> tuple[str, ...]:
    """Return names for *count* nodes: n1, n2 and so on."""
    return tuple(f"n{number}" for number in range(1, count + 1))


def quieted(steps: Sequence[Step], quiet_ms: int) -> tuple[Step, ...]:
    """
    Return *steps*, in order of time, with quiet before what takes away data.

    Args:
        steps: In order of their times.
        quiet_ms: How long all must be well and silent.
    """
    harms = _apart([step for step in steps if _takes_away(step)], quiet_ms)
    if not harms:
        return tuple(steps)
    quiets = [(harm.at - quiet_ms, harm.at) for harm in harms]
    others = [_moved(step, quiets) for step in steps if not _takes_away(step)]
    ordered = sorted([*others, *harms], key=lambda step: step.at)
    return _with_endings(ordered, [begin for begin, _ in quiets])


def _takes_away(step: Step) -> bool:
    return isinstance(step, Strike) and isinstance(
        step.fault, Wipe | RestoreBackup | RemoveMember | FlipBits
    )


def _apart(harms: Sequence[Step], quiet_ms: int) -> list[Step]:
    """Return *harms* with room for quiet before each."""
    apart: list[Step] = []
    free_from = quiet_ms
    for harm in harms:
        apart.append(_at(harm, max(harm.at, free_from)))
        free_from = apart[-1].at + quiet_ms + 1
    return apart


def _moved(step: Step, quiets: Sequence[tuple[int, int]]) -> Step:
    """Return *step* where it breaks no quiet."""
    if isinstance(step, Strike) and isinstance(step.fault, TakeBackup):
        return step  # it disturbs nobody
    at = step.at
    for begin, end in quiets:
        if begin <= at <= end:
            # What began before has an ending at *begin*; this one is of a fault that
            # is moved, too, and must not come before it.
            late = (
                at - begin if isinstance(step, Strike) and is_ending(step.fault) else 0
            )
            at = end + 1 + late
    return _at(step, at)


def _at(step: Step, at: int) -> Step:
    # dataclasses.replace would do, but not for a union of types.
    if isinstance(step, Strike):
        return Strike(at, step.fault)
    return Invoke(at, step.worker, step.node, step.f, step.key, step.argument)


def _with_endings(steps: Sequence[Step], quiet_from: Sequence[int]) -> tuple[Step, ...]:
    """Return *steps* and, when each quiet begins, what ends all that is wrong."""
    wrong: list[Condition] = []
    result: list[Step] = []
    waiting = list(quiet_from)
    for step in steps:
        while waiting and step.at >= waiting[0]:
            begin = waiting.pop(0)
            for ending in endings(wrong):
                result.append(Strike(begin, ending))
                wrong = after(wrong, ending)
        result.append(step)
        if isinstance(step, Strike):
            wrong = after(wrong, step.fault)
    return tuple(result)


def _check(nodes: Sequence[str], extent: Extent) -> None:
    problems = {
        f"a plan is for 1 to {NODES_MAX} nodes, not {len(nodes)}": not (
            1 <= len(nodes) <= NODES_MAX
        ),
        f"nodes have different names, unlike {', '.join(nodes)}": (
            len(set(nodes)) < len(nodes)
        ),
        f"a plan has operations, workers, keys and time, unlike {extent}": min(extent)
        < 1,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise ValueError(problem)


def _stream(seed: int, name: str) -> Random:
    # A text is hashed by SHA-512 here, alike in every process.
    return Random(f"{seed} {name}")  # noqa: S311 - chance, not secrecy
