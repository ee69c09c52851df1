"""
What is remembered of a local cluster between one command and the next.

    cluster.json            the topology, the ports, and which links are cut
    lock                    held by the command that changes anything
    <name>/node.toml        the node's settings, written anew at each start
    <name>/process.json     which process it is, or was
    <name>/node.log         what the node wrote, over all its runs
    <name>/data/            the node's own

Every file is replaced in one step, so that a command that is interrupted leaves
the old one or the new one, never half of each.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster.errors import StateError, TopologyError
from cluster.topology import Link, Site, Topology
from kvnode.types import Millis

FORMAT = 1

DEFAULT_DIRECTORY = Path(".kvnode-cluster")


@dataclass(frozen=True, slots=True)
class ClusterState:
    """
    A cluster as it should be.

    Attributes:
        topology: Its sites.
        ports: Where each listens.
        durability: `fsync` or `relaxed`.
        cuts: The pairs that cannot talk.
        name: By which its nodes know each other; another cluster's are turned away.
        objects: The classes of objects that all nodes serve.
        http_ports: Where each serves HTTP; empty if none does.
    """

    topology: Topology
    ports: Mapping[str, int]
    durability: str = "fsync"
    cuts: frozenset[frozenset[str]] = frozenset()
    name: str = "local"
    objects: tuple[str, ...] = ()
    http_ports: Mapping[str, int] = field(default_factory=dict)

    def with_cuts(self, cuts: frozenset[frozenset[str]]) -> "ClusterState":
        """Return this state with exactly *cuts*."""
        return replace(self, cuts=cuts)

    def encode(self) -> str:
        """Return the state as JSON text, for `decode`."""
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "durability": self.durability,
                "objects": list(self.objects),
                "sites": [
                    {
                        "name": site.name,
                        "region": site.region,
                        "port": self.ports[site.name],
                        "http_port": self.http_ports.get(site.name),
                    }
                    for site in self.topology.sites
                ],
                "links": [
                    {"a": link.a, "b": link.b, "delay_ms": link.delay}
                    for link in self.topology.links
                ],
                "cuts": sorted(sorted(cut) for cut in self.cuts),
            },
            indent=2,
        )

    @classmethod
    def decode(cls, text: str) -> "ClusterState":
        """
        Read what `encode` wrote.

        Raises:
            ValueError: It is no such text; the message says why.
        """
        document = json.loads(text)
        try:
            if document["format"] != FORMAT:
                msg = f"format {document['format']}, and this program reads {FORMAT}"
                raise ValueError(msg)
            links = tuple(
                Link(str(link["a"]), str(link["b"]), Millis(int(link["delay_ms"])))
                for link in document["links"]
            )
            sites = tuple(
                Site(str(site["name"]), str(site["region"]))
                for site in document["sites"]
            )
            return cls(
                topology=Topology(sites, links),
                ports={site["name"]: int(site["port"]) for site in document["sites"]},
                durability=str(document["durability"]),
                cuts=frozenset(frozenset(cut) for cut in document["cuts"]),
                name=str(document.get("name", "local")),  # earlier ones had that
                objects=tuple(map(str, document.get("objects", ()))),
                http_ports={
                    site["name"]: int(site["http_port"])
                    for site in document["sites"]
                    if site.get("http_port")  # earlier ones had none
                },
            )
        except (KeyError, TypeError, TopologyError) as error:
            msg = f"not the description of a cluster: {error!r}"
            raise ValueError(msg) from error


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one local cluster, under *path*."""

    path: Path

    def node(self, name: str) -> Path:
        """Return the directory of one node."""
        return self.path / name

    def config_file(self, name: str) -> Path:
        """Return where the node's settings are."""
        return self.node(name) / "node.toml"

    def log_file(self, name: str) -> Path:
        """Return where the node's output goes."""
        return self.node(name) / "node.log"

    def process_file(self, name: str) -> Path:
        """Return where it is noted which process the node is."""
        return self.node(name) / "process.json"

    def data_directory(self, name: str) -> Path:
        """Return where the node keeps its store."""
        return self.node(name) / "data"

    @property
    def _state_file(self) -> Path:
        return self.path / "cluster.json"

    @property
    def exists(self) -> bool:
        """Whether a cluster has been made here."""
        return self._state_file.is_file()

    def load(self) -> ClusterState:
        """
        Return the cluster that is described here.

        Raises:
            StateError: There is none, or its description cannot be read.
        """
        try:
            return ClusterState.decode(self._state_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = f"there is no cluster in {self.path}: run `kvnode cluster up` first"
            raise StateError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"cannot read {self._state_file}: {error}"
            raise StateError(msg) from error

    def save(self, state: ClusterState) -> None:
        """Remember *state* in place of what was there."""
        self.path.mkdir(parents=True, exist_ok=True)
        replace_file(self._state_file, state.encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Keep other commands from changing this cluster meanwhile.

        Raises:
            StateError: Another command is at it, or the directory cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("w")
        except OSError as error:
            msg = f"cannot use {self.path} as state directory: {error}"
            raise StateError(msg) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = f"another command is changing the cluster in {self.path};"
                msg += " try again when it is done"
                raise StateError(msg) from None
            yield

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Return the last *lines* of the node's log, or nothing if it has none."""
        tail_bytes = 400 * lines  # longer lines than that are cut at their front
        try:
            with self.log_file(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - tail_bytes))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def remove(self) -> None:
        """
        Delete everything that a cluster has put here, and nothing else.

        The directory itself goes too if that leaves it empty.
        """
        names = self.load().topology.names if self.exists else ()
        for name in names:
            shutil.rmtree(self.node(name), ignore_errors=True)
        self._state_file.unlink(missing_ok=True)
        (self.path / "lock").unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def replace_file(path: Path, text: str) -> None:
    """Write *text* to *path* in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
