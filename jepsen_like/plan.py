"""
A plan: all that is done in a run, by clients and by the nemesis, drawn beforehand.

A plan is data.  It runs alike in simulation and on real processes, is written
to a file to be replayed, and is cut down step by step when it has found
something.  What a simulation draws while it runs (flight times, the order of
what is ready, the time of a sync) comes from named streams, each seeded by the
plan's seed and its own name, so that leaving out a step changes nothing
elsewhere; a stream named in `calm` gives its nominal value instead.

A process does its operations one after the other, each no earlier than its time;
after one that ended `INFO` it goes on under a new number.
"""

from dataclasses import dataclass

from jepsen_like.history.operation import Key, Value
from jepsen_like.nemesis.faults import Fault


@dataclass(frozen=True, slots=True)
class Invoke:
    """
    *worker* asks *node* for an operation, at *at* ms of the run or later.

    The worker keeps one session over all nodes, if the system has sessions.
    """

    at: int
    worker: int
    node: str
    f: str
    key: Key = None
    argument: Value = None


@dataclass(frozen=True, slots=True)
class Strike:
    """The nemesis does *fault*, at *at* ms of the run."""

    at: int
    fault: Fault


Step = Invoke | Strike


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A run to be.

    Attributes:
        workload: Whose operations they are, by name.
        seed: What was drawn from, and what the simulation draws from.
        nodes: Names of the nodes, in order.
        steps: In order of their times.
        settle: After the last step all faults end, and this many ms later at
            most the system must have come to rest.
        calm: Streams that give their nominal value.
        settings: Of the store, each a name and a value, if it is not to be as usual.
    """

    workload: str
    seed: int
    nodes: tuple[str, ...]
    steps: tuple[Step, ...]
    settle: int
    calm: frozenset[str] = frozenset()
    settings: tuple[tuple[str, str], ...] = ()
