"""
All nemeses by name, and the one that mixes them.

`mixed` lets several others loose at once, drawn anew for each seed.  It leaves out
those that take away what a node alone may have known (`bit-flips`, `wipe`,
`wipe-removal`, `restore-backup`, `member-churn`): these need quiet before them, and
mixing would never leave any; and `rolling-upgrade`, which takes a second version that
most runs do not have.  `mixed-real` mixes those that processes on a machine can suffer:
their TCP repeats and reorders nothing, and the machine's disk is not theirs to fill or
to slow.  `mixed-objects` mixes those that simulated objects can suffer: nobody poses as
a peer.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType

from jepsen_like.nemesis.clocks import CLOCKS
from jepsen_like.nemesis.disks import DISKS
from jepsen_like.nemesis.disturbances import DISTURBANCES
from jepsen_like.nemesis.hostile import HOSTILE
from jepsen_like.nemesis.identities import IDENTITIES
from jepsen_like.nemesis.members import CHURN, RACES
from jepsen_like.nemesis.nemesis import Draw, Nemesis, UnfitNemesisError
from jepsen_like.nemesis.partitions import PARTITIONS
from jepsen_like.nemesis.processes import PROCESSES
from jepsen_like.nemesis.versions import VERSIONS
from jepsen_like.plan import Strike

_NOT_MIXED = ("bit-flips",)
_NOT_REAL = ("duplication", "reordering", "disorder", "disk-full", "disk-slow")
_NOT_OF_OBJECTS = ("flood", "garble")
_MIXED_AT_ONCE = 3

_MIXABLE = tuple(
    nemesis
    for nemesis in (
        *PARTITIONS,
        *DISTURBANCES,
        *PROCESSES,
        *CLOCKS,
        *DISKS,
        *HOSTILE,
        *RACES,
    )
    if nemesis.name not in _NOT_MIXED
)


def _mix_of(choice: Sequence[Nemesis]) -> Draw:
    def mixed(
        random: Random, nodes: Sequence[str], duration_ms: int
    ) -> Iterator[Strike]:
        fitting = [each for each in choice if each.nodes_min <= len(nodes)]
        for nemesis in random.sample(fitting, random.randint(2, _MIXED_AT_ONCE)):
            yield from nemesis.strikes(random, nodes, duration_ms)

    return mixed


def _none(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    del random, nodes, duration_ms
    return iter(())


NEMESES: Mapping[str, Nemesis] = MappingProxyType(
    {
        nemesis.name: nemesis
        for nemesis in (
            Nemesis("none", "Do no harm.", _none),
            *PARTITIONS,
            *DISTURBANCES,
            *PROCESSES,
            *CLOCKS,
            *DISKS,
            *IDENTITIES,
            *CHURN,
            *RACES,
            *HOSTILE,
            *VERSIONS,
            Nemesis("mixed", "Do two or three of these at once.", _mix_of(_MIXABLE)),
            Nemesis(
                "mixed-real",
                "The same, of those that processes on a machine can suffer.",
                _mix_of([each for each in _MIXABLE if each.name not in _NOT_REAL]),
            ),
            Nemesis(
                "mixed-objects",
                "The same, of those that objects can suffer in simulation.",
                _mix_of(
                    [each for each in _MIXABLE if each.name not in _NOT_OF_OBJECTS]
                ),
            ),
        )
    }
)
"""In the order in which people are shown them."""


def nemesis_named(name: str) -> Nemesis:
    """
    Return the nemesis called *name*.

    Raises:
        UnfitNemesisError: There is none of that name.
    """
    try:
        return NEMESES[name]
    except KeyError:
        msg = (
            f"no nemesis is called {name!r}: choose from these, with commas between"
            f" several: {', '.join(NEMESES)}"
        )
        raise UnfitNemesisError(msg) from None
