"""
A compacted copy of an environment as a stream.

LMDB writes the copy from a thread of its own into one end of a socket pair; the
event loop reads the other end.  A pair rather than a pipe, because a socket can
be shut down from another thread: that ends a copy that nobody reads any more,
and without it closing the environment would wait for ever.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor

import lmdb

CHUNK_BYTES = 1024 * 1024


class RunningCopy:
    """One snapshot on its way out; `cancel` must be called in the end."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._reader, self._writer = socket.socketpair()
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
        self._reader.settimeout(0)
        self._thread = ThreadPoolExecutor(1, "kvnode-copy")
        self._done: Future[None] = self._thread.submit(self._copy)

    async def chunks(self) -> AsyncIterator[bytes]:
        """
        Yield the copy in chunks of at most `CHUNK_BYTES`.

        Raises:
            OSError: The store cannot be read, or was closed meanwhile.
        """
        loop = asyncio.get_running_loop()
        while chunk := await loop.sock_recv(self._reader, CHUNK_BYTES):
            yield chunk
        await asyncio.wrap_future(self._done)

    def cancel(self) -> None:
        """End the copy, done or not, and wait for its thread: milliseconds."""
        self.stop()
        self._thread.shutdown(wait=True)
        self._reader.close()

    def stop(self) -> None:
        """Make the copy fail if it is still under way; any thread may call."""
        if not self._done.done():
            self._reader.shutdown(socket.SHUT_RDWR)

    def _copy(self) -> None:
        with self._writer:
            try:
                self._environment.copyfd(self._writer.fileno(), compact=True)
            except lmdb.Error as error:
                msg = f"the copy broke off: {error}"
                raise OSError(getattr(error, "code", errno.EIO), msg) from error
