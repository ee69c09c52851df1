"""
The trace of a run: everything that was sent and committed, in order.

Two runs of one seed must have equal traces; the digest tells, the lines show
where they part.
"""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b

LINES_KEPT = 100_000
DIGEST_BYTES = 16


class Trace:
    """
    What has happened so far.

    Args:
        now: Virtual seconds.
        lines_kept: How many of the last lines are kept; 0 = only the digest.
    """

    def __init__(self, now: Callable[[], float], lines_kept: int = 0) -> None:
        self._now = now
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self._lines: deque[str] | None = None
        if lines_kept:
            self._lines = deque(maxlen=min(lines_kept, LINES_KEPT))

    def note(self, what: str, data: bytes = b"") -> None:
        """Note that *what* has happened now, with *data*."""
        head = f"{self._now():.9f} {what} "
        self._hash.update(head.encode())
        self._hash.update(data)
        if self._lines is not None:
            self._lines.append(head + data.hex())

    def digest(self) -> str:
        """Return a hash of all that was noted, in hex."""
        return self._hash.hexdigest()

    def lines(self) -> tuple[str, ...]:
        """Return what was kept, oldest first: time, what, data in hex."""
        return tuple(self._lines or ())
