"""
Steady clocks that are none too steady: each runs at a rate of its own.

Leases rest on a bound of how much the rates of two of them may differ
(kvnode.core.objects.settings).  So each is wrong by half of that at most.
"""

from collections.abc import Callable
from typing import Final

from kvnode.core.objects.settings import ShardSettings
from kvnode.types import Millis

RATE_ERROR_PPM_MAX: Final = ShardSettings().clock_error_ppm // 2
"""One too fast by so much and one too slow by so much are just within the bound."""

_MILLION: Final = 1_000_000


class SteadyClock:
    """Milliseconds that never go back, since some time."""

    def __init__(self, true_seconds: Callable[[], float], rate_ppm: int) -> None:
        """Begin at the true time, and gain *rate_ppm* microseconds each second."""
        self._true_seconds = true_seconds
        self._own_rate_ppm = rate_ppm
        self._rate_ppm = rate_ppm
        self._since = true_seconds()
        self._shown = self._since

    def __call__(self) -> Millis:
        """Return the time by this clock."""
        return Millis(int(1000 * self._seconds()))

    def bend(self, rate_ppm: int) -> None:
        """Run at another rate from now on, within the bound; 0 = its own again."""
        self._shown, self._since = self._seconds(), self._true_seconds()
        wanted = rate_ppm or self._own_rate_ppm
        self._rate_ppm = max(-RATE_ERROR_PPM_MAX, min(wanted, RATE_ERROR_PPM_MAX))

    def _seconds(self) -> float:
        passed = self._true_seconds() - self._since
        return self._shown + passed * (1 + self._rate_ppm / _MILLION)
