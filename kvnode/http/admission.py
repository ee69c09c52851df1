"""How many requests are under way, and how many bytes their bodies take."""

from collections.abc import Iterator
from contextlib import contextmanager

from kvnode.errors import OverloadedError


class Admission:
    """Lets requests in while there is room; nothing waits."""

    def __init__(self, *, requests_max: int, bytes_max: int) -> None:
        """Have room for so many requests, whose bodies have so many bytes in all."""
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._requests = 0
        self._bytes = 0

    @contextmanager
    def admitted(self, body_bytes: int) -> Iterator[None]:
        """
        Take up the room of one request with so many bytes of body at most.

        Raises:
            OverloadedError: There is none; nothing was done.
        """
        if self._requests >= self._requests_max:
            msg = f"{self._requests_max} requests are under way here"
            raise OverloadedError(msg)
        if self._bytes + body_bytes > self._bytes_max:
            msg = f"requests of {self._bytes_max} bytes are under way here"
            raise OverloadedError(msg)
        self._requests += 1
        self._bytes += body_bytes
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= body_bytes
