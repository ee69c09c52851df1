"""A real etcd of one member, for one test; skipped where there is none."""

import asyncio
import base64
import json
import shutil
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jepsen_like.adapters.supervisor import HOST, Program, free_ports

SERVING_SECONDS = 30.0


class EtcdServer:
    """
    One member, which is all of its cluster.

    Attributes:
        address: host:port of its clients.
        program: Its process.
    """

    def __init__(
        self, directory: Path, *, scheme: str = "http", options: Sequence[str] = ()
    ) -> None:
        ports = free_ports(["clients", "peers"])
        self.address = f"{HOST}:{ports['clients']}"
        self._scheme = scheme
        here, there = f"{scheme}://{self.address}", f"http://{HOST}:{ports['peers']}"
        command = ["etcd", "--name", "only", "--data-dir", "data"]
        command += ["--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", there, "--initial-cluster", f"only={there}"]
        command += ["--initial-advertise-peer-urls", there, *options]
        self.program = Program(command, ports["clients"], directory)

    @property
    def endpoint(self) -> str:
        """As in the settings."""
        return f"{self._scheme}://{self.address}"

    async def start(self) -> None:
        """
        Start it, with what it held; return when it serves, or over TLS listens.

        One that is killed before it has served the first time never does: what it is to
        be a member of was not on its disk yet.
        """
        self.program.spawn()
        await self.program.ready()
        if self._scheme == "http":
            async with asyncio.timeout(SERVING_SECONDS):
                while not await asyncio.to_thread(self._serves):  # noqa: ASYNC110 -- a process
                    await asyncio.sleep(0.05)

    def _serves(self) -> bool:
        """Tell whether it has a leader, which is itself."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health", timeout=10) as reply:  # noqa: S310 -- our own
                return bool(json.load(reply)["health"] == "true")
        except OSError:
            return False

    async def kill(self) -> None:
        """End it with SIGKILL; return when it is gone."""
        await self.program.kill()

    async def ask(self, path: str, **arguments: object) -> None:
        """Do what etcd's gateway of JSON offers; for what is set up by hand."""
        await asyncio.to_thread(self._post, path, arguments)

    def _post(self, path: str, arguments: dict[str, object]) -> None:
        request = urllib.request.Request(
            f"http://{self.address}/v3/{path}", json.dumps(arguments).encode()
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 -- our own
            pass

    async def ask_who(self, user: str, password: str, prefix: str) -> None:
        """Let *user* alone read and write below *prefix*, and ask who it is."""
        key = base64.b64encode(prefix.encode()).decode()
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        below = {
            "permType": "READWRITE",
            "key": key,
            "range_end": base64.b64encode(end.encode()).decode(),
        }
        await self.ask("auth/user/add", name="root", password="root")  # noqa: S106 -- a test's
        await self.ask("auth/role/add", name="root")
        await self.ask("auth/user/grant", user="root", role="root")
        await self.ask("auth/user/add", name=user, password=password)
        await self.ask("auth/role/add", name="objects")
        await self.ask("auth/role/grant", name="objects", perm=below)
        await self.ask("auth/user/grant", user=user, role="objects")
        await self.ask("auth/enable")


@asynccontextmanager
async def etcd_server(
    directory: Path, *, scheme: str = "http", options: Sequence[str] = ()
) -> AsyncIterator[EtcdServer]:
    """Yield one that runs, in *directory*; it ends with the test."""
    skip_without_etcd()
    server = EtcdServer(directory, scheme=scheme, options=options)
    try:
        await server.start()
        yield server
    finally:
        server.program.resume()
        await server.kill()


def skip_without_etcd() -> None:
    """Skip the test where no etcd is installed."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed: apt-get install etcd-server")
