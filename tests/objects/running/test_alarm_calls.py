"""Alarms that somebody outside looks at, sets and deletes, beside the object's code."""

import asyncio
from typing import Any

import pytest

from kvnode.errors import (
    InvalidArgumentError,
    MovedError,
    NotLeaderError,
    ObjectEndedError,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM, SET_ALARM
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.locating import LOCATE
from kvnode.objects.running import ringing
from kvnode.objects.storing import committer
from tests.objects.running.objects import DOORS, SHARD, Bell, Site, settled, site


class Sleeper(DurableObject):
    """Rings for as long as a door is shut."""

    async def rung(self) -> int:
        """Return how often it began to ring."""
        found: int = await self.storage.get("rung", 0)
        return found

    async def alone(self) -> None:
        """Shut everybody out while a door is shut, and set the alarm."""
        await self.ctx.block_concurrency_while(self._wait)
        await self.storage.set_alarm(7)

    async def _wait(self) -> None:
        await DOORS["b"].wait()

    async def alarm(self) -> None:
        """Ring, and fail in the end."""
        await self.storage.put("rung", await self.rung() + 1)
        await DOORS["a"].wait()
        msg = "not yet"
        raise ValueError(msg)


class Broken(DurableObject):
    """Cannot start, but for the first time."""

    is_broken = False

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        if Broken.is_broken:
            msg = "no more"
            raise LookupError(msg)

    async def poke(self) -> None:
        """Do nothing."""

    async def alarm(self) -> None:
        """Ring."""


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.001)


async def _until(at: Site, target: str, method: str, expected: object) -> None:
    async with asyncio.timeout(5):
        while await at.call(target, method) != expected:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)


# -- what is told and done ------------------------------------------------------------


async def test_alarm_set_from_outside_rings_when_it_is_due_and_once(site: Site) -> None:
    """The object sees it as its own, and need not have been called before."""
    due = site.now + 1000
    assert await site.call("Bell b", ALARM) is None
    assert await site.call("Bell b", SET_ALARM, due) == due
    assert await site.call("Bell b", ALARM) == due
    assert await site.call("Bell b", "due") == due
    assert await site.call("Bell b", "rung") == 0

    site.now = due
    await _until(site, "Bell b", "rung", 1)

    assert await site.call("Bell b", ALARM) is None
    assert site.log.rows.scan(b"\x02", b"\x03", limit=10) == []


async def test_alarm_of_the_object_itself_is_seen_moved_and_deleted(site: Site) -> None:
    """There is one, whoever has set it."""
    await site.call("Bell b", "set", site.now + 1000)
    assert await site.call("Bell b", ALARM) == site.now + 1000
    await site.call("Bell b", SET_ALARM, site.now + 5000)
    site.now += 1000
    await settled()
    assert await site.call("Bell b", "rung") == 0
    assert await site.call("Bell b", SET_ALARM, None) is None
    assert await site.call("Bell b", SET_ALARM, None) is None
    site.now += 9000
    await settled()

    assert await site.call("Bell b", "rung") == 0
    assert await site.call("Bell b", "due") is None


@pytest.mark.parametrize("past_ms", [0, 1, 1_600_000_000_000])
async def test_alarm_in_the_past_rings_now(site: Site, past_ms: int) -> None:
    """By the clock of the node that leads, which is what is told."""
    assert await site.call("Bell b", SET_ALARM, past_ms) == site.now
    await _until(site, "Bell b", "rung", 1)


async def test_alarm_set_from_outside_survives_a_failover(site: Site) -> None:
    """It is in the log."""
    due = site.now + 1000
    await site.call("Bell b", SET_ALARM, due)
    site.reopen()
    assert await site.call("Bell b", ALARM) == due
    site.now = due
    await _until(site, "Bell b", "rung", 1)


# -- as an event of the object --------------------------------------------------------


async def test_setting_is_told_once_it_is_durable(site: Site) -> None:
    """And so is looking at what was set before."""
    site.log.commits.clear()
    setting = site.call("Bell b", SET_ALARM, site.now + 1000)
    await settled()
    looking = site.call("Bell b", ALARM)
    await settled()
    assert not setting.done()
    assert not looking.done()

    site.log.commits.set()

    assert await setting == await looking == site.now + 1000


async def test_looking_waits_until_what_a_former_instance_wrote_shows(
    site: Site,
) -> None:
    """Nothing is in memory, and the state does not show yet what was told."""
    site.log.applies = False
    due = site.now + 1000
    await site.call("Bell b", SET_ALARM, due)
    (instance,) = site.host._led[SHARD]._instances.values()
    instance.fail(UnavailableError("enough"))
    looking = site.call("Bell b", ALARM)
    await settled()
    assert not looking.done()

    site.log.apply(SHARD, 1)

    assert await looking == due


async def test_that_nothing_was_heard_is_told_by_who_leads(site: Site) -> None:
    """Another may have led since, and heard of it."""
    site.log.leased = False
    assert await site.call("Bell b", ALARM) is None
    assert site.log.confirmed == 1
    site.log.loss = UnavailableError("the lead is lost")
    with pytest.raises(UnavailableError, match="does not lead"):
        await site.call("Bell b", ALARM)


async def test_alarm_calls_wait_while_the_object_is_alone() -> None:
    """As its methods do: what they tell comes after what it does."""
    async with site({"Sleeper": Sleeper}) as made:
        alone = made.call("Sleeper s", "alone")
        await settled()
        looking = made.call("Sleeper s", ALARM)
        await settled()
        assert not looking.done()
        DOORS["b"].set()
        await alone
        assert await looking == 7


async def test_alarm_set_while_it_runs_rings_again() -> None:
    """And at that time, though the run fails."""
    async with site({"Sleeper": Sleeper}) as made:
        await made.call("Sleeper s", SET_ALARM, made.now)
        await _until(made, "Sleeper s", "rung", 1)
        assert await made.call("Sleeper s", ALARM) is None
        await made.call("Sleeper s", SET_ALARM, made.now + 100)
        DOORS["a"].set()
        await settled()
        assert await made.call("Sleeper s", ALARM) == made.now + 100
        made.now += 100
        await _until(made, "Sleeper s", "rung", 2)


async def test_alarm_deleted_while_it_runs_is_not_tried_again() -> None:
    """The run goes on, and fails for good."""
    async with site({"Sleeper": Sleeper}) as made:
        await made.call("Sleeper s", SET_ALARM, made.now)
        await _until(made, "Sleeper s", "rung", 1)
        await made.call("Sleeper s", SET_ALARM, None)
        DOORS["a"].set()
        await settled()
        made.now += 1_000_000
        await settled()
        assert await made.call("Sleeper s", ALARM) is None
        assert await made.call("Sleeper s", "rung") == 1


async def test_lost_lead_answers_nobody(site: Site) -> None:
    """Who asks next is told by the next leader."""
    site.log.commits.clear()
    setting = site.call("Bell b", SET_ALARM, site.now + 1000)
    await settled()
    site.host.closed(SHARD, 1)
    with pytest.raises(Exception, match="lost the lead") as caught:
        await setting
    assert caught.value.__class__.__name__ == "IndeterminateError"
    with pytest.raises(NotLeaderError):
        await site.call("Bell b", ALARM)


# -- what the object's code has no part in --------------------------------------------


async def test_alarm_of_an_object_that_cannot_start_can_be_deleted() -> None:
    """Who runs the node has no other way to have it left alone."""
    Broken.is_broken = False
    async with site({"Broken": Broken}) as made:
        await made.call("Broken b", SET_ALARM, made.now + 1000)
        made.reopen()
        Broken.is_broken = True
        with pytest.raises(ObjectEndedError, match="could not be made"):
            await made.call("Broken b", "poke")
        assert await made.call("Broken b", ALARM) == made.now + 1000
        assert await made.call("Broken b", SET_ALARM, None) is None
        assert made.log.rows.scan(b"\x02", b"\x03", limit=10) == []


async def test_looking_makes_no_object_and_places_none(site: Site) -> None:
    """A location hint may still place it."""
    assert await site.call("Bell b", ALARM) is None
    assert site.host.instances(SHARD) == 0
    assert await site.call("Bell b", LOCATE) == [SHARD, False]


async def test_setting_places_an_object_of_which_nothing_was_heard(site: Site) -> None:
    """In the region that it names; looking is sent there as well."""
    for method, arguments in ((SET_ALARM, (site.now + 1000,)), (ALARM, ())):
        with pytest.raises(MovedError) as caught:
            await site.call("Bell b", method, *arguments, hint="west")
        assert caught.value.region == "west"
    assert site.founded == ["r.west.000"]


async def test_looking_is_sent_to_where_an_object_was_just_placed(site: Site) -> None:
    """Before the state shows it: nothing is stored here, and something is there."""
    site.log.applies = False
    for method in (LOCATE, ALARM):
        with pytest.raises(MovedError):
            await site.call("Bell b", SET_ALARM, 0, hint="west")
        with pytest.raises(MovedError):
            await site.call("Bell b", method)


# -- what is refused ------------------------------------------------------------------


async def test_class_without_alarm_has_none_to_set(site: Site) -> None:
    """To look and to delete do no harm."""
    with pytest.raises(
        InvalidArgumentError, match="class Counter has no `async def alarm"
    ):
        await site.call("Counter c", SET_ALARM, site.now)
    assert await site.call("Counter c", ALARM) is None
    assert await site.call("Counter c", SET_ALARM, None) is None
    assert not site.log.entries


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (SET_ALARM, (-1,), "give a datetime, or the ms"),
        (SET_ALARM, ((1 << 53) + 1,), "give a datetime, or the ms"),
        (SET_ALARM, ("soon",), "does not take"),
        (SET_ALARM, (), "does not take"),
        (SET_ALARM, (1, 2), "does not take"),
        (ALARM, (None,), "does not take"),
    ],
)
async def test_what_is_no_time_is_refused_and_changes_nothing(
    site: Site, method: str, arguments: tuple[Value, ...], message: str
) -> None:
    """As what it is, not as what the object's code has raised."""
    await site.call("Bell b", "set", site.now + 1000)
    with pytest.raises(InvalidArgumentError, match=message):
        await site.call("Bell b", method, *arguments)
    assert await site.call("Bell b", ALARM) == site.now + 1000


async def test_node_that_has_no_room_says_so_as_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was done, and it may be tried again."""
    monkeypatch.setattr(committer, "UNDER_WAY_BYTES_MAX", 0)
    site.log.commits.clear()
    writing: asyncio.Task[Any] = site.call("Bell b", "set", site.now + 1000)
    await settled()
    setting = site.call("Bell b", SET_ALARM, site.now + 2000)
    await settled()
    site.log.commits.set()
    await writing
    with pytest.raises(OverloadedError):
        await setting
    assert await site.call("Bell b", ALARM) == site.now + 1000


async def test_object_that_ends_meanwhile_is_told_of() -> None:
    """Its section has failed, and nothing was done."""
    async with site({"Bell": Bell}) as made:
        await made.call("Bell b", "rung")
        (instance,) = made.host._led[SHARD]._instances.values()
        opened = asyncio.Event()

        async def failing() -> None:
            await opened.wait()
            msg = "no"
            raise ValueError(msg)

        section = instance.block_concurrency_while(failing)
        setting = made.call("Bell b", SET_ALARM, made.now + 1000)
        await settled()
        opened.set()
        with pytest.raises(UnavailableError) as caught:
            await setting
        assert isinstance(caught.value, ObjectEndedError)
        assert await made.call("Bell b", ALARM) is None
        assert section.done()
