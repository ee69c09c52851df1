"""
Where a plan is run: simulated, on processes of this machine, on a store of yours.

    simulated          a whole cluster in one thread, on virtual time
    processes, ...     what `jepsen_like.adapters` knows by name, in real time
    module:attribute   yours: called with a plan, it returns a `System` to run the
                       plan on in real time, or the `Run` itself
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from jepsen_like.plan import Plan
from jepsen_like.runner.execution import execute
from jepsen_like.runner.run import Run, RunPlan, Watch
from jepsen_like.workloads import asks_objects

SIMULATED: Final = "simulated"


class UnknownWorldError(ValueError):
    """Nothing can be run on what was named; the message says why."""


def run_plan_on(
    name: str, *, progress: Watch | None = None, previous: Path | None = None
) -> RunPlan:
    """
    Return what runs plans on the system called *name*.

    Args:
        name: As in the module's table.
        progress: Told how far a run in real time is.
        previous: Where a previous version of kvnode is installed, for its processes
            to begin with.

    Raises:
        UnknownWorldError: There is no such system, or it has no other version.
    """
    if previous is not None and (name == SIMULATED or ":" in name):
        msg = f"{name} has no previous version to begin with: processes can have one"
        raise UnknownWorldError(msg)
    if name == SIMULATED:
        return _simulated
    module, colon, attribute = name.partition(":")
    if colon:
        return _in_real_time(_attribute(module, attribute), progress)
    system_named = _attribute("jepsen_like.adapters", "system_named")

    def adapted(plan: Plan) -> object:
        return system_named(
            name,
            plan.nodes,
            previous=previous,
            settings=dict(plan.settings),
            objects=asks_objects(plan.workload),
        )

    return _in_real_time(adapted, progress)


def _simulated(plan: Plan) -> Run:
    store, objects = "kvnode_simulated", "kvnode_objects_simulated"
    module = objects if asks_objects(plan.workload) else store
    simulate = _attribute(f"jepsen_like.adapters.{module}", "run")
    return cast("RunPlan", simulate)(plan)


def _in_real_time(make: Callable[[Plan], object], progress: Watch | None) -> RunPlan:
    def run(plan: Plan) -> Run:
        made = make(plan)
        if isinstance(made, Run):
            return made
        # What is no system after all, mypy cannot know, and the run will tell.
        ran = asyncio.run(execute(plan, made, progress=progress))  # type: ignore[arg-type]
        return replace(ran, is_real=True)

    return run


def _attribute(module: str, name: str) -> Callable[..., object]:
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"no system can be made of {module}:{name}: {error}"
        raise UnknownWorldError(msg) from error
    if not callable(found):
        msg = f"{module}:{name} is not callable, so it makes no system"
        raise UnknownWorldError(msg)
    return found
