"""What every step of the demonstration works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.demo.narrator import Narrator
from cluster.processes import ProcessCluster
from kvnode.client import Client


@dataclass(frozen=True, slots=True)
class Stage:
    """
    The running cluster, a client at every node, and what was acknowledged.

    `acknowledged` maps every key that a node has said is stored to its value;
    the last step reads all of them back, everywhere.
    """

    cluster: ProcessCluster
    clients: Mapping[str, Client]
    narrator: Narrator
    acknowledged: dict[bytes, bytes] = field(default_factory=dict)

    def distance(self, a: str, b: str) -> int:
        """Return the emulated one-way distance of two nodes in ms."""
        return int(self.cluster.topology.delay(a, b))

    def others(self, name: str) -> tuple[str, ...]:
        """Return the other nodes' names."""
        return self.cluster.topology.others(name)
