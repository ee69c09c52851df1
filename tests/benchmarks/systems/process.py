"""
Processes that a benchmark starts, watches and ends, each by its own pid.

A server writes its output to a log file beside its data; when it does not come
up, the end of the log is part of the error.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 2000


class NotInstalledError(Exception):
    """A program that the benchmark compares with is not on this machine."""


class ServerError(Exception):
    """A server did not start, or ended by itself."""


def find_program(name: str) -> str:
    """
    Return the path of the program called *name*.

    Raises:
        NotInstalledError: There is none on the path.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        msg = f"{name} is not installed"
        raise NotInstalledError(msg)
    return path


def free_ports(count: int) -> list[int]:
    """Return *count* loopback TCP ports that nobody listens on just now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class ServerProcess:
    """One child process; `stop` or `kill` must be called, whatever happens."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # so that Ctrl-C reaches us alone
            )

    @property
    def pid(self) -> int:
        """The operating system's number for the process."""
        return self._process.pid

    async def wait_until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """
        Return as soon as *ready* says so.

        Raises:
            ServerError: The process ended, or 30 s passed.
        """
        deadline = monotonic() + READY_SECONDS_MAX
        while not await ready():
            if self._process.poll() is not None:
                msg = f"ended with status {self._process.returncode}: {self._tail()}"
                raise ServerError(msg)
            if monotonic() > deadline:
                msg = f"not ready after {READY_SECONDS_MAX:.0f} s: {self._tail()}"
                raise ServerError(msg)
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Ask the process to end; end it for good if it has not after 20 s."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                await self.kill()

    async def kill(self) -> None:
        """End the process at once, as a power cut would end it."""
        if self._process.poll() is None:
            self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def _tail(self) -> str:
        return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


async def accepts_connections(port: int) -> bool:
    """Tell whether somebody listens on the loopback *port*."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
