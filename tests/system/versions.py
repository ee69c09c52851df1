"""
Two versions of kvnode side by side: the one at hand, and the one before it.

Both are built as wheels and installed into directories of their own, so that what is
tested is what users install.  The previous version comes out of the project's own
history; a source archive or a shallow clone has none, and tests that need it are
skipped there.

What nodes of two versions must not do is misunderstand each other.  `misunderstood`
reads that out of a node's log: connections end for many good reasons, and all of them
are known.
"""

import asyncio
import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from cluster.convergence import explain, wait_until_equal
from cluster.local.installation import TOLD, Installation
from kvnode.client import Client
from tests.system.nodes import CONVERGED_SECONDS, ServedNode, everything

PREVIOUS_COMMIT = "17756e2d0f1c3ae0af4581935866d79244fc56c5"
"""
The version before this one, which must live in one cluster with it.

Moves on when a version is released: to the last one with another protocol or another
stored format (docs/decisions/0017).
"""

POLL_SECONDS = 0.05
PROGRAM_SECONDS = 30.0
"""Python and gRPC start in a second; a busy machine takes longer."""

ROOT = Path(__file__).parents[2]

_GOOD_REASONS = (
    "the stream ended",
    "this node is stopping",
    "there is a connection already",
    "replaced by a newer connection",
    "the road is cut",
    "messages were lost while the road was cut",
)
"""Why connections between nodes that understand each other end."""

_DISCONNECTED = re.compile(r" disconnected from \S+: (?P<reason>.*)")
_UNEXPECTED = re.compile(
    r"Traceback| (ERROR|CRITICAL) | turned away |no common protocol version"
)


def install_once(
    directory: Path, install: Callable[[Path], Installation]
) -> Installation:
    """
    Return what *install* makes of *directory*, by the first process that wants it.

    Others that run tests beside it wait for that: it takes longer than most tests.
    """
    with directory.with_suffix(".lock").open("a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        lock.seek(0)
        if found := lock.read():
            return Installation(Path(found))
        installation = install(directory)
        lock.write(str(installation.directory))
        return installation


def install_this(directory: Path) -> Installation:
    """Build the version at hand and install it in *directory*."""
    return _installed(str(ROOT), directory)


def install_previous(directory: Path) -> Installation:
    """
    Build the version before and install it in *directory*.

    Skips the test where the project's history is not at hand.
    """
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / "kvnode.tar.gz"
    if reason := archived(ROOT, PREVIOUS_COMMIT, archive):
        pytest.skip(f"the previous version is in the project's history: {reason}")
    return _installed(str(archive), directory)


def archived(root: Path, commit: str, file: Path) -> str:
    """
    Write the source that *commit* has in the clone *root* to *file*.

    Returns:
        Why it cannot be done; empty if it was.
    """
    if shutil.which("git") is None:
        return "git is not installed"
    if not (root / ".git").exists():
        return f"{root} is no clone of it"
    git = ["git", "-C", str(root)]
    there = subprocess.run(
        [*git, "cat-file", "-e", f"{commit}^{{commit}}"],
        check=False,
        capture_output=True,
    )
    if there.returncode:
        return f"{root} has no {commit[:12]}: git fetch --unshallow"
    output = ["--prefix=kvnode/", "--format=tar.gz", f"--output={file}"]
    subprocess.run([*git, "archive", *output, commit], check=True)
    return ""


def _installed(source: str, directory: Path) -> Installation:
    """Make a wheel of *source*, and install it below *directory*."""
    wheels, target = directory / "wheels", directory / "installed"
    # With the build backend of this environment: no look at any package index.
    _pip("wheel", "--no-build-isolation", f"--wheel-dir={wheels}", source)
    (wheel,) = wheels.glob("kvnode-*.whl")
    _pip("install", f"--target={target}", str(wheel))
    installation = Installation(target)
    installation.check()
    return installation


def _pip(command: str, *arguments: str) -> None:
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, *options, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"pip {command} failed:\n{done.stderr}"


def altered(
    installation: Installation, directory: Path, **changes: str
) -> Installation:
    """
    Return a copy of *installation* in *directory* with lines added to its modules.

    Args:
        installation: What is copied.
        directory: Where to; must not exist.
        changes: By a module's path below `kvnode`, with `__` between its parts: what
            is added to its end.
    """
    shutil.copytree(installation.directory, directory)
    for module, line in changes.items():
        file = (directory / "kvnode").joinpath(*module.split("__")).with_suffix(".py")
        with file.open("a", encoding="utf-8") as text:
            text.write(f"\n{line}\n")
    return Installation(directory)


async def run_as(node: ServedNode, installation: Installation) -> None:
    """Have *node* run *installation* on what it has stored, stopping it first."""
    if node.alive:
        assert await node.stop() == 0
    node.installation = installation
    await node.start()
    assert runs(node, installation)


def runs(node: ServedNode, installation: Installation) -> bool:
    """Tell whether *node* runs *installation*, by the word of its last process."""
    told = [line for line in node.log.splitlines() if line.startswith(TOLD)]
    return told[-1:] == [f"{TOLD}{installation.directory / 'kvnode'}"]


def misunderstood(log: str) -> list[str]:
    """Return the lines of a node's *log* that no node of a mixed cluster may write."""
    return [line for line in log.splitlines() if _is_misunderstanding(line)]


def _is_misunderstanding(line: str) -> bool:
    ended = _DISCONNECTED.search(line)
    if ended is not None:
        return not ended["reason"].startswith(_GOOD_REASONS)
    return _UNEXPECTED.search(line) is not None


def assert_understood(nodes: Iterable[ServedNode]) -> None:
    """Check that no node has met what it takes for a mistake in the protocol."""
    wrong = {
        node.name: lines[:5] for node in nodes if (lines := misunderstood(node.log))
    }
    assert not wrong, f"nodes of two versions misunderstand each other: {wrong}"


async def agreed(*nodes: ServedNode) -> None:
    """
    Wait until *nodes* hold the same, whatever versions they are of.

    One version compares digests.  Two may compute them in two ways, and may keep
    tombstones for another while; then the nodes must cover the same writes, and show
    the same keys, values and versions.
    """
    async with AsyncExitStack() as stack:
        clients = {
            node.name: await stack.enter_async_context(node.client()) for node in nodes
        }
        if len({node.installation for node in nodes}) == 1:
            asks = {name: client.digest for name, client in clients.items()}
            await wait_until_equal(asks, CONVERGED_SECONDS)
        else:
            await _cover_the_same(clients)
    first, *others = [await everything(node) for node in nodes]
    for node, held in zip(nodes[1:], others, strict=True):
        differing = {
            key for key in first.keys() | held.keys() if first.get(key) != held.get(key)
        }
        assert not differing, f"{nodes[0].name} and {node.name}: {differing}"


async def _cover_the_same(clients: dict[str, Client]) -> None:
    """Wait until all cover the same writes."""
    until = monotonic() + CONVERGED_SECONDS
    while lacking := await _lacking(clients):
        assert monotonic() < until, "; ".join(lacking)
        await asyncio.sleep(POLL_SECONDS)


async def _lacking(clients: dict[str, Client]) -> Sequence[str]:
    answers = {name: await client.digest() for name, client in clients.items()}
    return [line for line in explain(answers) if " lacks " in line]


_FORMATS = """
import json
from kvnode.core.clocks import clock_codec
from kvnode.core.crdt import counter, set
from kvnode.core.versions import record
from kvnode.storage import meta_codec
try:
    from kvnode.storage import record_codec
except ImportError:
    record_codec = record
from kvnode.storage.disk import layout
from kvnode.transport import wire
print(json.dumps({
    "oldest protocol": wire.PROTOCOL_MIN,
    "protocol": wire.PROTOCOL,
    "store": layout.STORE_FORMAT,
    "state": meta_codec.STATE_FORMAT,
    "record on disk": record_codec.FORMAT,
    "record on the wire": record.FORMAT,
    "conflicts": meta_codec.CONFLICTS_FORMAT,
    "counter": counter.FORMAT,
    "set": set.FORMAT,
}))
"""


def numbers(installation: Installation) -> dict[str, int]:
    """Return the versions that *installation* puts on what it says and stores."""
    command = installation.python("-c", _FORMATS)
    found: dict[str, int] = json.loads(subprocess.check_output(command))
    return found


async def start_program(
    installation: Installation, *arguments: str
) -> asyncio.subprocess.Process:
    """Start a client program that has the client library of *installation*."""
    # Appended, so that the kvnode of this directory is not the one that is found.
    code = f"import sys; sys.path.append({str(ROOT)!r});"
    code += "from tests.system.client_program import main; main()"
    process = await asyncio.create_subprocess_exec(
        *installation.python("-c", code, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PROGRAM_SECONDS):
        told = (await process.stdout.readline()).decode().strip()
    assert told == str(installation.directory / "kvnode")
    return process
