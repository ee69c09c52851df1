"""The figures of false suspicions: that they can be repeated, and what they show."""

import json

import pytest
import typer
from typer.testing import CliRunner

from cluster.scale.suspicions import VARIANTS, command, false_suspicions

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

NODES, SECONDS = 24, 60
SEEDS = (1, 2, 3)


def test_lifeguard_raises_fewer_false_suspicions_on_the_same_seeds() -> None:
    """The same nodes are blocked at the same times; stalls go unnoticed by both."""
    swim, lifeguard = (
        [
            false_suspicions(
                nodes=NODES,
                seconds=SECONDS,
                seed=seed,
                lifeguard=on,
                starved_share=0.25,
                stalls_noticed=False,
            )
            for seed in SEEDS
        ]
        for on in (False, True)
    )

    assert sum(run.suspicions_raised for run in swim) > 0
    for without, with_it in zip(swim, lifeguard, strict=True):
        assert with_it.suspicions_raised <= without.suspicions_raised
        assert with_it.suspicions <= without.suspicions
        assert with_it.deaths <= without.deaths
        assert with_it.deaths_at_healthy == 0


def test_nodes_as_they_are_find_the_crash_and_accuse_nobody_healthy() -> None:
    """The patience has a price, and it is not that crashes go unnoticed."""
    for seed in SEEDS:
        run = false_suspicions(
            nodes=NODES, seconds=120, seed=seed, lifeguard=True, starved_share=0.25
        )

        assert run.deaths == 0
        assert run.suspected_ms is not None
        assert run.detected_ms is not None
        assert run.disseminated_ms is not None
        assert run.suspected_ms < run.detected_ms <= run.disseminated_ms


def test_figures_are_the_same_for_the_same_seed() -> None:
    """Two commits can be compared."""
    once, again = (
        false_suspicions(nodes=10, seconds=20, seed=5, lifeguard=True) for _ in range(2)
    )

    assert once == again


@pytest.mark.parametrize(
    ("nodes", "seconds", "share"), [(3, 10, 0.0), (10, 0, 0.1), (10, 10, 0.8)]
)
def test_sizes_that_show_nothing_are_refused(
    nodes: int, seconds: int, share: float
) -> None:
    """Somebody healthy must be left to talk about the crash."""
    with pytest.raises(ValueError, match="three healthy nodes"):
        false_suspicions(
            nodes=nodes, seconds=seconds, seed=1, lifeguard=True, starved_share=share
        )


def test_command_shows_all_variants() -> None:
    """For people as a table, for programs as JSON."""
    app = typer.Typer()
    app.command()(command)
    size = ["--nodes", "10", "--seconds", "5"]

    shown = CliRunner().invoke(app, size)
    printed = CliRunner().invoke(app, [*size, "--json"])

    assert "10 nodes, 1 of them starved, for 5 s" in shown.output
    assert json.loads(printed.output).keys() == VARIANTS.keys()
