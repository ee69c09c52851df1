"""
Versions: nodes of two versions in one cluster, as in every rolling upgrade.

All nodes begin with the previous version, and are taken to the new one by and by, in
any order, each stopped in an orderly way and started on what it has stored.  So for
most of the time both versions talk to each other, and clients to both.

Reference:
    Zhang, Yang, Jin, Sethi, Rodrigues, Lu & Yuan, 2021.  Understanding and
        detecting software upgrade failures in distributed systems.  Most show
        between versions that follow each other, and with three nodes.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import Downgrade, Upgrade
from jepsen_like.nemesis.nemesis import Nemesis, shuffled
from jepsen_like.plan import Strike


def _rolling(
    random: Random, nodes: Sequence[str], duration_ms: int
) -> Iterator[Strike]:
    for node in nodes:
        yield Strike(0, Downgrade(node))
    # A turn each, the first being that of the previous version alone.
    turn_ms = duration_ms // (len(nodes) + 1)
    for place, node in enumerate(shuffled(random, nodes), start=1):
        at = place * turn_ms + random.randint(0, turn_ms // 2)
        yield Strike(at, Upgrade(node))


VERSIONS = (
    Nemesis(
        "rolling-upgrade", "Take nodes from the previous version to this.", _rolling
    ),
)
