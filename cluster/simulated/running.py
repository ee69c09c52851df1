"""Running a simulation: the loop, the fence, and the log, around one coroutine."""

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.fence import fenced
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import Pair
from cluster.simulated.owner import OWNER
from cluster.simulated.trace import Trace
from cluster.simulated.true_time import EPOCH_MILLIS
from kvnode.storage.durability import Durability

T = TypeVar("T")

LOG_LINES_KEPT = 1000


def run(  # noqa: PLR0913 -- each named at the call
    main: Callable[[SimulatedCluster], Coroutine[Any, Any, T]],
    *,
    nodes: Sequence[str] = ("a", "b", "c"),
    seed: int = 0,
    chance: Chance | None = None,
    delays_ms: Mapping[Pair, float] | None = None,
    durability: Durability = Durability.FSYNC,
    settings: Mapping[str, object] | None = None,
    regions: Mapping[str, str] | None = None,
    trace_lines: int = 0,
    seconds_max: float = 3600.0,
    log: deque[str] | None = None,
) -> T:
    """
    Run *main* on a simulated cluster, on virtual time; return what it returns.

    Nothing of the real world gets in: see cluster.simulated.fence.  Inside,
    `asyncio.get_running_loop().time()` is virtual seconds since the beginning.

    Args:
        main: Starts nodes, does what is to be done, and returns.
        nodes: Their names: words that can be a host's.
        seed: Of all chance, if *chance* is not given.
        chance: The streams to draw from, some perhaps calm.
        delays_ms: One-way delays between hosts, in ms; 1 ms if not named.
        durability: Of all nodes.
        settings: Other settings of all nodes, as of kvnode.config.
        regions: Of nodes, by name; empty if not named.
        trace_lines: How many of the last lines of the trace to keep.
        seconds_max: Virtual time after which the run is given up.
        log: Takes the nodes' warnings: virtual seconds, node, message.

    Raises:
        SimulationError: The program did what cannot be simulated, waits for
            ever, or never waits.
    """
    chance = chance or Chance(seed)
    loop = VirtualLoop(chance, seconds_max)  # type: ignore[abstract]  # the rest it refuses
    cluster = SimulatedCluster(
        nodes,
        loop,
        chance,
        delays_ms=delays_ms or {},
        durability=durability,
        settings=settings or {},
        regions=regions or {},
        trace=Trace(loop.time, trace_lines),
    )
    lines = deque[str](maxlen=LOG_LINES_KEPT) if log is None else log
    with _logged(loop, lines), fenced(lambda: EPOCH_MILLIS / 1000 + loop.now):
        return loop.run_until_complete(main(cluster))


class _Log(logging.Handler):
    """Keeps what nodes log, with virtual times."""

    def __init__(self, loop: VirtualLoop, lines: deque[str]) -> None:
        super().__init__()
        self._loop = loop
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        owner = OWNER.get(self._loop.main)
        self._lines.append(f"{self._loop.now:.6f} {owner.name} {record.getMessage()}")


@contextmanager
def _logged(loop: VirtualLoop, lines: deque[str]) -> Iterator[None]:
    logger = logging.getLogger("kvnode")
    handler, propagated = _Log(loop, lines), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)
