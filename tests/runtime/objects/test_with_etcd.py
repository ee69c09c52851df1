"""
The objects of a node whose leaders are named elsewhere, on real files.

A file stands in for etcd: what matters here is what the node makes of its answers.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NoReturn

import pytest

from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.objects.private_map import Storage
from kvnode.runtime.app import random_replica, wall_clock
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects.homes import FORGOTTEN
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.opening import (
    DIRECTORY,
    Etcd,
    Site,
    open_alone,
    open_among,
    open_with_etcd,
)
from kvnode.runtime.objects.ports import Alone
from kvnode.types import ReplicaId
from tests.authority.etcd_site import NO_LEADER, EtcdSite

PREFIX = "/kvnode/test/shards/"


def _site(directory: Path) -> Site:
    return Site(
        directory,
        "here",
        {"Storage": Storage},
        NodeClock(wall_clock),
        Random(0),
        random_replica,
        is_moved=False,
    )


def _alone(own: ReplicaId) -> Alone:
    return Alone("here", own)


def _nobody(own: ReplicaId) -> NoReturn:
    raise AssertionError(own)


def _open(
    directory: Path,
    authority: Authority,
    prefix: str = PREFIX,
    keeper: str = "here",
) -> Objects:
    etcd = Etcd(authority, prefix, (keeper,))
    return open_with_etcd(_site(directory), etcd, _alone)


@asynccontextmanager
async def _running(objects: Objects) -> AsyncIterator[Objects]:
    task = asyncio.create_task(objects.run())
    try:
        yield objects
    finally:
        task.cancel()
        await asyncio.wait([task])
        await objects.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.01)


def _all_led(objects: Objects) -> bool:
    return all(shard.is_led_here for shard in objects.status())


async def test_keeper_founds_and_leads_and_does_so_again(tmp_path: Path) -> None:
    """Each start is another epoch."""
    for _ in range(2):
        objects = _open(tmp_path, LocalAuthority(tmp_path / "etcd.json"))
        async with _running(objects):
            await _until(lambda: _all_led(objects))  # noqa: B023 -- used at once


async def test_node_that_keeps_nothing_founds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends calls to those who do."""
    authority = LocalAuthority(tmp_path / "etcd.json")
    asked: list[str] = []
    monkeypatch.setattr(authority, "read", asked.append)
    async with _running(_open(tmp_path, authority, keeper="there")) as objects:
        await asyncio.sleep(0.05)
        assert not any(shard.epoch for shard in objects.status())
    assert not asked


async def test_shard_with_a_log_is_not_founded_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An etcd that has lost what it held would give epochs out twice."""
    objects = _open(tmp_path, LocalAuthority(tmp_path / "etcd.json"))
    async with _running(objects):
        await _until(lambda: _all_led(objects))
    caplog.set_level(logging.INFO)
    empty = LocalAuthority(tmp_path / "another.json")

    async with _running(_open(tmp_path, empty)):
        await _until(lambda: FORGOTTEN in caplog.text)

    assert [await empty.read(f"s{n:03}") for n in range(16)] == [None] * 16


async def test_damaged_register_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People write to etcd by hand, and mend it; the node goes on meanwhile."""
    authority = LocalAuthority(tmp_path / "etcd.json")
    read, asked = authority.read, 0

    async def damaged_at_first(shard: str) -> Configuration | None:
        nonlocal asked
        asked += 1
        if asked <= 16:
            msg = "somebody's"
            raise CorruptRecordError(msg)
        return await read(shard)

    monkeypatch.setattr(authority, "read", damaged_at_first)

    async with _running(_open(tmp_path, authority)) as objects:
        await _until(lambda: _all_led(objects))


async def test_prefix_cannot_be_changed(tmp_path: Path) -> None:
    """Under another one there are no shards, or others'."""
    authority = LocalAuthority(tmp_path / "etcd.json")
    await _open(tmp_path, authority).close()

    with pytest.raises(RejectedError, match=f"below {PREFIX}.*is /other/"):
        _open(tmp_path, authority, "/other/")
    await _open(tmp_path, authority).close()


async def test_objects_of_etcd_have_no_other_authority(tmp_path: Path) -> None:
    """Neither this node alone nor voters know who leads them."""
    await _open(tmp_path, LocalAuthority(tmp_path / "etcd.json")).close()

    with pytest.raises(RejectedError, match="set objects_etcd as it was"):
        open_alone(_site(tmp_path))
    with pytest.raises(RejectedError, match="set objects_etcd as it was"):
        open_among(_site(tmp_path), ("here",), _nobody)


@pytest.mark.parametrize(
    ("left", "advice"),
    [("authority.json", "without objects_voters and"), ("voter", "set objects_voters")],
)
async def test_objects_of_another_authority_are_not_etcds(
    tmp_path: Path, left: str, advice: str
) -> None:
    """And nothing is written down that would make them so."""
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    (directory / left).write_text("{}")

    with pytest.raises(RejectedError, match=advice):
        _open(tmp_path, LocalAuthority(tmp_path / "etcd.json"))
    assert not (directory / "etcd").exists()


async def test_overview_tells_how_etcd_is(tmp_path: Path) -> None:
    """Its endpoints stand where voters do."""
    async with EtcdSite() as site:
        site.members[1].refusal = NO_LEADER
        objects = _open(tmp_path, site.authority())
        found = (await objects.administration.overview()).voters
        await objects.close()

    assert [each.node for each in found] == [m.endpoint for m in site.members]
    assert [each.role for each in found] == ["votes", "is not well", "votes"]
    assert "no leader" in found[1].trouble
