"""Scripts on Durable Objects of real workerd, on its local disk."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from shutil import copy
from typing import Any, Final

from jepsen_like.adapters.supervisor import HOST, free_ports
from tests.differential.script import Step
from tests.system.workerd_process import workerd

INTERPRETER: Final = Path(__file__).with_name("interpreter.js")
ANSWER_SECONDS: Final = 20.0

_CONFIGURATION: Final = """
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "scripts", worker = .scripts),
    (name = "disk", disk = (path = "objects", writable = true)),
  ],
  sockets = [(name = "http", address = "%s", http = (), service = "scripts")],
);

const scripts :Workerd.Worker = (
  modules = [(name = "interpreter.js", esModule = embed "interpreter.js")],
  compatibilityDate = "2026-06-01",
  durableObjectNamespaces = [
    (className = "Interpreter", uniqueKey = "interpreter", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "INTERPRETER", durableObjectNamespace = "Interpreter")],
);
"""


class WorkerdSide:
    """Runs scripts there."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)

    async def at_once(self, name: str, scripts: Sequence[list[Step]]) -> list[Any]:
        """Begin the calls of an object in their order; return the trace of each."""
        return await asyncio.to_thread(self._post, [name, scripts])

    def _post(self, asked: list[Any]) -> list[Any]:
        self._connection.request("POST", "/", json.dumps(asked))
        with self._connection.getresponse() as answer:
            traces: list[Any] = json.load(answer)
        return traces

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@asynccontextmanager
async def workerd_side(directory: Path) -> AsyncIterator[WorkerdSide]:
    """Yield workerd, with its objects in *directory*."""
    port = free_ports(["http"])["http"]
    (directory / "objects").mkdir(parents=True)
    copy(INTERPRETER, directory)
    (directory / "config.capnp").write_text(_CONFIGURATION % f"{HOST}:{port}")
    async with workerd(directory, port):
        side = WorkerdSide(port)
        try:
            yield side
        finally:
            side.close()
