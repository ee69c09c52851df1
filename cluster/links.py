"""
Cutting and slowing the links between nodes, by asking the nodes themselves.

A node that runs with fault injection delays what it sends to a peer, or neither
sends nor hears it.  Every link is set at both ends: delays act on what is sent,
so each direction has its own end; a cut at one end would be enough, and at both
it lasts through the restart of either.

The nodes' own client ports are never cut, so that a test can reach both sides.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.errors import NodeDownError
from cluster.topology import Topology
from kvnode.client import Client
from kvnode.errors import KvError
from kvnode.types import Millis

ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """What one node is to do with one peer."""

    node: str
    peer: str
    delay: Millis
    blocked: bool


def link_ends(topology: Topology, cuts: frozenset[frozenset[str]]) -> list[LinkEnd]:
    """Return both ends of every link, with exactly *cuts* blocked."""
    return [
        LinkEnd(node, peer, topology.delay(a, b), frozenset((a, b)) in cuts)
        for a, b in topology.pairs()
        for node, peer in ((a, b), (b, a))
    ]


async def apply(
    topology: Topology,
    cuts: frozenset[frozenset[str]],
    endpoints: Mapping[str, str],
) -> None:
    """
    Set every link as *topology* and *cuts* say, at the nodes in *endpoints*.

    Args:
        topology: The sites and their distances.
        cuts: The pairs of names that are not to hear each other.
        endpoints: `host:port` of the nodes that can be asked now.  The others
            take up their links when they start.

    Raises:
        NodeDownError: A node did not do it; those before it have done it.
    """
    ends = link_ends(topology, cuts)
    await asyncio.gather(
        *(
            _tell(node, endpoint, [end for end in ends if end.node == node])
            for node, endpoint in endpoints.items()
        )
    )


async def _tell(node: str, endpoint: str, ends: list[LinkEnd]) -> None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), Client(endpoint) as client:
            await _introduced(client, ends)
            for end in ends:
                await client.set_link(
                    end.peer, delay=end.delay / 1000, blocked=end.blocked
                )
    except (KvError, TimeoutError) as error:
        reason = str(error) or f"not within {ANSWER_SECONDS:g} s"
        msg = f"{node} at {endpoint} did not set its links: {reason}"
        raise NodeDownError(msg) from error


async def _introduced(client: Client, ends: Sequence[LinkEnd]) -> None:
    """Wait until a node that has only just begun knows its peers."""
    while True:
        status = await client.status()
        # Links of one that was removed meanwhile can be set, too.
        known = {peer.name for peer in status.peers}
        known |= {member.name for member in status.members}
        if known.issuperset(end.peer for end in ends):
            return
        await asyncio.sleep(POLL_SECONDS)
