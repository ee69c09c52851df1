"""
A cluster of real processes on this machine, kept from one command to the next.

Each node is `kvnode serve` with a settings file of its own; all of them listen
on 127.0.0.1 with fault injection on, so that links can be slowed and cut.  What
should be is in the state directory; what is, is asked of the processes.

Only processes that were started from this directory, and can be shown to be
those, are ever signalled.
"""

import asyncio
import json
import secrets
import shutil
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil

from cluster import links
from cluster.errors import NodeStartError, StateError
from cluster.local import node_process
from cluster.local.installation import Installation
from cluster.local.node_process import ProcessState
from cluster.local.readiness import is_serving, wait_serving
from cluster.local.state_directory import ClusterState, StateDirectory, replace_file
from cluster.topology import Topology, links_across

HOST = "127.0.0.1"

DRAWN_PORTS = (10_000, 32_000)
"""Below the range from which Linux takes ports for outgoing connections."""
START_SECONDS = 60.0
"""A node starts in about a second; a big store on a busy machine takes longer."""
STOP_SECONDS = 10.0


class ProcessCluster:
    """
    The cluster described in one state directory; see the protocol `Cluster`.

    Several of these may look at one directory; `state.locked` keeps commands
    that change it apart.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = StateDirectory(directory.resolve())
        self._state = self.directory.load()
        self._overrides: dict[str, Mapping[str, object]] = {}
        self._hosts: dict[str, str] = {}
        self._launchers: dict[str, Sequence[str]] = {}
        self._installations: dict[str, Installation] = {}

    @classmethod
    def create(
        cls,
        directory: Path,
        topology: Topology,
        *,
        first_port: int | None = None,
        durability: str = "fsync",
        objects: Sequence[str] = (),
    ) -> "ProcessCluster":
        """
        Describe a new cluster in *directory*, or renew the distances of the old.

        Args:
            directory: Where everything is kept; made if missing.
            topology: The sites; those of an existing cluster cannot change.
            first_port: Ports count up from here, leaving out those in use; by
                default the operating system chooses.
            durability: `fsync` or `relaxed`, taken up when a node starts.
            objects: Classes of objects, taken up when a node starts.

        Raises:
            StateError: The directory holds other sites, or cannot be used.
        """
        home = StateDirectory(directory.resolve())
        if not home.exists:
            ports = free_ports(topology.names, first_port)
            # A node left over from another cluster may dial one of these ports.
            name = f"local-{secrets.token_hex(4)}"
            home.save(
                ClusterState(
                    topology, ports, durability, name=name, objects=tuple(objects)
                )
            )
            return cls(directory)
        state = home.load()
        if state.topology.sites != topology.sites:
            msg = f"{directory} holds a cluster of {', '.join(state.topology.names)};"
            msg += " wipe it first, or choose another directory"
            raise StateError(msg)
        home.save(
            replace(
                state,
                topology=topology,
                durability=durability,
                objects=tuple(objects),
            )
        )
        return cls(directory)

    @property
    def topology(self) -> Topology:
        """The sites and the distances between them."""
        return self._state.topology

    @property
    def name(self) -> str:
        """The cluster's name: no two that were ever made have the same."""
        return self._state.name

    @property
    def cuts(self) -> frozenset[frozenset[str]]:
        """The pairs of sites that are cut off from each other."""
        return self._state.cuts

    def endpoint(self, name: str) -> str:
        """Return the `host:port` of the node."""
        site = self.topology.site(name)
        return f"{self._hosts.get(name, HOST)}:{self._state.ports[site.name]}"

    def http_endpoint(self, name: str) -> str:
        """Return the `host:port` at which the node serves HTTP; may be empty."""
        site = self.topology.site(name)
        port = self._state.http_ports.get(site.name)
        return "" if port is None else f"{self._hosts.get(name, HOST)}:{port}"

    def serve_http(self, first_port: int) -> None:
        """
        Let all nodes serve HTTP, once they start; where they do so already, it stays.

        Args:
            first_port: Ports count up from here, leaving out those in use.

        Raises:
            StateError: There are no more ports above it.
        """
        if not self._state.http_ports:
            ports = free_ports(self.topology.names, first_port)
            self._state = replace(self._state, http_ports=ports)
            self.directory.save(self._state)

    def state(self, name: str) -> ProcessState:
        """Return what the node's process is doing."""
        return node_process.observe(self.process(name))

    def process(self, name: str) -> psutil.Process | None:
        """Return the node's process if it lives."""
        site = self.topology.site(name)
        return node_process.find(
            self.directory.process_file(site.name),
            self.directory.config_file(site.name),
        )

    def override(self, name: str, settings: Mapping[str, object]) -> None:
        """
        Give a node *settings* of its own, from its next start on.

        They go before what follows from the topology, and are known to this
        object alone: a later one starts the node without them.
        """
        self._overrides[self.topology.site(name).name] = settings

    def place(self, name: str, *, host: str, launcher: Sequence[str]) -> None:
        """
        Have a node be at *host*, not at 127.0.0.1, and be started by *launcher*.

        Known to this object alone, as `override` is.

        Args:
            name: Which node.
            host: An address of this machine at which it can listen.
            launcher: What goes before the node's command, and becomes it.
        """
        self._hosts[self.topology.site(name).name] = host
        self._launchers[name] = launcher

    def install(self, name: str, installation: Installation | None) -> None:
        """
        Have a node be of another version, or of this one, from its next start on.

        Known to this object alone, as `override` is.

        Args:
            name: Which node.
            installation: What it runs; None for what runs this.
        """
        site = self.topology.site(name)
        if installation is None:
            self._installations.pop(site.name, None)
        else:
            self._installations[site.name] = installation

    def installation(self, name: str) -> Installation | None:
        """Return what other version the node is of; None for that of this program."""
        return self._installations.get(self.topology.site(name).name)

    def data_directory(self, name: str) -> Path:
        """Return where the node keeps its store."""
        usual = self.directory.data_directory(self.topology.site(name).name)
        return Path(str(self._overrides.get(name, {}).get("data_directory", usual)))

    async def start(self, *names: str, patience_seconds: float = START_SECONDS) -> None:
        """
        Start those of the named nodes, or of all, that are down; wait for them.

        Running nodes take up the links' delays as they are now; paused ones stay
        paused.  An empty node that joins others serves when it has all they hold
        (D10), which takes minutes for millions of entries.

        Raises:
            NodeStartError: A node ended, or did not serve within *patience_seconds*.
        """
        chosen = self._chosen(names)
        for name in chosen:
            if self.process(name) is None:
                self._spawn(name)
        await asyncio.gather(
            *(
                self._wait_ready(name, patience_seconds)
                for name in chosen
                if self.state(name) is not ProcessState.PAUSED
            )
        )
        await self._apply_links()

    async def stop(self, *names: str) -> None:
        """Ask the named nodes, or all, to end; end those that do not in 10 s."""
        await self._end(names, STOP_SECONDS)

    async def kill(self, *names: str) -> None:
        """End the named nodes, or all, with SIGKILL."""
        await self._end(names, 0)

    async def pause(self, *names: str) -> None:
        """Freeze the named nodes, or all, with SIGSTOP; return when they are."""
        await asyncio.to_thread(node_process.freeze, self._processes(names))

    async def resume(self, *names: str) -> None:
        """Let the named nodes, or all, go on, with SIGCONT."""
        for process in self._processes(names):
            process.resume()
        await self._apply_links()

    async def partition(self, groups: Sequence[Collection[str]]) -> None:
        """Cut every link between sites of different groups; open all others."""
        await self._set_cuts(links_across(self.topology.divide(groups)))

    async def heal(self) -> None:
        """Open every link again, each with the topology's delay."""
        await self._set_cuts(frozenset())

    async def erase(self, *names: str) -> None:
        """
        End the named nodes, or all, at once and delete their data.

        With all of them, everything else in the state directory goes too.
        """
        await self.kill(*names)
        for name in self._chosen(names):
            shutil.rmtree(self.data_directory(name), ignore_errors=True)
        if not names:
            self.directory.remove()

    async def _set_cuts(self, cuts: frozenset[frozenset[str]]) -> None:
        self._state = self._state.with_cuts(cuts)
        self.directory.save(self._state)
        await self._apply_links()

    async def _apply_links(self) -> None:
        """Tell every node that can hear it; the others hear it when they can."""
        reachable = {
            name: self.endpoint(name)
            for name in self.topology.names
            if self.state(name) is ProcessState.RUNNING
        }
        serving = await asyncio.gather(*(is_serving(at) for at in reachable.values()))
        await links.apply(
            self.topology,
            self.cuts,
            {
                name: endpoint
                for (name, endpoint), is_up in zip(
                    reachable.items(), serving, strict=True
                )
                if is_up
            },
        )

    def _spawn(self, name: str) -> None:
        config_file = self.directory.config_file(name)
        config_file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(config_file, self._settings(name))
        installation = self.installation(name)
        process = node_process.spawn(
            [
                *self._launchers.get(name, ()),
                *(
                    node_process.serve_command(config_file)
                    if installation is None
                    else installation.serve_command(config_file)
                ),
            ],
            self.directory.log_file(name),
        )
        node_process.remember(process, self.directory.process_file(name))

    async def _wait_ready(self, name: str, patience_seconds: float) -> None:
        endpoint = self.endpoint(name)
        if await wait_serving(
            endpoint, lambda: self.process(name) is not None, patience_seconds
        ):
            return
        died = self.process(name) is None
        msg = (
            f"{name} {'ended while starting' if died else 'does not serve yet'}"
            f" ({endpoint}); the end of {self.directory.log_file(name)}:\n"
            f"{self.directory.log_tail(name) or '(empty)'}"
        )
        raise NodeStartError(msg)

    def _settings(self, name: str) -> str:
        topology = self.topology
        return as_toml(
            {
                "name": name,
                "region": topology.site(name).region,
                "cluster": self.name,
                "data_directory": str(self.data_directory(name)),
                "listen": self.endpoint(name),
                "peers": [
                    f"{peer}={self.endpoint(peer)}" for peer in topology.others(name)
                ],
                "durability": self._state.durability,
                "fault_injection": True,
                "link_delays_ms": {
                    peer: int(topology.delay(name, peer))
                    for peer in topology.others(name)
                },
                **self._settings_of_http(name),
                **self._settings_of_objects(),
                **self._overrides.get(name, {}),
            }
        )

    def _settings_of_http(self, name: str) -> Mapping[str, object]:
        """Return nothing where there is none: earlier versions know no such setting."""
        endpoint = self.http_endpoint(name)
        return {"http": endpoint} if endpoint else {}

    def _settings_of_objects(self) -> Mapping[str, object]:
        if not self._state.objects:
            return {}
        names = self.topology.names
        voters = next(count for count in (5, 3, 1) if count <= len(names))
        return {
            "objects": list(self._state.objects),
            "objects_voters": list(names[:voters]),
        }

    async def _end(self, names: Sequence[str], grace_seconds: float) -> None:
        processes = self._processes(names)
        await asyncio.to_thread(node_process.end, processes, grace_seconds)

    def _processes(self, names: Sequence[str]) -> list[psutil.Process]:
        found = [self.process(name) for name in self._chosen(names)]
        return [process for process in found if process is not None]

    def _chosen(self, names: Sequence[str]) -> list[str]:
        return [self.topology.site(name).name for name in names or self.topology.names]


def _draw_port() -> int:
    low, high = DRAWN_PORTS
    return low + secrets.randbelow(high - low)


def free_ports(names: Iterable[str], first_port: int | None) -> dict[str, int]:
    """
    Return a port of this machine for each name that nothing listens on now.

    Args:
        names: Who gets one.
        first_port: Count up from here; None draws from below those that the system
            gives to outgoing connections, which may take any of them at any time.

    Raises:
        StateError: There are no more ports above *first_port*.
    """
    ports: dict[str, int] = {}
    candidate = first_port
    with ExitStack() as held:  # all at once, so that none is given out twice
        for name in names:
            while name not in ports:
                probe = held.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, candidate or _draw_port()))
                    ports[name] = probe.getsockname()[1]
                except OverflowError:
                    msg = f"no free ports from {first_port} up; choose a lower one"
                    raise StateError(msg) from None
                except OSError:
                    probe.close()
                if candidate is not None:
                    candidate += 1
    return ports


def as_toml(values: Mapping[str, object]) -> str:
    """
    Return *values* as TOML: texts, whole numbers, truths, lists, and tables last.

    JSON's notation of all of these is TOML's too, except for the tables.
    """

    def encode(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)  # TOML has no surrogate pairs

    lines = [
        f"{name} = {encode(value)}"
        for name, value in values.items()
        if not isinstance(value, Mapping)
    ]
    for name, table in values.items():
        if isinstance(table, Mapping):
            lines.append(f"[{name}]")
            lines += [f"{encode(key)} = {encode(table[key])}" for key in table]
    return "\n".join(lines) + "\n"
