"""
What a cluster of nodes can be told, whatever the nodes are.

Tests, demonstrations and fault injection speak to this protocol, so that the
same plan runs against processes of this machine and against anything else that
starts nodes and can take their links away.

All operations are idempotent: stopping a stopped node, healing a whole network
and pausing a paused node change nothing.  Names that are not in the topology
raise UnknownSiteError.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from cluster.topology import Topology


class Cluster(Protocol):
    """Nodes, one a site, that can be started, harmed and cut apart."""

    @property
    def topology(self) -> Topology:
        """The sites and the distances between them."""

    def endpoint(self, name: str) -> str:
        """Return the `host:port` where clients reach the node."""

    async def start(self, *names: str) -> None:
        """
        Start the named nodes, or all; return once they answer.

        A node that is back takes up its links as they are now, cuts included.
        Paused nodes stay paused.

        Raises:
            NodeStartError: A node ended or did not answer in time.
        """

    async def stop(self, *names: str) -> None:
        """Stop the named nodes, or all, in an orderly way; data stays."""

    async def kill(self, *names: str) -> None:
        """End the named nodes at once, as a power cut would; data stays."""

    async def pause(self, *names: str) -> None:
        """Freeze the named nodes where they are; their connections stay open."""

    async def resume(self, *names: str) -> None:
        """Let paused nodes go on, with no idea that time has passed."""

    async def partition(self, groups: Sequence[Collection[str]]) -> None:
        """
        Cut every link between sites of different groups, and open all others.

        Sites in no group form one more.  Nodes that cannot be told now, because
        they are down or paused, take it up when they start or go on.

        Raises:
            TopologyError: The groups divide nothing or overlap.
            NodeDownError: A node that is up did not do it.
        """

    async def heal(self) -> None:
        """Open every link again, each with the topology's delay."""
