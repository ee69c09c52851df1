"""Alarms: at least once, again after a failure, and through a failover."""

import asyncio

import pytest

from kvnode.errors import ObjectRaisedError
from kvnode.objects.running import ringing
from tests.objects.running.objects import Bell, Site, settled


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.001)


async def _until(site: Site, method: str, expected: object) -> None:
    async with asyncio.timeout(5):
        while await site.call("Bell b", method) != expected:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)


async def test_alarm_rings_when_it_is_due_and_once(site: Site) -> None:
    """Not before, and it is set no more."""
    due = site.now + 1000
    await site.call("Bell b", "set", due)
    assert await site.call("Bell b", "due") == due
    await settled()
    assert await site.call("Bell b", "rung") == 0

    site.now = due
    await _until(site, "rung", 1)

    assert await site.call("Bell b", "due") is None
    assert site.log.rows.scan(b"\x02", b"\x03", limit=10) == []


async def test_alarm_that_fails_is_tried_again(site: Site) -> None:
    """After two seconds, then four, with the middle of the jitter here."""
    Bell.failures = 2
    await site.call("Bell b", "set", site.now)
    for delay in (2000, 4000):
        await _until(site, "due", site.now + delay)
        site.now += delay
    await _until(site, "rung", 1)
    assert Bell.failures == 0


async def test_alarm_is_given_up_after_six_failures(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """And it says so."""
    Bell.failures = 6
    await site.call("Bell b", "set", site.now)
    async with asyncio.timeout(5):
        while Bell.failures:
            site.now += 1_100_000
            await asyncio.sleep(0.003)
    await settled()

    assert await site.call("Bell b", "due") is None
    assert "given up" in caplog.text


async def test_alarm_set_before_the_end_of_a_run_is_durable_rings(site: Site) -> None:
    """What the run has left is not what is set by the time that it may be told."""
    await site.call("Bell b", "set", site.now + 1000)
    site.log.commits.clear()
    site.now += 1000
    async with asyncio.timeout(5):
        while len(site.log.entries) < 2:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.001)
    setting = site.call("Bell b", "set", site.now + 1000)
    await settled()
    site.log.commits.set()
    await setting
    assert await site.call("Bell b", "rung") == 1

    site.now += 1000
    await _until(site, "rung", 2)


async def test_alarm_survives_a_failover(site: Site) -> None:
    """Whoever leads next finds it in the state."""
    await site.call("Bell b", "set", site.now + 1000)
    site.reopen()
    site.now += 1000
    await _until(site, "rung", 1)


async def test_alarm_is_gone_with_all_that_is_stored(site: Site) -> None:
    """Nothing is left of the object but its name."""
    await site.call("Bell b", "set", site.now + 1000)
    await site.call("Bell b", "forget")

    assert await site.call("Bell b", "due") is None
    assert len(site.log.rows.own) == 1


async def test_class_without_an_alarm_cannot_set_one(site: Site) -> None:
    """It could never run."""
    with pytest.raises(ObjectRaisedError, match="has no `async def alarm"):
        await site.call("Counter c", "wake_me", site.now)


@pytest.mark.parametrize("when", ["soon", -1, 1 << 60, None])
async def test_time_that_is_none_is_refused(site: Site, when: object) -> None:
    """With what it may be."""
    with pytest.raises(ObjectRaisedError, match="give a datetime, or the ms"):
        await site.call("Bell b", "set", when)
