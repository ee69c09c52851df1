"""Systems that the harness knows how to run and harm, by name."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from jepsen_like.system import System

SYSTEMS: Mapping[str, tuple[str, str]] = {
    "processes": ("jepsen_like.adapters.kvnode_processes", "KvnodeProcesses"),
    "namespaces": ("jepsen_like.adapters.kvnode_namespaces", "KvnodeNamespaces"),
    "etcd": ("jepsen_like.adapters.etcd", "EtcdSystem"),
    "redis": ("jepsen_like.adapters.redis", "RedisSystem"),
}
"""Module and class of each: loaded when it is asked for, with what it needs."""

UPGRADABLE = ("processes", "namespaces")
"""Those that can begin with a previous version."""


def system_named(
    name: str, nodes: Sequence[str], *, previous: Path | None = None
) -> System:
    """
    Return the system called *name*, with *nodes*; nothing of it runs yet.

    Args:
        name: Which.
        nodes: Their names.
        previous: Where a previous version of kvnode is installed, for nodes to begin
            with.

    Raises:
        ValueError: There is none of that name, what it needs is not installed, it
            cannot have so many nodes, or no such version.
    """
    if name not in SYSTEMS:
        msg = (
            f"there is no system {name!r}: choose one of simulated,"
            f" {', '.join(SYSTEMS)}, or give module:attribute, a function of yours"
        )
        raise ValueError(msg)
    module, attribute = SYSTEMS[name]
    try:
        make: Callable[..., System] = getattr(import_module(module), attribute)
    except ImportError as error:
        msg = f"{name} needs the Python package {error.name}: install it first"
        raise ValueError(msg) from error
    if previous is None:
        return make(nodes)
    if name not in UPGRADABLE:
        msg = f"a previous version can be given to {' and '.join(UPGRADABLE)} alone"
        raise ValueError(msg)
    return make(nodes, previous=_installation(previous))


def _installation(directory: Path) -> object:
    """Return what is installed in *directory*."""
    from cluster.errors import InstallationError  # noqa: PLC0415 -- for kvnode alone
    from cluster.local.installation import Installation  # noqa: PLC0415 -- the same

    found = Installation(directory.resolve())
    try:
        found.check()
    except InstallationError as error:
        raise ValueError(str(error)) from error
    return found
