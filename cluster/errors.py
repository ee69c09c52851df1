"""
Every exception that running a cluster raises on purpose.

    ClusterError
    ├── UnknownSiteError     no site of that name in the topology
    ├── TopologyError        a topology, or a division of one, makes no sense
    ├── StateError           the state directory cannot be used as it is
    ├── InstallationError    no other version of kvnode is where one should be
    ├── NodeStartError       a node ended, or did not answer in time, while starting
    ├── NodeDownError        the operation needs a running node and it is not
    └── NotConvergedError    nodes still differ at the deadline; says in what
"""

from collections.abc import Collection


class ClusterError(Exception):
    """Base of all; its text is meant for the person at the terminal."""


class UnknownSiteError(ClusterError):
    """There is no site of that name."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"no node {name!r} here; there are: {', '.join(known)}")
        self.name = name


class TopologyError(ClusterError):
    """A topology, or a division of one into groups, contradicts itself."""


class StateError(ClusterError):
    """The state directory is missing, in use, or does not hold what it should."""


class InstallationError(ClusterError):
    """A directory holds no version of kvnode that can be run."""


class NodeStartError(ClusterError):
    """A node did not come up; the text holds the end of its log."""


class NodeDownError(ClusterError):
    """The node's process is not running, so it cannot be asked."""


class NotConvergedError(ClusterError):
    """The deadline passed and the nodes still differ; the text says in what."""
