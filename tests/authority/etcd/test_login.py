"""Logging in to etcd: once for all, again when it is wanted, and not in vain."""

import asyncio

import pytest

from kvnode.errors import UnavailableError
from tests.authority.contract import FIRST, B
from tests.authority.etcd_site import USER, EtcdSite

SHARD = "eu/1"
SECOND = FIRST.taken_over_by(B)

SHORT = 0.2
"""For calls that fail when their time is over."""

ENOUGH = 1.5
"""For those that succeed after an endpoint was silent for its third."""


async def test_user_logs_in_once_for_all(site: EtcdSite) -> None:
    """However many shards ask at the same time."""
    site.store.asks_who = True
    authority = site.authority(user=USER)

    await asyncio.gather(*(authority.read(f"eu/{n}") for n in range(16)))

    assert site.store.logins == 1


async def test_token_that_has_ended_is_renewed(site: EtcdSite) -> None:
    """In the same call, at the same endpoint, and for a change, too."""
    site.store.asks_who = True
    authority = site.authority(user=USER)
    await authority.swap(SHARD, None, FIRST)
    site.store.tokens.clear()

    assert await authority.swap(SHARD, FIRST, SECOND) == SECOND
    site.store.tokens.clear()
    assert await authority.swap(SHARD, None, FIRST) == SECOND
    assert site.store.logins == 3
    assert not site.members[1].asked


async def test_token_that_does_not_help_is_given_up(site: EtcdSite) -> None:
    """One login a try: etcd pays for each."""
    site.store.asks_who = True
    authority = site.authority(user=USER, answer_seconds=SHORT)
    for member in site.members:
        member.forgets_tokens = True

    with pytest.raises(UnavailableError, match="invalid auth token"):
        await authority.swap(SHARD, None, FIRST)

    asked = [name for member in site.members for name in member.asked]
    assert asked.count("Authenticate") <= asked.count("Txn")


async def test_wrong_password_names_the_settings(site: EtcdSite) -> None:
    """And is tried once."""
    site.store.asks_who = True
    authority = site.authority(user=USER, password="wrong")  # noqa: S106 -- it is wrong

    with pytest.raises(UnavailableError, match="objects_etcd_password_file"):
        await authority.read(SHARD)
    assert sum(len(member.asked) for member in site.members) == 1


async def test_missing_user_names_the_setting(site: EtcdSite) -> None:
    """Etcd asks who it is, and nobody was named."""
    site.store.asks_who = True

    with pytest.raises(UnavailableError, match="set objects_etcd_user"):
        await site.authority().read(SHARD)


async def test_user_is_no_hindrance_where_etcd_does_not_ask(site: EtcdSite) -> None:
    """It may begin to ask later, and then is told."""
    authority = site.authority(user=USER)
    await authority.swap(SHARD, None, FIRST)
    await authority.read(SHARD)
    assert site.members[0].asked == ["Authenticate", "Txn", "Range"]

    site.store.asks_who = True

    assert await authority.read(SHARD) == FIRST
    assert site.store.logins == 1


async def test_silent_login_leaves_time_for_others(site: EtcdSite) -> None:
    """It is part of the try."""
    site.store.asks_who = True
    site.members[0].is_silent = True
    authority = site.authority(user=USER, answer_seconds=ENOUGH)

    answers = await asyncio.gather(*(authority.read(f"eu/{n}") for n in range(4)))

    assert answers == [None] * 4
