"""Asking the authority on behalf of a replica."""

import asyncio
import logging
from typing import Final

from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Swap,
)
from kvnode.errors import KvError

logger = logging.getLogger(__name__)

AUTHORITY_SECONDS_MAX: Final = 2.0
"""Longer than a round trip around the Earth and a sync take, several times over."""


async def answer_of(
    authority: Authority, shard: str, effect: AskAuthority | Swap
) -> AuthoritySaid | AuthorityFailed:
    """Return what the authority says, or that it says nothing for now."""
    try:
        async with asyncio.timeout(AUTHORITY_SECONDS_MAX):
            return AuthoritySaid(await _held(authority, shard, effect))
    except TimeoutError:
        return AuthorityFailed()
    except KvError as error:
        logger.warning("the authority over shard %s: %s", shard, error)
        return AuthorityFailed()


async def _held(
    authority: Authority, shard: str, effect: AskAuthority | Swap
) -> Configuration | None:
    if isinstance(effect, Swap):
        return await authority.swap(shard, effect.expected, effect.desired)
    return await authority.read(shard)
