"""Systems that the harness knows how to run and harm, by name."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from jepsen_like.system import System

SYSTEMS: Mapping[str, tuple[str, str]] = {
    "processes": ("jepsen_like.adapters.kvnode_processes", "KvnodeProcesses"),
    "namespaces": ("jepsen_like.adapters.kvnode_namespaces", "KvnodeNamespaces"),
    "etcd": ("jepsen_like.adapters.etcd", "EtcdSystem"),
    "redis": ("jepsen_like.adapters.redis", "RedisSystem"),
}
"""Module and class of each: loaded when it is asked for, with what it needs."""

OBJECTS: Mapping[str, tuple[str, str]] = {
    "processes": ("jepsen_like.adapters.kvnode_object_processes", "ObjectProcesses"),
    "namespaces": ("jepsen_like.adapters.kvnode_object_processes", "ObjectNamespaces"),
}
"""The same for what is asked of objects."""

KVNODE = ("processes", "namespaces")
"""Those that can begin with a previous version, and take settings."""


def system_named(
    name: str,
    nodes: Sequence[str],
    *,
    previous: Path | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    objects: bool = False,
) -> System:
    """
    Return the system called *name*, with *nodes*; nothing of it runs yet.

    Args:
        name: Which.
        nodes: Their names.
        previous: Where a previous version of kvnode is installed, for nodes to begin
            with.
        settings: Of the nodes, if they are not to be as usual.
        objects: Whether clients ask objects, and not the store.

    Raises:
        ValueError: There is none of that name, what it needs is not installed, it
            cannot have so many nodes, no such version, no settings, or no objects.
    """
    if name not in SYSTEMS:
        msg = (
            f"there is no system {name!r}: choose one of simulated,"
            f" {', '.join(SYSTEMS)}, or give module:attribute, a function of yours"
        )
        raise ValueError(msg)
    if objects and name not in OBJECTS:
        msg = f"{name} has no objects to ask: simulated and {', '.join(OBJECTS)} have"
        raise ValueError(msg)
    module, attribute = (OBJECTS if objects else SYSTEMS)[name]
    try:
        make: Callable[..., System] = getattr(import_module(module), attribute)
    except ImportError as error:
        msg = f"{name} needs the Python package {error.name}: install it first"
        raise ValueError(msg) from error
    if previous is None and not settings:
        return make(nodes)
    if name not in KVNODE:
        msg = f"versions and settings can be given to {' and '.join(KVNODE)} alone"
        raise ValueError(msg)
    installed = None if previous is None else _installation(previous)
    return make(nodes, previous=installed, settings=settings)


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
