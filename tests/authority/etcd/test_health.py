"""Looking after etcd: a line at first, and whenever something changes."""

import asyncio
import logging

import pytest

from kvnode.authority.etcd.health import watch_health
from tests.authority.etcd_site import NO_LEADER, EtcdSite


async def test_status_tells_of_each_endpoint() -> None:
    """In the order of the settings: its version, or what is wrong."""
    async with EtcdSite() as site:
        await site.members[1].end()
        site.members[2].refusal = NO_LEADER
        found = await site.authority().status()

    assert [each.endpoint for each in found] == [m.endpoint for m in site.members]
    assert found[0][1:] == ("3.4.23", "")
    assert "cannot be reached" in found[1].trouble
    assert "no leader" in found[2].trouble


async def test_health_is_told_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    """And not at every look."""
    caplog.set_level(logging.INFO)
    async with EtcdSite() as site:
        ill = site.members[1]
        watching = asyncio.create_task(
            watch_health(site.authority(), look_seconds=0.001)
        )
        await _looked(site, 3)
        ill.refusal = NO_LEADER
        await _looked(site, 3)
        ill.refusal = None
        await _looked(site, 3)
        watching.cancel()
        await asyncio.wait([watching])

    lines = [r.getMessage() for r in caplog.records if r.name.endswith("health")]
    assert len(lines) == len(site.members) + 2
    assert f"{ill.endpoint} is not well" in lines[-2]
    assert "shards whose leader fails have none" in lines[-2]
    assert f"{ill.endpoint} is well" in lines[-1]


async def _looked(site: EtcdSite, times: int) -> None:
    """Wait until all members were looked at *times* more."""
    until = {m.endpoint: len(m.asked) + times for m in site.members}
    while any(len(m.asked) < until[m.endpoint] for m in site.members):  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0.001)
