"""Real network faults: nodes in network namespaces of their own; needs root."""

from cluster.namespaces.network import (
    NamespaceError,
    NamespaceNetwork,
    remove_leftovers,
    why_not,
)

__all__ = ["NamespaceError", "NamespaceNetwork", "remove_leftovers", "why_not"]
