"""
Consistency tests in pytest: a cluster, and harm done to it.

    def test_register_survives_partitions(cluster, nemesis):
        nemesis.use("partition", "clock-jump")
        cluster.run("register", operations=300)

    @pytest.mark.cluster(nodes=5, system="processes")
    def test_nothing_is_lost_to_this_kill(cluster, nemesis):
        nemesis.at(1_000, Kill(("n1",)))
        nemesis.at(3_000, Start(("n1",)))
        cluster.run("register")

A run that is not valid fails the test: with the witness, the plan in a file, and
the command that replays it.  `unknown` is no success either.  A cluster is
simulated unless the mark or `--jepsen-system` says otherwise; what is drawn comes
from the test's name, the mark, or `--jepsen-seed`.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from jepsen_like.testbed import Harm, TestedCluster

_TOLD: Final = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be said on the command line."""
    group = parser.getgroup("jepsen_like", "consistency of clusters")
    group.addoption(
        "--jepsen-seed",
        type=int,
        default=None,
        help="Draw every cluster test's plan from this seed.",
    )
    group.addoption(
        "--jepsen-system",
        default="simulated",
        help="Where clusters run that no mark places: simulated, processes, ...",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers",
        "cluster(nodes=3, system='simulated', seed=None):"
        " what the cluster fixture is made of",
    )


@pytest.fixture
def nemesis() -> "Harm":
    """Return what harm is to be done to the cluster; none to begin with."""
    # Here and below, so that test runs without clusters do not wait for it.
    from jepsen_like.testbed import Harm  # noqa: PLC0415

    return Harm()


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest,
    nemesis: "Harm",
    tmp_path_factory: pytest.TempPathFactory,
) -> "TestedCluster":
    """Return a cluster that runs workloads while the nemesis does its worst."""
    from jepsen_like.testbed import TestedCluster  # noqa: PLC0415

    mark = request.node.get_closest_marker("cluster")
    given: dict[str, Any] = dict(mark.kwargs) if mark else {}
    node_count = int(given.pop("nodes", 3))
    system = str(given.pop("system", request.config.getoption("--jepsen-system")))
    seed = given.pop("seed", None)
    if given or (mark and mark.args):
        msg = "the mark cluster takes nodes=, system= and seed=, by name"
        raise pytest.UsageError(msg)
    said = request.config.getoption("--jepsen-seed")
    if said is not None:
        seed = said
    elif seed is None:
        seed = crc32(request.node.nodeid.encode())
    directory = tmp_path_factory.mktemp("jepsen_like")
    tested = TestedCluster(nemesis, system, seed, node_count, directory / "plan.json")
    request.node.stash[_TOLD] = tested.told
    return tested


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failing test's report how its run is done again."""
    report = yield
    if report.failed:
        for told in item.stash.get(_TOLD, []):
            report.sections.append(("jepsen_like", told))
    return report
