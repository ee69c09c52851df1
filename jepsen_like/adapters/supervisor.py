"""
Programs that an adapter starts, harms and ends: those alone, each by its own handle.

An adapter describes its programs; kill, start, pause and resume of any store on
this machine are then the same, and are here.
"""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic
from typing import ClassVar

from cluster.fault_proxy import FaultProxy
from jepsen_like.adapters.links import change_links
from jepsen_like.nemesis.faults import (
    Cut,
    Disturb,
    Fault,
    Heal,
    Kill,
    Pause,
    Resume,
    Start,
)
from jepsen_like.system import NotPossibleError

HOST = "127.0.0.1"
READY_SECONDS = 30.0
POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 2_000


class ProgramError(Exception):
    """A program is not installed, or did not come up; says which and why."""


class Program:
    """
    A program that listens on a port of this machine.

    Args:
        command: The program's name, to be found on the path, and its arguments.
        port: Of 127.0.0.1, at which it listens once it is up.
        place: A directory of its own, in which it runs; made if missing.
    """

    def __init__(self, command: Sequence[str], port: int, place: Path) -> None:
        self.command = tuple(command)
        self.port = port
        self._place = place
        self._log = place / "output.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs, or is paused."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """
        Start it, unless it is alive; see `ready`.

        Raises:
            ProgramError: It is not installed.
        """
        if self.alive:
            return
        command = (found_program(self.command[0]), *self.command[1:])
        self._place.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- what an adapter says
                command,
                cwd=self._place,  # stores leave files, and find those of before
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches us alone
            )

    async def ready(self) -> None:
        """
        Wait until it listens.

        Raises:
            ProgramError: It ended, or did not within 30 s; has the log's end.
        """
        deadline = monotonic() + READY_SECONDS
        while not await accepts_connections(self.port):
            if not self.alive or monotonic() > deadline:
                tail = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
                msg = f"{self.command[0]} did not come up at {self.port}:\n{tail}"
                raise ProgramError(msg)
            await asyncio.sleep(POLL_SECONDS)

    def pause(self) -> None:
        """Freeze it where it is."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once; return when it is gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class Supervisor:
    """
    A system of programs on this machine, one a node.

    An adapter adds its `title`, `set_up` and `connect`.  The faults of processes
    are here, and those of links whose nodes dial each other by `way`.
    """

    title: ClassVar[str] = ""
    node_count: ClassVar[int] = 0
    """How many nodes it must have; 0 if it may have any number."""

    def __init__(self, nodes: Sequence[str]) -> None:
        """
        Describe a system with nodes of these names; nothing is started.

        Raises:
            ValueError: It cannot have so many.
        """
        if self.node_count and len(nodes) != self.node_count:
            msg = (
                f"{self.title} has {self.node_count} nodes here, not {len(nodes)}:"
                f" give --nodes {self.node_count}"
            )
            raise ValueError(msg)
        self._nodes = tuple(nodes)
        self._programs: dict[str, Program] = {}
        self._proxy = FaultProxy(Random(0))  # noqa: S311 -- faults, no secrets
        self._ways = 0
        self._directory: Path | None = None

    @property
    def name(self) -> str:
        """What is tested, for people."""
        return f"{self.title}, {len(self.nodes)} nodes"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return self._nodes

    @property
    def directory(self) -> Path:
        """A directory for all that the programs write; made when first asked for."""
        if self._directory is None:
            self._directory = Path(mkdtemp(prefix="store-test-"))
        return self._directory

    def port(self, node: str) -> int:
        """Return where the program of *node* listens."""
        return self._programs[node].port

    def alive(self, node: str) -> bool:
        """Tell whether the program of *node* runs, or is paused."""
        return self._programs[node].alive

    def add(self, node: str, command: Sequence[str], port: int) -> None:
        """
        Have *node* be *command*, which listens at *port* of 127.0.0.1.

        It runs in a directory of its own, which is empty at first.
        """
        self._programs[node] = Program(command, port, self.directory / node)

    async def way(self, dialer: str, target: str, port: int) -> int:
        """Return the port by which *dialer* reaches *target*, which is at *port*."""
        self._ways += 1
        return await self._proxy.listen(dialer, target, HOST, port)

    async def start(self, nodes: Sequence[str]) -> None:
        """Start those of *nodes* that are down, side by side, until all listen."""
        for node in nodes:
            self._programs[node].spawn()
        for node in nodes:
            await self._programs[node].ready()

    async def inject(self, fault: Fault) -> None:
        """
        Do a fault of processes, or of links if there are any.

        Raises:
            NotPossibleError: It is no such fault.
        """
        match fault:
            case Kill(nodes):
                for node in nodes:
                    await self._programs[node].kill()
            case Start(nodes):
                await self.start(nodes)
            case Pause(nodes):
                for node in nodes:
                    self._programs[node].pause()
            case Resume(nodes):
                for node in nodes:
                    self._programs[node].resume()
            case Cut() | Disturb() | Heal() if self._ways:
                change_links(self._proxy, fault)
            case _:
                msg = f"the adapter of {self.title} knows no {type(fault).__name__}"
                raise NotPossibleError(msg)

    async def recover(self) -> None:
        """Open all links, let all go on that are paused, start all that are down."""
        self._proxy.heal()
        await self.inject(Resume(self.nodes))
        await self.inject(Start(self.nodes))

    async def tear_down(self) -> None:
        """End all, and remove the directory."""
        for program in self._programs.values():
            await program.kill()
        self._programs.clear()
        await self._proxy.close()
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
            self._directory = None


async def until(
    succeeds: Callable[[], Awaitable[object]], *errors: type[Exception]
) -> None:
    """
    Call *succeeds* until it raises none of *errors* any more.

    Raises:
        ProgramError: It still does after 30 s.
    """
    deadline = monotonic() + READY_SECONDS
    while True:
        try:
            await succeeds()
        except errors as error:
            if monotonic() > deadline:
                msg = f"not ready after {READY_SECONDS:.0f} s: {error}"
                raise ProgramError(msg) from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


def found_program(name: str) -> str:
    """
    Return where the program called *name* is.

    Raises:
        ProgramError: It is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        msg = f"{name} is not installed, or not on the path"
        raise ProgramError(msg)
    return path


def free_ports(names: Sequence[str]) -> Mapping[str, int]:
    """Return for each name a port of 127.0.0.1 that nobody listens on just now."""
    with ExitStack() as held:  # all at once, so that none is given out twice
        probes = [held.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind((HOST, 0))
        ports = [probe.getsockname()[1] for probe in probes]
    return dict(zip(names, ports, strict=True))


async def accepts_connections(port: int) -> bool:
    """Tell whether somebody listens at *port* of 127.0.0.1."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
