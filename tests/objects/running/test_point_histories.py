"""
An object's life by chance, and back to any point of it.

The model is a list: what the object held at each bookmark.  Every bookmark that is
handed out names the same for ever, whatever was restored since, and whoever leads.
"""

import asyncio
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.objects.points import point_calls
from tests.objects.running.objects import Site, site
from tests.objects.running.pointed_objects import DIARY

ALARM_MILLIS = 10_000_000
"""So late that no alarm rings meanwhile."""


class Do(NamedTuple):
    """A call of the object, or of another that lives beside it."""

    target: str
    method: str
    arguments: tuple[Any, ...]


class Back(NamedTuple):
    """Restore to the point of a step, from outside or by the object itself."""

    point: int
    is_own: bool


class Wait(NamedTuple):
    """Let time pass, and perhaps another node lead."""

    millis: int
    is_reopened: bool


Step = Do | Back | Wait

targets = st.sampled_from(("Diary d", "Diary d", "Diary e"))
keys = st.sampled_from(("a", "b", "c"))
values = st.integers(0, 9) | st.just("x" * 3000)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Do, targets, st.just("write"), st.tuples(keys, values)),
    st.builds(Do, targets, st.just("write"), st.tuples(keys, values)),
    st.builds(Do, targets, st.just("delete"), st.tuples(keys)),
    st.builds(Do, targets, st.just("forget"), st.just(())),
    st.builds(
        Do,
        targets,
        st.just("wake"),
        st.integers(0, 3).map(lambda n: (1_700_000_000_000 + ALARM_MILLIS + n,)),
    ),
    st.builds(Back, st.integers(0, 30), st.booleans()),
    st.builds(Back, st.integers(0, 30), st.booleans()),
    st.builds(Wait, st.integers(1, 1000), st.booleans()),
)


class Life:
    """The object `Diary d` through its steps."""

    def __init__(self, at: Site) -> None:
        self.at = at
        self.points: list[tuple[str, Any]] = []
        self.times: list[tuple[int, Any]] = []

    async def note(self) -> Any:  # noqa: ANN401 -- lists
        """Note what it is now, under its bookmark; return it."""
        held = await self.at.call("Diary d", "all")
        point = await self.at.call("Diary d", point_calls.CURRENT)
        assert not self.points or point >= self.points[-1][0]
        self.points.append((point, held))
        self.times.append((self.at.now, held))
        return held

    async def do(self, step: Step) -> None:
        """Do a step, and see what it was to do."""
        self.at.now += 1  # each step has a time of its own
        match step:
            case Do(target, method, arguments):
                await self.at.call(target, method, *arguments)
            case Back(place, is_own):
                await self.go_back(place, is_own=is_own)
            case Wait(millis, is_reopened):
                self.at.now += millis
                if is_reopened:
                    self.at.reopen()
        await self.note()

    async def go_back(self, place: int, *, is_own: bool) -> None:
        """Restore to a point, see that it is so, and note what undoes it."""
        before = self.points[-1][1]
        point, held = self.points[place % len(self.points)]
        if is_own:
            undo = await self.at.call("Diary d", "go_back", point)
            self.at.reopen()
            assert await self.at.call("Diary d", "all") == held
        else:
            call = self.at.call("Diary d", point_calls.RESTORE, point)
            undo = point_calls.Restored(*await call).undo
            assert await self.at.call("Diary d", "all") == held
        self.points.append((undo, before))
        self.points.sort(key=lambda each: each[0])

    async def check(self) -> None:
        """Go to all points, and to those of all times."""
        for time, held in self.times:
            point = await self.at.call("Diary d", point_calls.AT, time)
            self.points.append((point, held))
        for point, held in self.points:
            await self.at.call("Diary d", point_calls.RESTORE, point)
            assert await self.at.call("Diary d", "all") == held


async def _live(drawn: list[Step]) -> None:
    async with site(DIARY) as at:
        life = Life(at)
        await at.call("Diary e", "write", "a", 0)  # the shard's history begins here
        await life.note()
        for step in drawn:
            await life.do(step)
        beside = await at.call("Diary e", "all")
        await life.check()
        assert await at.call("Diary e", "all") == beside


@given(drawn=st.lists(steps, max_size=14))
@settings(max_examples=25, deadline=None)
def test_every_bookmark_names_what_the_object_was(drawn: list[Step]) -> None:
    """In keys, SQL and the alarm, and no step of another object shows."""
    asyncio.run(_live(drawn))
