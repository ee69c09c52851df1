"""The harness judges strangers rightly: etcd well, and a Redis failover badly."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from jepsen_like.adapters import system_named
from jepsen_like.adapters.supervisor import Program, ProgramError, free_ports
from jepsen_like.checkers.finals import with_finals
from jepsen_like.history.operation import Outcome
from jepsen_like.judging import judge
from jepsen_like.nemesis.faults import (
    Cut,
    Kill,
    Pause,
    Resume,
    SetClock,
    Start,
)
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.runner.execution import execute
from jepsen_like.runner.run import Run
from jepsen_like.system import NotPossibleError
from jepsen_like.verdict import Judgement, Verdict
from jepsen_like.workloads import Extent, Workload
from jepsen_like.workloads.cas_register import CasRegisterWorkload
from jepsen_like.workloads.register import RegisterWorkload

pytestmark = pytest.mark.system

SETTLE_MS = 20_000


def _needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def _plan(
    workload: Workload, nodes: tuple[str, ...], extent: Extent, *strikes: Strike
) -> Plan:
    invokes: Sequence[Invoke] = list(workload.invocations(Random(1), nodes, extent))
    steps: list[Step] = [*invokes, *strikes]
    steps.sort(key=lambda step: step.at)
    return Plan(workload.name, 1, nodes, tuple(steps), SETTLE_MS)


async def _run(system: str, plan: Plan, workload: Workload) -> Run:
    run = await execute(plan, system_named(system, plan.nodes), workload=workload)
    assert not run.errors
    assert all(struck.came for struck in run.struck)
    return run


def _judged(run: Run, model: str) -> Judgement:
    (judgement,) = judge(with_finals(run.history), model)
    return judgement


async def test_etcd_under_kill_and_pause_is_linearizable() -> None:
    """A majority goes on; what is in doubt may be either."""
    _needs("etcd")
    workload = CasRegisterWorkload(asked=("read",))
    plan = _plan(
        workload,
        ("n1", "n2", "n3"),
        Extent(operations=500, workers=6, keys=3, duration_ms=6_000),
        Strike(1_000, Kill(("n1",))),
        Strike(2_500, Start(("n1",))),
        Strike(3_500, Pause(("n2",))),
        Strike(5_000, Resume(("n2",))),
    )
    run = await _run("etcd", plan, workload)

    answered = [o for o in run.history.operations if o.outcome is Outcome.OK]
    assert len(answered) > 300
    assert any(o.f == "cas" and o.result is True for o in answered)
    judgement = _judged(run, "cas-register")
    assert judgement.verdict is Verdict.VALID, judgement


async def test_redis_failover_after_a_partition_loses_acknowledged_writes() -> None:
    """The harness says so, and shows by which operations."""
    _needs("redis-server")
    workload = RegisterWorkload(asked=("read",))
    plan = _plan(
        workload,
        ("primary", "replica"),
        Extent(operations=300, workers=4, keys=2, duration_ms=3_000),
        Strike(1_000, Cut((("primary", "replica"),))),
        Strike(2_000, Kill(("primary",))),
    )
    run = await _run("redis", plan, workload)

    judgement = _judged(run, "register")
    assert judgement.verdict is Verdict.INVALID
    witness = judgement.witnesses[0]
    assert witness.explanation
    assert 2 <= len(witness.operations) <= 10
    assert {o.key for o in witness.operations} == {witness.key}


async def test_redis_without_faults_is_linearizable() -> None:
    """One node that answers everything is, so the failover is to blame."""
    _needs("redis-server")
    workload = RegisterWorkload(asked=("read",))
    extent = Extent(operations=200, workers=4, keys=2, duration_ms=500)
    plan = _plan(workload, ("primary", "replica"), extent)
    run = await _run("redis", plan, workload)

    assert _judged(run, "register").verdict is Verdict.VALID


async def test_fault_that_an_adapter_does_not_know_is_refused() -> None:
    """And noted by the runner, which calls the run unknown."""
    with pytest.raises(NotPossibleError, match="etcd knows no SetClock"):
        await system_named("etcd", ("n1",)).inject(SetClock("n1", 5))


async def test_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """Not the library function that noticed."""
    program = Program(["no-such-store"], 1, tmp_path)
    with pytest.raises(ProgramError, match="no-such-store is not installed"):
        program.spawn()


async def test_program_that_ends_at_once_is_reported_with_its_words(
    tmp_path: Path,
) -> None:
    """The end of its log says why."""
    port = free_ports(["x"])["x"]
    program = Program(["ls", "/no/such/place"], port, tmp_path)
    program.spawn()
    with pytest.raises(ProgramError, match="/no/such/place"):
        await program.ready()
