"""
Looking after etcd while it is not needed, and telling when that changes.

It is asked when a leader is missing, which is late to learn that it has been away for a
week.
"""

import asyncio
import logging
from typing import Final

from kvnode.authority.etcd.etcd_authority import EndpointStatus, EtcdAuthority

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 15.0
"""Between two looks: as often as people's monitoring asks."""


async def watch_health(
    authority: EtcdAuthority, *, look_seconds: float = LOOK_SECONDS
) -> None:
    """Log how each endpoint is, at first and whenever that changes; for ever."""
    told: tuple[EndpointStatus, ...] = ()
    while True:
        found = await authority.status()
        before = {each.endpoint: each for each in told}
        for each in found:
            if _has_changed(before.get(each.endpoint), each):
                _tell(each)
        told = found
        await asyncio.sleep(look_seconds)


def _has_changed(before: EndpointStatus | None, now: EndpointStatus) -> bool:
    """Tell whether something is to be told; how long one was waited for is not."""
    if before is None:
        return True
    return (before.version, bool(before.trouble)) != (now.version, bool(now.trouble))


def _tell(status: EndpointStatus) -> None:
    if status.trouble:
        logger.warning(
            "etcd at %s is not well: %s; if it does not serve, shards whose leader"
            " fails have none",
            status.endpoint,
            status.trouble,
        )
    else:
        logger.info("etcd %s at %s is well", status.version, status.endpoint)
