"""Objects go back to earlier points in time, whole, and forth again."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    ObjectRaisedError,
    UnavailableError,
)
from kvnode.objects.points import point_calls
from kvnode.objects.points.bookmark import Bookmark
from kvnode.objects.points.shard_history import HistoryLimits
from kvnode.objects.running import ringing
from tests.objects.running.objects import DOORS, Counter, Site, settled, site
from tests.objects.running.pointed_objects import DIARY, Diary

HOUR_MILLIS = 3_600_000


@pytest.fixture(name="diary")
async def diary_site() -> AsyncIterator[Site]:
    """A host of diaries and of counters."""
    Diary.rung = 0
    async with site(DIARY | {"Counter": Counter}) as made:
        yield made


async def bookmark(at: Site, target: str = "Diary d") -> str:
    """Return the bookmark of now, asked for from outside."""
    found: str = await at.call(target, point_calls.CURRENT)
    return found


async def restore(at: Site, point: str, target: str = "Diary d") -> str:
    """Restore from outside; return what undoes it."""
    return (await restored(at, point, target)).undo


async def restored(
    at: Site, point: str, target: str = "Diary d"
) -> point_calls.Restored:
    """Restore from outside; return all that is told."""
    return point_calls.Restored(*await at.call(target, point_calls.RESTORE, point))


async def everything(at: Site, target: str = "Diary d") -> Any:  # noqa: ANN401 -- lists
    """Return all that a diary holds."""
    return await at.call(target, "all")


# -- what is restored ---------------------------------------------------------------


async def test_keys_sql_and_alarm_become_what_they_were(diary: Site) -> None:
    """Changed, deleted and added ones alike, and nothing else."""
    await diary.call("Diary d", "write", "a", 1)
    await diary.call("Diary d", "write", "b", 1)
    await diary.call("Diary d", "wake", diary.now + 5000)
    then, point = await everything(diary), await bookmark(diary)
    await diary.call("Diary d", "write", "a", 2)
    await diary.call("Diary d", "write", "c", 2)
    await diary.call("Diary d", "delete", "b")
    await diary.call("Diary d", "wake", diary.now + 9000)

    await restore(diary, point)

    assert await everything(diary) == then
    assert then == [{"a": 1, "b": 1}, ["a=1", "b=1"], diary.now + 5000]


async def test_all_that_was_deleted_is_back(diary: Site) -> None:
    """Of `delete_all` as well: it is the worst of mistakes."""
    point = await diary.call("Diary d", "write", "a", "x" * 5000)
    await diary.call("Diary d", "wake", diary.now + 5000)
    await diary.call("Diary d", "forget")
    assert await everything(diary) == [{}, [], None]

    await restore(diary, point)

    assert await everything(diary) == [{"a": "x" * 5000}, ["a=" + "x" * 5000], None]


async def test_restores_are_undone_like_all_else(diary: Site) -> None:
    """And the undoing is, too."""
    point = await diary.call("Diary d", "write", "a", 1)
    first = await everything(diary)
    await diary.call("Diary d", "write", "a", 2)
    second = await everything(diary)

    undo = await restore(diary, point)
    assert await everything(diary) == first
    redo = await restore(diary, undo)
    assert await everything(diary) == second
    await restore(diary, redo)
    assert await everything(diary) == first
    await restore(diary, point)
    assert await everything(diary) == first
    await restore(diary, undo)
    assert await everything(diary) == second


async def test_restore_tells_what_it_has_changed(diary: Site) -> None:
    """What is as it was then does not count."""
    await diary.call("Diary d", "write", "a", 1)
    point = await diary.call("Diary d", "write", "b", 1)
    await diary.call("Diary d", "write", "a", 2)
    await diary.call("Diary d", "write", "a", 1)
    await diary.call("Diary d", "write", "c", 1)
    await diary.call("Diary d", "wake", diary.now + 5000)

    found = await restored(diary, point)

    assert found[1:] == (1, 1, True, False)
    assert (await restored(diary, point))[1:] == (0, 0, False, False)


async def test_what_is_counted_has_a_bound(diary: Site) -> None:
    """To count means to read."""
    point = await bookmark(diary)
    for first in range(0, 1200, 100):
        keys = {f"{first + n}": n for n in range(100)}
        await diary.call("Diary d", "write_all", keys)

    found = await restored(diary, point)

    assert found.more
    assert 1000 <= found.keys + found.pages < 1100
    assert await everything(diary) == [{}, [], None]


async def test_other_objects_of_the_shard_are_left_alone(diary: Site) -> None:
    """Their alarms, too, which stand among those of all."""
    point = await bookmark(diary)
    for name in ("d", "e"):
        await diary.call(f"Diary {name}", "write", "a", name)
        await diary.call(f"Diary {name}", "wake", diary.now + 5000)
    other = await everything(diary, "Diary e")

    await restore(diary, point)

    assert await everything(diary) == [{}, [], None]
    assert await everything(diary, "Diary e") == other
    due = [key for key in diary.log.rows.own if key.startswith(b"\x02")]
    assert len(due) == 1


async def test_alarm_that_is_back_and_overdue_rings(
    diary: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was due and has not rung, as the object now knows it."""
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.001)
    await diary.call("Diary d", "wake", diary.now + 5000)
    point = await bookmark(diary)
    await diary.call("Diary d", "forget")
    diary.now += 6000
    await restore(diary, point)
    assert Diary.rung == 0

    diary.now += 2001
    async with asyncio.timeout(5):
        while not Diary.rung:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)

    assert Diary.rung == 1
    assert (await everything(diary))[2] is None


async def test_call_with_a_key_does_not_happen_again(diary: Site) -> None:
    """Its result is kept: who sends it again asks what came of it."""
    point = await bookmark(diary, "Counter c")
    assert await diary.call("Counter c", "increment", 5, key="k") == 5

    await restore(diary, point, "Counter c")

    assert await diary.call("Counter c", "value") == 0
    assert await diary.call("Counter c", "increment", 5, key="k") == 5
    assert await diary.call("Counter c", "value") == 0


async def test_versions_of_a_map_are_not_used_again(site: Site) -> None:
    """A condition on one that was undone must not hold of another value."""
    await site.call("Storage m", "put", "k", "first")
    point = await bookmark(site, "Storage m")
    undone = await site.call("Storage m", "put", "k", "mistake")

    changed = await restored(site, point, "Storage m")

    assert changed.keys == 1
    assert await site.call("Storage m", "get", "k") == {"value": "first", "version": 1}
    assert await site.call("Storage m", "put", "k", "new") > undone


# -- the instance, and who calls ------------------------------------------------------


async def test_call_under_way_is_told_that_nothing_happened(diary: Site) -> None:
    """It had written nothing: it can be called again."""
    await diary.call("Counter c", "increment")
    point = await bookmark(diary, "Counter c")
    under_way = diary.call("Counter c", "slow", "a")
    await settled()

    await restore(diary, point, "Counter c")
    DOORS["a"].set()

    with pytest.raises(UnavailableError, match="restored to an earlier point"):
        await under_way
    assert await diary.call("Counter c", "value") == 1


async def test_call_that_has_written_is_told_that_it_may_have(diary: Site) -> None:
    """Its entry comes before that of the restore, and is undone by it."""
    point = await bookmark(diary, "Counter c")
    diary.log.commits.clear()
    writing = diary.call("Counter c", "increment")
    await settled()
    restoring = asyncio.create_task(restore(diary, point, "Counter c"))
    await settled()
    later = diary.call("Counter c", "increment", 10)
    await settled()
    diary.log.commits.set()

    with pytest.raises((IndeterminateError, UnavailableError)) as caught:
        await writing
    undo = await restoring

    assert "may have happened" in str(caught.value)
    assert await later == 10
    await restore(diary, undo, "Counter c")
    assert await diary.call("Counter c", "value") == 1


async def test_restore_is_durable_and_seen_before_it_is_told(diary: Site) -> None:
    """Who calls next finds the earlier state."""
    point = await bookmark(diary)
    await diary.call("Diary d", "write", "a", 1)
    diary.log.commits.clear()
    restoring = asyncio.create_task(restore(diary, point))
    reading = asyncio.create_task(everything(diary))
    await settled()
    assert not restoring.done()
    assert not reading.done()

    diary.log.commits.set()

    await restoring
    assert await reading == [{}, [], None]


async def test_restore_is_told_once_the_state_shows_it(diary: Site) -> None:
    """What is committed may show later, and who calls next reads the state."""
    point = await bookmark(diary)
    await diary.call("Diary d", "write", "a", 1)
    diary.log.applies = False
    restoring = asyncio.create_task(restore(diary, point))
    reading = asyncio.create_task(everything(diary))
    await settled()
    assert not restoring.done()
    assert not reading.done()

    diary.log.apply("s000", len(diary.log.entries))

    await restoring
    assert await reading == [{}, [], None]


async def test_restore_waits_for_what_was_written_before(site: Site) -> None:
    """It is about to read which versions were given."""
    await site.call("Storage m", "put", "k", "first")
    point = await bookmark(site, "Storage m")
    site.log.commits.clear()
    undone = site.call("Storage m", "put", "k", "mistake")
    await settled()
    restoring = asyncio.create_task(restore(site, point, "Storage m"))
    await settled()
    site.log.commits.set()
    await restoring
    with pytest.raises((IndeterminateError, UnavailableError)):
        await undone

    assert await site.call("Storage m", "put", "k", "new") == 3


async def test_restores_of_an_object_come_one_after_the_other(diary: Site) -> None:
    """And no call comes in between."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    points = [await bookmark(diary)]
    points.append(await diary.call("Diary d", "write", "a", 1))
    await diary.call("Diary d", "write", "a", 2)
    diary.log.applies = False
    restoring = [asyncio.create_task(restore(diary, point)) for point in points]
    await settled()
    reading = asyncio.create_task(everything(diary))
    for _ in points:
        await settled()
        diary.log.apply("s000", len(diary.log.entries))

    _, undo = await asyncio.gather(*restoring)
    assert not complaints
    assert (await reading)[0] == {"a": 1}
    diary.log.applies = True
    await restore(diary, undo)
    assert await everything(diary) == [{}, [], None]


async def test_lost_lead_leaves_it_open_whether_it_was_restored(diary: Site) -> None:
    """Nobody knows whether its entry survives."""
    point = await bookmark(diary)
    await diary.call("Diary d", "write", "a", 1)
    diary.log.commits.clear()
    restoring = asyncio.create_task(restore(diary, point))
    await settled()
    diary.log.loss = IndeterminateError("the lead was lost")
    diary.log.commits.set()

    with pytest.raises(IndeterminateError):
        await restoring


async def test_next_leader_can_restore_to_bookmarks_of_the_last(diary: Site) -> None:
    """What was is in the state, not in the memory of who led."""
    point = await diary.call("Diary d", "write", "a", 1)
    then = await everything(diary)
    await diary.call("Diary d", "write", "a", 2)

    diary.reopen()
    undo = await restore(diary, point)
    diary.reopen()

    assert await everything(diary) == then
    await restore(diary, undo)
    assert (await everything(diary))[0] == {"a": 2}


# -- the object restores itself ----------------------------------------------


async def test_object_is_restored_when_it_starts_next(diary: Site) -> None:
    """Not before: until then it is what it was."""
    point = await diary.call("Diary d", "write", "a", 1)
    then = await everything(diary)
    await diary.call("Diary d", "write", "a", 2)

    undo = await diary.call("Diary d", "go_back", point)
    assert (await everything(diary))[0] == {"a": 2}
    await diary.call("Diary d", "write", "b", 3)
    last = await everything(diary)
    await end(diary)

    assert await everything(diary) == then
    await restore(diary, undo)
    assert await everything(diary) == last
    await end(diary)
    assert await everything(diary) == last


async def end(at: Site) -> None:
    """Let the diary end its session."""
    with pytest.raises(UnavailableError, match="ended itself"):
        await at.call("Diary d", "end")


async def test_object_may_end_as_soon_as_it_has_asked(diary: Site) -> None:
    """That it is to be restored is durable by then."""
    point = await diary.call("Diary d", "write", "a", 1)
    then = await everything(diary)
    await diary.call("Diary d", "write", "a", 2)

    with pytest.raises((UnavailableError, IndeterminateError)):
        await diary.call("Diary d", "go_back_now", point)

    assert await everything(diary) == then


async def test_each_restore_by_the_object_is_undone_by_its_own(diary: Site) -> None:
    """The first one's bookmark is of before the first, whatever came later."""
    points, undos = [await bookmark(diary)], []
    for n in range(3):
        await diary.call("Diary d", "write", "a", n)
        points.append(await bookmark(diary))
        undos.append(await diary.call("Diary d", "go_back", points[n]))
        await end(diary)
        await everything(diary)

    for n, undo in enumerate(undos):
        await restore(diary, undo)
        assert (await everything(diary))[0] == {"a": n}


async def test_restore_that_waits_survives_its_leader(diary: Site) -> None:
    """The next one finds it, and what undoes it."""
    point = await bookmark(diary)
    await diary.call("Diary d", "write", "a", 2)
    undo = await diary.call("Diary d", "go_back", point)

    diary.reopen()

    assert await everything(diary) == [{}, [], None]
    diary.reopen()
    await diary.call("Diary d", "go_back", undo)
    await end(diary)
    assert (await everything(diary))[0] == {"a": 2}


async def test_undo_of_a_restore_that_waits_is_refused(diary: Site) -> None:
    """There is nothing to undo yet."""
    point = await diary.call("Diary d", "write", "a", 1)
    undo = await diary.call("Diary d", "go_back", point)

    with pytest.raises(InvalidArgumentError, match="has not happened"):
        await restore(diary, undo)
    assert undo > point


async def test_calls_that_come_together_restore_it_once(diary: Site) -> None:
    """What the first of them writes afterwards is not lost."""
    point = await bookmark(diary)
    await diary.call("Diary d", "go_back", point)
    await end(diary)

    calls = [diary.call("Diary d", "write", f"k{n}", n) for n in range(5)]
    await asyncio.gather(*calls)

    assert len((await everything(diary))[0]) == 5


async def test_restore_that_waited_too_long_leaves_the_object_as_it_is() -> None:
    """It would else never start again."""
    async with site(DIARY) as diary:
        point = await diary.call("Diary d", "write", "a", 1)
        await diary.call("Diary d", "write", "a", 2)
        await diary.call("Diary d", "go_back", point)
        diary.now += 200 * HOUR_MILLIS
        await forgotten(diary)

        diary.reopen()

        assert (await everything(diary))[0] == {"a": 2}
        diary.reopen()
        assert (await everything(diary))[0] == {"a": 2}


async def test_object_with_a_key_cannot_ask_for_it(diary: Site) -> None:
    """What it asks for would become durable only after it was told so."""
    point = await diary.call("Diary d", "write", "a", 1)

    with pytest.raises(ObjectRaisedError, match="restore in one without"):
        await diary.call("Diary d", "go_back", point, key="k")


# -- bookmarks -----------------------------------------------------------------


async def test_later_bookmarks_sort_behind(diary: Site) -> None:
    """They are text, and opaque, but for that."""
    points = [await diary.call("Diary d", "write", "a", n) for n in range(20)]

    assert points == sorted(set(points))


async def test_bookmark_of_a_time_is_what_was_there_then(diary: Site) -> None:
    """Between two changes it is the former."""
    states = []
    start = diary.now
    for n in range(6):
        diary.now = start + 100 * n
        await diary.call("Diary d", "write", "a", n)
        states.append(await everything(diary))
    diary.now += 1000

    for n in range(6):
        for later in (0, 50, 99):
            point = await diary.call("Diary d", "bookmark_at", start + 100 * n + later)
            assert point == await diary.call(
                "Diary d", point_calls.AT, start + 100 * n + later
            )
            await restore(diary, point)
            assert await everything(diary) == states[n], (n, later)


async def test_times_do_not_go_back_with_a_leaders_clock(diary: Site) -> None:
    """Points are found by time in a search that needs that."""
    start = diary.now
    await diary.call("Diary d", "write", "a", 1)
    diary.now = start + 10_000
    await diary.call("Diary d", "write", "a", 2)
    diary.now = start + 5000
    diary.reopen()
    for n in range(3, 20):
        await diary.call("Diary d", "write", "a", n)
    diary.now = start + 20_000

    points = [
        await diary.call("Diary d", "bookmark_at", start + millis)
        for millis in (5000, 9999, 10_000)
    ]

    for point, expected in zip(points, (1, 1, 19), strict=True):
        await restore(diary, point)
        assert (await everything(diary))[0] == {"a": expected}


@pytest.mark.parametrize("text", ["", "x", "0" * 16, "0" * 16 + "-0-" + "g" * 16])
async def test_what_is_no_bookmark_is_refused(diary: Site, text: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(InvalidArgumentError, match="those look like 0000000000000007"):
        await restore(diary, text)


async def test_bookmark_of_another_object_is_refused(diary: Site) -> None:
    """It would restore this one to some point that nobody has meant."""
    point = await bookmark(diary, "Diary e")

    with pytest.raises(InvalidArgumentError, match="one of another, or was mistyped"):
        await restore(diary, point)
    own = await bookmark(diary)
    changed = re.sub(r"^.", "1", own)
    with pytest.raises(InvalidArgumentError, match="one of another, or was mistyped"):
        await restore(diary, changed)


async def test_bookmark_from_the_future_is_refused(diary: Site) -> None:
    """Data was lost since, or it is of another cluster."""
    await diary.call("Diary d", "write", "a", 1)
    body = next(key for key in diary.log.rows.own)[1:25]

    with pytest.raises(InvalidArgumentError, match=r"in the future.* entry 99"):
        await restore(diary, Bookmark(99).text_for(body))
    with pytest.raises(InvalidArgumentError, match="in the future"):
        await diary.call("Diary d", point_calls.AT, diary.now + 1)


async def forgotten(at: Site) -> None:
    """Let the leader look at how much it keeps."""
    shard = at.host._led["s000"]
    await shard._history.forget()


async def test_what_is_too_old_is_let_go_and_told(diary: Site) -> None:
    """What is left can be restored."""
    old = await diary.call("Diary d", "write", "a", 0)
    start = diary.now
    await diary.call("Diary d", "write", "a", 1)
    diary.now += 100 * HOUR_MILLIS
    await diary.call("Diary d", "write", "a", 2)
    diary.now += 100 * HOUR_MILLIS
    await diary.call("Diary d", "write", "a", 3)

    await forgotten(diary)

    with pytest.raises(InvalidArgumentError, match=r"too old: .* from 20\d\d-.* on"):
        await restore(diary, old)
    with pytest.raises(InvalidArgumentError, match="nothing is kept of what was at"):
        await diary.call("Diary d", point_calls.AT, start - 1)
    young = await diary.call("Diary d", point_calls.AT, start + HOUR_MILLIS)
    await restore(diary, young)
    assert (await everything(diary))[0] == {"a": 1}


async def test_what_is_too_much_is_let_go_and_the_newest_stays() -> None:
    """However young it is: the disk has an end."""
    async with site(DIARY, history=HistoryLimits(hours=1, shard_bytes=50_000)) as diary:
        points = [await diary.call("Diary d", "write", "a", n) for n in range(30)]

        await forgotten(diary)

        history = [
            (key, row) for key, row in diary.log.rows.rows.items() if key[:2] == b"\3\1"
        ]
        assert 25_000 < sum(len(key) + len(row) for key, row in history) <= 50_000
        with pytest.raises(InvalidArgumentError, match="too old"):
            await restore(diary, points[0])
        await restore(diary, points[25])
        assert (await everything(diary))[0] == {"a": 25}


async def test_node_that_keeps_nothing_lets_go_what_is_there(diary: Site) -> None:
    """And its entries are as those of versions that know of no history."""
    point = await diary.call("Diary d", "write", "a", 1)
    diary.host._history = HistoryLimits(hours=0)
    diary.reopen()
    await diary.call("Diary d", "write", "a", 2)

    await forgotten(diary)

    assert [key for key in diary.log.rows.rows if key[:2] == b"\3\1"] == []
    with pytest.raises(InvalidArgumentError, match="objects_history_hours is 0"):
        await restore(diary, point)
    diary.host._history = HistoryLimits()
    diary.reopen()
    with pytest.raises(InvalidArgumentError, match="too old"):
        await restore(diary, point)


@pytest.mark.parametrize("method", [point_calls.CURRENT, point_calls.AT])
async def test_bookmark_is_of_what_a_majority_has(diary: Site, method: str) -> None:
    """A leader that was deposed names nothing."""
    await diary.call("Diary d", "write", "a", 1)
    arguments = [diary.now] if method == point_calls.AT else []
    diary.log.leased = False
    diary.log.loss = UnavailableError("deposed")

    with pytest.raises(UnavailableError):
        await diary.call("Diary d", method, *arguments)
    assert diary.log.confirmed == 1


async def test_leader_looks_by_itself_at_what_it_keeps(
    diary: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else does."""
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.001)
    await diary.call("Diary d", "write", "a", 1)
    await diary.call("Diary d", "wake", diary.now + 900 * HOUR_MILLIS)

    diary.now += 200 * HOUR_MILLIS

    async with asyncio.timeout(5):
        while [key for key in diary.log.rows.rows if key[:2] == b"\3\1"]:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)
