"""Alarms at odd moments: none is lost, none runs twice at once or after its end."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvnode.errors import OverloadedError
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.running import ringing as ringing_module
from tests.objects.running.objects import DOORS, Site, settled, site


class Ringer(DurableObject):
    """Counts the runs of its alarm, in memory too."""

    at_once = 0
    at_once_most = 0
    again_at: int | None = None
    waits = False
    runs = 0

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.secret = 0

    async def set(self, when: int) -> None:
        """Set the alarm."""
        await self.storage.set_alarm(when)

    async def forget(self) -> None:
        """Delete the alarm."""
        await self.storage.delete_alarm()

    async def forget_alone(self) -> None:
        """Delete the alarm in a section that waits for a door."""

        async def section() -> None:
            await DOORS["a"].wait()
            await self.storage.delete_alarm()

        await self.ctx.block_concurrency_while(section)

    async def alarm(self) -> None:
        """Count, and maybe wait or set itself again."""
        Ringer.runs += 1
        Ringer.at_once += 1
        Ringer.at_once_most = max(Ringer.at_once, Ringer.at_once_most)
        if Ringer.again_at is not None:
            await self.storage.set_alarm(Ringer.again_at)
            Ringer.again_at = None
        if Ringer.waits:
            await DOORS["b"].wait()
        Ringer.at_once -= 1


class Cancelling(DurableObject):
    """Its alarm raises what asyncio raises where somebody is cancelled."""

    async def set(self, when: int) -> None:
        """Set the alarm."""
        await self.storage.set_alarm(when)

    async def due(self) -> int | None:
        """Return when it is due."""
        return await self.storage.get_alarm()

    async def alarm(self) -> None:
        """Fail."""
        raise asyncio.CancelledError


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing_module, "LOOK_SECONDS", 0.001)
    Ringer.at_once = Ringer.at_once_most = Ringer.runs = 0
    Ringer.again_at, Ringer.waits = None, False


@pytest.fixture(name="ringing")
async def ringing_site() -> AsyncIterator[Site]:
    """A host of objects with alarms."""
    async with site({"Ringer": Ringer, "Cancelling": Cancelling}) as made:
        yield made


async def rang(times: int) -> None:
    """Return once alarms have run so often in all."""
    async with asyncio.timeout(5):
        while Ringer.runs < times:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)


async def test_alarm_of_an_object_that_does_not_show_in_the_state_rings(
    ringing: Site,
) -> None:
    """It is committed, and applied only later."""
    ringing.log.applies = False
    await ringing.call("Ringer r", "set", ringing.now)
    await rang(1)


async def test_alarm_that_sets_itself_for_the_same_time_rings_again(
    ringing: Site,
) -> None:
    """`set_alarm(0)` means: at once, and once more."""
    Ringer.again_at = 0
    await ringing.call("Ringer r", "set", 0)
    await rang(2)


async def test_alarm_does_not_run_twice_at_once(ringing: Site) -> None:
    """One that is set while it runs waits for the end of that run."""
    Ringer.waits, Ringer.again_at = True, 5
    await ringing.call("Ringer r", "set", 0)
    await rang(1)
    await asyncio.sleep(0.01)
    assert Ringer.at_once_most == 1

    DOORS["b"].set()
    await rang(2)
    assert Ringer.at_once_most == 1


async def test_alarm_that_was_deleted_before_it_began_does_not_run(
    ringing: Site,
) -> None:
    """It was due, and had to wait for the section that has deleted it."""
    await ringing.call("Ringer r", "set", ringing.now + 1000)
    deleting = ringing.call("Ringer r", "forget_alone")
    await settled()
    ringing.now += 1000
    await asyncio.sleep(0.01)
    DOORS["a"].set()
    await deleting
    await settled()

    assert Ringer.runs == 0


async def test_alarm_whose_deletion_was_refused_rings(ringing: Site) -> None:
    """The instance that wanted that is gone, and what it had told of the alarm."""
    ringing.log.commits.clear()
    setting = ringing.call("Ringer r", "set", ringing.now + 1000)
    await settled()
    ringing.log.refusal = OverloadedError("too many wait")
    forgetting = ringing.call("Ringer r", "forget")
    await settled()
    ringing.log.refusal = None
    ringing.log.commits.set()
    await asyncio.wait([setting, forgetting])
    await settled()
    ringing.now += 1000

    await rang(1)


async def test_deleted_alarm_is_not_set_again_by_its_instance_s_end(
    ringing: Site,
) -> None:
    """Nor does anything else that was committed get lost."""
    await ringing.call("Ringer r", "set", ringing.now + 1000)
    await ringing.call("Ringer r", "forget")
    ringing.log.refusal = OverloadedError("too many wait")
    with pytest.raises(OverloadedError):
        await ringing.call("Ringer r", "set", ringing.now)
    ringing.log.refusal = None
    ringing.now += 10_000
    await asyncio.sleep(0.01)

    assert Ringer.runs == 0


async def _rang_with_time(ringing: Site, times: int) -> None:
    """Let time pass until alarms have run so often; it may be set for later yet."""
    async with asyncio.timeout(5):
        while Ringer.runs < times:
            ringing.now += ringing_module.ALARM_AGAIN_MILLIS
            await asyncio.sleep(0.01)


async def test_alarm_is_not_run_as_fast_as_it_can_while_the_log_takes_nothing(
    ringing: Site,
) -> None:
    """Its instance ends each time, and that is no reason to look again at once."""
    await ringing.call("Ringer r", "set", ringing.now + 1000)
    ringing.log.refusal = OverloadedError("too many wait")
    ringing.now += 1000
    await rang(1)
    await asyncio.sleep(0.05)
    assert Ringer.runs == 1

    await _rang_with_time(ringing, 2)
    ringing.log.refusal = None
    await _rang_with_time(ringing, 3)
    await settled()
    ringing.now += 10_000
    await asyncio.sleep(0.05)
    assert Ringer.runs == 3


async def test_alarms_at_once_are_bounded(
    ringing: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have their turn when some are over."""
    monkeypatch.setattr(ringing_module, "ALARMS_AT_ONCE", 3)
    Ringer.waits = True
    for n in range(10):
        await ringing.call(f"Ringer r{n}", "set", ringing.now + 1000)
    ringing.now += 1000
    await rang(3)
    await asyncio.sleep(0.01)
    assert Ringer.at_once_most == 3

    DOORS["b"].set()
    await rang(10)
    assert Ringer.at_once_most == 3


async def test_cancellation_that_an_alarm_raises_itself_is_its_failure(
    ringing: Site,
) -> None:
    """It is tried again later, and counts."""
    await ringing.call("Cancelling c", "set", ringing.now)
    await asyncio.sleep(0.01)

    assert await ringing.call("Cancelling c", "due") == ringing.now + 2000
