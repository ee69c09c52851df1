"""Systems that the harness knows how to run and harm, by name."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from jepsen_like.system import System

SYSTEMS: Mapping[str, tuple[str, str]] = {
    "processes": ("jepsen_like.adapters.kvnode_processes", "KvnodeProcesses"),
    "namespaces": ("jepsen_like.adapters.kvnode_namespaces", "KvnodeNamespaces"),
    "etcd": ("jepsen_like.adapters.etcd", "EtcdSystem"),
    "redis": ("jepsen_like.adapters.redis", "RedisSystem"),
}
"""Module and class of each: loaded when it is asked for, with what it needs."""


def system_named(name: str, nodes: Sequence[str]) -> System:
    """
    Return the system called *name*, with *nodes*; nothing of it runs yet.

    Raises:
        ValueError: There is none of that name, what it needs is not installed, or it
            cannot have so many nodes.
    """
    if name not in SYSTEMS:
        msg = (
            f"there is no system {name!r}: choose one of simulated,"
            f" {', '.join(SYSTEMS)}, or give module:attribute, a function of yours"
        )
        raise ValueError(msg)
    module, attribute = SYSTEMS[name]
    try:
        make: Callable[[Sequence[str]], System] = getattr(
            import_module(module), attribute
        )
    except ImportError as error:
        msg = f"{name} needs the Python package {error.name}: install it first"
        raise ValueError(msg) from error
    return make(nodes)
