"""
A network on this machine whose cables can be cut for real.

    node's namespace  eth0 ──┐
    node's namespace  eth0 ──┤ switch's namespace: a bridge
    this machine  kv<tag>  ──┘

Each node has a network namespace with an address of its own; a bridge joins them,
and this machine is plugged into it to be able to ask the nodes.  A cut is a
packet filter in the namespace of the receiver: packets of that sender vanish,
TCP's own acknowledgements too, and nobody is told.  Unlike a proxy it cuts one
direction as a broken fibre would.

Everything is in namespaces that were made here, named after this process, and
goes with them; one link of the same name is in this machine's.  What a process
that was killed has left behind is removed by `remove_leftovers`.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from secrets import token_hex

import psutil

PREFIX = "kvnode"
NODES_MAX = 250
"""Each has an address of one network of 254, and this machine one."""

SUBNET = "10.213"
"""Of the addresses for private use; the third number is one that is free."""

Link = tuple[str, str]
"""(sender, receiver)."""


class NamespaceError(Exception):
    """A namespace, link or filter could not be made; says which command failed."""


def why_not() -> str:
    """Return why namespaces cannot be made here; empty if they can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [name for name in ("ip", "iptables") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = f"{PREFIX}-{os.getpid()}-{token_hex(3)}-probe"
    try:
        _run("ip", "netns", "add", probe)
        try:
            _run("ip", "netns", "exec", probe, "iptables", "-L")
        finally:
            _run("ip", "netns", "delete", probe)
    except NamespaceError as error:
        return str(error)
    return ""


def remove_leftovers() -> list[str]:
    """
    Remove the namespaces of processes that are no more; return their names.

    Only those that are named as `NamespaceNetwork` names them are touched.
    """
    removed = []
    for name in _run("ip", "netns", "list").split():
        parts = re.fullmatch(rf"{PREFIX}-(\d+)-[0-9a-f]{{6}}-\w+", name)
        if parts and not psutil.pid_exists(int(parts[1])):
            _run("ip", "netns", "delete", name)
            removed.append(name)
    return removed


class NamespaceNetwork:
    """A network for nodes of these names; `close` must be called, whatever happens."""

    def __init__(self, nodes: Sequence[str]) -> None:
        """
        Describe a network; `open` makes it.

        Raises:
            ValueError: There are too many nodes.
        """
        if len(nodes) > NODES_MAX:
            msg = f"a network has at most {NODES_MAX} nodes, not {len(nodes)}"
            raise ValueError(msg)
        self._numbers = {node: number for number, node in enumerate(nodes, 1)}
        token = token_hex(3)
        self._stem = f"{PREFIX}-{os.getpid()}-{token}"
        self._plug = f"kv{token}"
        self._plugged = False
        self._made: list[str] = []
        self._cuts: set[Link] = set()
        self._subnet = ""

    def open(self) -> None:
        """
        Make the namespaces and join them.

        Raises:
            NamespaceError: Something could not be made; nothing is left of it.
        """
        try:
            self._subnet = _free_subnet()
            switch = self._make("switch")
            _run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
            _run("ip", "-n", switch, "link", "set", "br0", "up")
            self._plug_in(self._plug, "", 254)
            for node, number in self._numbers.items():
                space = self._make(str(number))
                _run("ip", "-n", space, "link", "set", "lo", "up")
                self._plug_in("eth0", space, number)
                assert self.namespace(node) == space, "named by its number"
        except BaseException:
            self.close()
            raise

    def _make(self, what: str) -> str:
        name = f"{self._stem}-{what}"
        _run("ip", "netns", "add", name)
        self._made.append(name)
        return name

    def _plug_in(self, device: str, space: str, number: int) -> None:
        """Join *device*, in a namespace or in this machine's (""), to the bridge."""
        switch, port = f"{self._stem}-switch", f"p{number}"
        there = ("netns", space) if space else ()
        within = ("-n", space) if space else ()
        cable = ("type", "veth", "peer", "name", device, *there)
        _run("ip", "link", "add", port, "netns", switch, *cable)
        self._plugged = self._plugged or not space
        _run("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
        address = f"{self._subnet}.{number}/24"
        _run("ip", *within, "address", "add", address, "dev", device)
        _run("ip", *within, "link", "set", device, "up")

    def namespace(self, node: str) -> str:
        """Return the name of a node's namespace."""
        return f"{self._stem}-{self._numbers[node]}"

    def address(self, node: str) -> str:
        """Return the node's address, from `open` on."""
        return f"{self._subnet}.{self._numbers[node]}"

    def launcher(self, node: str) -> tuple[str, ...]:
        """Return what to put before a command to run it in the node's namespace."""
        ip = shutil.which("ip")
        assert ip is not None, "open has used it"
        return (ip, "netns", "exec", self.namespace(node))

    def cut(self, link: Link) -> None:
        """Let nothing pass from one node to another any more."""
        if link not in self._cuts:
            sender, receiver = link
            source = ("--source", self.address(sender))
            self._filter(receiver, "--append", "INPUT", *source, "--jump", "DROP")
            self._cuts.add(link)

    def heal(self) -> None:
        """Let everything pass again."""
        for receiver in sorted({receiver for _, receiver in self._cuts}):
            self._filter(receiver, "--flush", "INPUT")
        self._cuts.clear()

    def _filter(self, node: str, *words: str) -> None:
        _run("ip", "netns", "exec", self.namespace(node), "iptables", "--wait", *words)

    def close(self) -> None:
        """Remove all that was made, as far as it was; processes in it have ended."""
        if self._plugged:  # else the kernel would remove it, but later
            _run("ip", "link", "delete", self._plug)
            self._plugged = False
        while self._made:
            _run("ip", "netns", "delete", self._made.pop())
        self._cuts.clear()


def _free_subnet() -> str:
    """Return the first three numbers of a network that this machine is not in."""
    used = _run("ip", "-4", "-oneline", "address") + _run("ip", "-4", "route")
    for third in range(256):
        subnet = f"{SUBNET}.{third}"
        if f"{subnet}." not in used:
            return subnet
    msg = f"all networks from {SUBNET}.0.0 up are in use on this machine"
    raise NamespaceError(msg)


def _run(*command: str) -> str:
    """Run a command and return what it printed; NamespaceError if it failed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- our own words
    if done.returncode != 0:
        msg = f"{' '.join(command)}: {done.stderr.strip()}"
        raise NamespaceError(msg)
    return done.stdout
