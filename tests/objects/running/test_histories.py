"""Objects on two nodes keep their promises while the lead changes."""

import logging

import pytest

from tests.objects.running.histories import World
from tests.objects.running.modelled_objects import SqlSum

SEEDS = 100


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "kvnode.objects")


def test_histories_keep_every_promise() -> None:
    """Whatever is late, refused, lost, or of unknown fate."""
    for seed in range(SEEDS):
        assert World(seed).run() == [], f"seed {seed}"


def test_histories_in_sql_keep_every_promise() -> None:
    """The same, of sums that are in a database and agree with a key."""
    for seed in range(SEEDS // 2):
        assert World(seed, SqlSum).run() == [], f"seed {seed}"


def test_same_seed_is_the_same_history() -> None:
    """What a seed shows can be looked at again."""
    one, other = World(3), World(3)
    one.run()
    other.run()

    assert one.operations == other.operations
    assert len(one.operations) > 30
