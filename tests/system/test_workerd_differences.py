"""
Durable Objects of real workerd and our objects, given the same scripts.

They must say the same at every step, but for the differences that are listed, which
must be exactly those.  What is listed and is no more is an error, too: docs/workers.md
would say what is not so.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential.comparing import differences, traces
from tests.differential.differing_scripts import DIFFERENCES, Difference
from tests.differential.event_scripts import ALARMS, COMMITS, GATES
from tests.differential.fetch_scripts import FETCHES
from tests.differential.generated import LOOK, scripts
from tests.differential.kvnode_side import KvnodeSide, kvnode_side
from tests.differential.script import Calls, Event, Script, Side, normal
from tests.differential.storage_scripts import STORAGE
from tests.differential.workerd_side import WorkerdSide, workerd_side

pytestmark = pytest.mark.system

TRIES: Final = 3
EXAMPLES: Final = 60  # of those that are drawn: 5 s

ALL: Final = (*STORAGE, *COMMITS, *GATES, *ALARMS, *FETCHES)


class Sides:
    """Both, and an event loop that lasts as long as they do."""

    def __init__(
        self, runner: asyncio.Runner, theirs: WorkerdSide, ours: KvnodeSide
    ) -> None:
        self._runner = runner
        self._theirs = theirs
        self._ours = ours
        self._names = (f"object {number}" for number in count())

    def traces(self, events: Sequence[Event]) -> list[list[Any]]:
        """
        Do *events* with an object on each side; return what each says.

        A node that was not run for so long that it lost its lead has ended its objects:
        that says nothing of them, and is done again.
        """
        for _ in range(TRIES):
            epochs = self._ours.epochs
            found = self._runner.run(self._both(next(self._names), events))
            if self._ours.epochs == epochs:
                return found
        pytest.skip("the machine is too busy: the node loses its lead again and again")

    async def _both(self, name: str, events: Sequence[Event]) -> list[list[Any]]:
        sides: tuple[Side, Side] = (self._theirs, self._ours)
        return await asyncio.gather(*(traces(side, name, events) for side in sides))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Workerd and a node, for all tests."""
    directory = tmp_path_factory.mktemp("sides")
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            theirs = workerd_side(directory / "theirs")
            ours = kvnode_side(directory / "ours")
            yield Sides(
                runner,
                runner.run(stack.enter_async_context(theirs)),
                runner.run(stack.enter_async_context(ours)),
            )
        finally:
            runner.run(stack.aclose())


@pytest.mark.parametrize("script", ALL, ids=[script.name for script in ALL])
def test_both_say_the_same(sides: Sides, script: Script) -> None:
    """At every step of every call."""
    theirs, ours = sides.traces(script.events)

    assert differences(script.events, theirs, ours) == []
    told = [step for calls in theirs for trace in calls for step in trace]
    assert any(step not in {"error", "raised"} for step in map(str, told)), (
        "a script of which nothing succeeds shows nothing"
    )


@pytest.mark.parametrize(
    "expected", DIFFERENCES, ids=[each.name for each in DIFFERENCES]
)
def test_difference_is_as_it_is_listed(sides: Sides, expected: Difference) -> None:
    """Both sides say what is written down, and not the same."""
    theirs, ours = sides.traces(expected.events)

    assert (theirs[-1], ours[-1]) == (normal(expected.theirs), normal(expected.ours))
    assert differences(expected.events, theirs, ours) != []


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(events=scripts)
def test_drawn_scripts_are_said_the_same(sides: Sides, events: list[Calls]) -> None:
    """With a look at all that is left, after each of them."""
    looking = [each for event in events for each in (event, LOOK)]
    theirs, ours = sides.traces(looking)

    assert differences(looking, theirs, ours) == []
