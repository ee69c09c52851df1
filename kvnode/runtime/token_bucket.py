"""
A token bucket: how long to pause so that bytes leave at a bounded rate.

Tokens (bytes) flow in at the rate, up to a small burst.  Whoever has sent something
takes its size out, into debt if need be, and pauses until the debt is paid.  So one
thing larger than the burst can be sent, and what follows waits for it.

Reference:
    Turner, 1986.  New directions in communications (or which way to the information
        age?): the leaky bucket.
"""

BURST_SECONDS = 0.25
"""What may leave at once after a pause, as time at the full rate."""


class TokenBucket:
    """Bytes that may be sent; time comes in with every call."""

    def __init__(self, bytes_per_second: int) -> None:
        """
        Make it full.

        Args:
            bytes_per_second: > 0.
        """
        assert bytes_per_second > 0, "no limit needs no bucket"
        self._rate = bytes_per_second
        self._burst = bytes_per_second * BURST_SECONDS
        self._tokens = self._burst
        self._at: float | None = None

    def take(self, size_bytes: int, now: float) -> float:
        """
        Count *size_bytes* as sent; return how long to pause before the next.

        Args:
            size_bytes: >= 0.
            now: Seconds of a steady clock; never less than the last time.

        Returns:
            Seconds, 0 if nothing is owed.
        """
        if self._at is not None:
            gained = (now - self._at) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
        self._at = now
        self._tokens -= size_bytes
        return max(0.0, -self._tokens / self._rate)
