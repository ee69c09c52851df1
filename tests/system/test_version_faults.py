"""The harness upgrades real nodes while it asks them, and judges what they say."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from cluster.local.installation import Installation
from cluster.local.node_process import ProcessState
from jepsen_like import generator
from jepsen_like.adapters import kvnode_simulated
from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import Downgrade, Kill, Pause, Upgrade
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.worlds import run_plan_on
from jepsen_like.system import NotPossibleError
from jepsen_like.verdict import Verdict, combined
from jepsen_like.workloads.workload import Extent
from tests.system.kvnode_systems import connected, running, soon_reads

pytestmark = pytest.mark.system

NODES = ("a", "b", "c")


@pytest.fixture
async def system(previous: Installation) -> AsyncIterator[KvnodeProcesses]:
    """Two nodes that begin with the previous version."""
    async with running("a", "b", previous=previous) as made:
        yield made


def _command(system: KvnodeProcesses, node: str) -> str:
    process = system.cluster.process(node)
    assert process is not None
    return process.environ().get("PYTHONPATH", "")


async def _write(system: KvnodeProcesses, node: str, value: int) -> None:
    client = await system.connect(0, node)
    try:
        await client.invoke("write", "k", value)
    finally:
        await client.close()


async def test_nodes_begin_old_and_go_to_the_new_version_for_good(
    system: KvnodeProcesses, previous: Installation
) -> None:
    """
    With what they have stored; what they run already is no reason to stop.

    The previous version refuses a store of format 2 (docs/decisions/0016), so the
    node goes on with the new one, and the run says so.
    """
    place = str(previous.directory)
    assert all(place in _command(system, node) for node in system.nodes)
    began = system.cluster.process("a")
    await system.inject(Downgrade("a"))
    assert system.cluster.process("a") == began
    await _write(system, "b", 1)
    await soon_reads(system, "a", "k", 1)

    await system.inject(Upgrade("a"))
    assert place not in _command(system, "a")
    await connected(system)
    await _write(system, "a", 2)
    await soon_reads(system, "b", "k", 2)

    with pytest.raises(NotPossibleError, match="does not start on what a has stored"):
        await system.inject(Downgrade("a"))
    assert place not in _command(system, "a")
    await connected(system)
    await soon_reads(system, "a", "k", 2)


async def test_dead_and_frozen_nodes_are_up_after_a_change_of_version(
    system: KvnodeProcesses, previous: Installation
) -> None:
    """Also one that has the version already."""
    await system.inject(Kill(("a",)))
    await system.inject(Pause(("b",)))
    await system.inject(Upgrade("a"))
    await system.inject(Downgrade("b"))

    assert str(previous.directory) not in _command(system, "a")
    assert str(previous.directory) in _command(system, "b")
    assert system.cluster.state("b") is ProcessState.RUNNING
    await connected(system)


async def test_recovery_leaves_all_nodes_with_the_version_under_test(
    system: KvnodeProcesses, previous: Installation
) -> None:
    """Whatever a plan has left out."""
    await system.inject(Kill(("a",)))
    await system.recover()

    places = [_command(system, node) for node in system.nodes]
    assert not any(str(previous.directory) in place for place in places)
    await connected(system)


def test_rolling_upgrade_under_load_is_judged_valid(previous: Installation) -> None:
    """A whole run; each node shows how long it was of the previous version."""
    plan = generator.plan(
        "register", ("rolling-upgrade",), 5, NODES, Extent(120, 4, 3, 5_000)
    )

    made = run_plan_on("processes", previous=previous.directory)(plan)

    judgements = judge_run(made, plan)
    assert combined(judgements) is Verdict.VALID, judgements
    spans = [span for span in made.history.faults if span.kind == "previous version"]
    assert sorted(span.nodes for span in spans) == [("a",), ("b",), ("c",)]


async def test_without_a_second_version_there_is_no_upgrade() -> None:
    """Neither on processes, nor in simulation."""
    system = KvnodeProcesses(NODES)
    with pytest.raises(NotPossibleError, match="one version of kvnode"):
        await system.inject(Upgrade("a"))

    plan = generator.plan("register", ("rolling-upgrade",), 5, NODES, Extent(50))
    simulate = partial(kvnode_simulated.run, plan)
    made = await asyncio.to_thread(simulate)
    judgements = judge_run(made, plan)
    assert combined(judgements) is Verdict.UNKNOWN
    assert any("one version" in judgement.reason for judgement in judgements)
