"""
A rate limiter: a token bucket for each name, exact wherever it is asked.

    kvnode serve --objects rate_limiter:RateLimiter
    kvnode object call RateLimiter user-7 take

A bucket holds `capacity` tokens and gets `per_second` back; who finds one may go on.
The sum can be trusted since there is one bucket a name, and one call at a time.
"""

import time
from typing import Any

from kvnode.objects import DurableObject


class RateLimiter(DurableObject):
    """One bucket."""

    async def configure(self, capacity: float, per_second: float) -> None:
        """Set the size of the bucket and how fast it fills; it is full afterwards."""
        if not (capacity >= 1 and per_second > 0):
            msg = "capacity must be 1 or more, and per_second more than 0"
            raise ValueError(msg)
        bucket = {"capacity": capacity, "per_second": per_second, "tokens": capacity}
        await self.storage.put("bucket", {**bucket, "at": time.time()})

    async def take(self, tokens: float = 1) -> dict[str, Any]:
        """
        Take tokens if they are there.

        Returns:
            `allowed`; `remaining` tokens; `retry_after` seconds until there are enough,
            None if the bucket can never hold so many.
        """
        default = {"capacity": 10.0, "per_second": 1.0, "tokens": 10.0, "at": 0.0}
        bucket = await self.storage.get("bucket", default)
        now = time.time()
        # A clock that was set back fills nothing, and takes nothing away.
        gained = max(0.0, now - bucket["at"]) * bucket["per_second"]
        there = min(bucket["capacity"], bucket["tokens"] + gained)
        allowed = 0 < tokens <= there
        if allowed:
            there -= tokens
            await self.storage.put("bucket", {**bucket, "tokens": there, "at": now})
        lacking = tokens - there
        retry_after = None
        if tokens <= bucket["capacity"]:
            retry_after = 0.0 if allowed else lacking / bucket["per_second"]
        return {"allowed": allowed, "remaining": there, "retry_after": retry_after}
