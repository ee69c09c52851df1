"""The harness notices nodes that break a rule; see tests.simulation.sabotage."""

from collections.abc import Callable

import pytest

from tests.simulation.network import Network
from tests.simulation.oracle import ViolationError
from tests.simulation.practice import Practice
from tests.simulation.sabotage import SABOTAGES, Sabotage
from tests.simulation.schedule import perform

pytestmark = pytest.mark.no_cover  # see tests/conftest.py


def notice(sabotage: Sabotage, practice: Practice) -> tuple[int, str]:
    """Return the first seed that fails, and how."""
    for seed, schedule in sabotage.schedules():
        network = Network(practice=practice)
        try:
            perform(network, schedule)
        except ViolationError as error:
            return seed, str(error)
    return -1, "not noticed"


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=list(SABOTAGES))
def test_broken_rule_is_noticed(
    sabotage: Sabotage,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Some seed fails, by a rule that the sabotage breaks."""
    practice = sabotage.apply(monkeypatch)

    seed, message = notice(sabotage, practice)

    print(f"seed {seed}: {message}")  # noqa: T201 -- `pytest -rP` shows it
    record_property("seed", seed)
    assert message.startswith(sabotage.noticed_by)
