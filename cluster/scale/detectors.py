"""
A cluster of failure detectors alone, in one thread, on virtual time, from one seed.

Messages take a drawn time, keep their order between two nodes, and may be lost, as
they are on a stream that is not connected.  Nodes may crash, be cut off, and starve.

A starved node alternates between spans in which it does nothing and short ones in
which it works through what has come meanwhile, one event a millisecond, as a process
does that gets too little processor.  Its timer, due for long, goes off first.
Whatever it has not got to when it is blocked again has to wait.

Reference:
    Dadgar, Phillips & Currey, 2018.  Lifeguard: the experiments with anomalies of
        a duration at intervals, in which messages are held up at blocked members.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from kvnode.core.membership.events import (
    Event,
    HealthChanged,
    MembersKnown,
    Received,
    SendTo,
    Tick,
)
from kvnode.core.membership.settings import SwimSettings
from kvnode.core.membership.swim import Swim
from kvnode.core.node.events import TICK_MILLIS
from kvnode.types import Millis, ReplicaId

DELAYS = (1, 50)
"""One way, in ms: from next door to the other side of a continent."""

WORK_MILLIS = 1
"""What a starved node takes for one event, its turn's share of a commit included."""

EPOCH = 1_700_000_000_000
"""Where virtual time begins: wall clocks do not start from 0."""


class Starvation(NamedTuple):
    """Does nothing for *blocked* ms, then runs for *running* ms, both > 0."""

    blocked: int
    running: int


class Change(NamedTuple):
    """
    A node has come to believe something.

    `raised` tells that it came to that by its own probing or waiting; otherwise
    others have told it.
    """

    at: Millis
    observer: ReplicaId
    replica: ReplicaId
    change: HealthChanged
    raised: bool


@dataclass(slots=True)
class _Node:
    replica: ReplicaId
    swim: Swim
    rng: Random
    crashed: bool = False
    side: int = 0
    spans: Iterator[Starvation] | None = None
    blocked: bool = False
    working: bool = False
    inbox: deque[Event] = field(default_factory=deque)


class Detectors:
    """*nodes* failure detectors that know each other; identities count from 1."""

    def __init__(
        self,
        nodes: int,
        settings: SwimSettings,
        seed: int,
        *,
        loss: float = 0.0,
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        """
        Start all nodes at once.

        Args:
            nodes: How many, >= 1.
            settings: Of all of them.
            seed: Where all chance comes from.
            loss: Share of messages that get lost, 0 to 1.
            on_change: Gets each change of belief, as it happens.
        """
        self.now = Millis(EPOCH)
        self.messages = 0
        self._settings = settings
        self._loss = loss
        self._broken: set[tuple[ReplicaId, ReplicaId]] = set()
        self._on_change = on_change
        self._rng = Random(f"{seed}/network")  # noqa: S311 -- to be repeatable
        self._heap: list[tuple[Millis, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._arrivals: dict[tuple[ReplicaId, ReplicaId], Millis] = {}
        self.replicas = tuple(ReplicaId(number) for number in range(1, nodes + 1))
        self._nodes = {
            replica: _Node(
                replica,
                Swim(replica, 0, settings),
                Random(f"{seed}/{replica}"),  # noqa: S311 -- to be repeatable
            )
            for replica in self.replicas
        }
        for node in self._nodes.values():
            self._start(node)

    def swim(self, replica: ReplicaId) -> Swim:
        """Return the failure detector of *replica*, to look at."""
        return self._nodes[replica].swim

    def running(self) -> tuple[ReplicaId, ...]:
        """Return who has not crashed."""
        return tuple(r for r, node in self._nodes.items() if not node.crashed)

    def happen(self, replica: ReplicaId, event: Event) -> None:
        """Let *event* happen to *replica* now."""
        self._happen(self._nodes[replica], event)

    def run(self, millis: int) -> None:
        """Let *millis* pass."""
        end = Millis(self.now + millis)
        while self._heap and self._heap[0][0] <= end:
            self.now, _, act = heappop(self._heap)
            act()
        self.now = end

    def run_until(self, holds: Callable[[], bool], patience: int) -> int | None:
        """
        Let time pass until *holds*; return how much did, in ms.

        None if it did not come to hold within *patience* ms.  It is looked at
        with every tick's span.
        """
        for passed in range(0, patience, TICK_MILLIS):
            if holds():
                return passed
            self.run(TICK_MILLIS)
        return patience if holds() else None

    # -- faults --------------------------------------------------------------

    def crash(self, replica: ReplicaId) -> None:
        """Let *replica* do nothing any more."""
        self._nodes[replica].crashed = True

    def restart(self, replica: ReplicaId, *, incarnation: int) -> None:
        """Start *replica*, which has crashed, with that *incarnation*."""
        node = self._nodes[replica]
        assert node.crashed, "who runs is not started"
        node.swim = Swim(replica, incarnation, self._settings)
        node.crashed = False
        self._start(node)

    def cut(self, side: frozenset[ReplicaId]) -> None:
        """Lose what is sent between *side* and all others; an empty side heals."""
        for node in self._nodes.values():
            node.side = int(node.replica in side)

    def break_road(self, source: ReplicaId, target: ReplicaId) -> None:
        """Lose what *source* sends to *target*, from now on."""
        self._broken.add((source, target))

    def starve(self, replica: ReplicaId, spans: Iterator[Starvation]) -> None:
        """Let *replica* run only as *spans* say, from now on."""
        node = self._nodes[replica]
        node.spans = spans
        self._block(node)

    def _block(self, node: _Node) -> None:
        if node.spans is None:
            return
        span = next(node.spans)
        node.blocked = True

        def wake() -> None:
            node.blocked = False
            node.inbox.appendleft(Tick())
            self._work(node)
            self._after(span.running, lambda: self._block(node))

        self._after(span.blocked, wake)

    # -- events --------------------------------------------------------------

    def _after(self, millis: int, act: Callable[[], None]) -> None:
        self._scheduled += 1
        heappush(self._heap, (Millis(self.now + millis), self._scheduled, act))

    def _start(self, node: _Node) -> None:
        self._step(node, MembersKnown(self.replicas))
        self._after(self._rng.randrange(TICK_MILLIS), self._ticking(node))

    def _ticking(self, node: _Node) -> Callable[[], None]:
        def tick() -> None:
            if node.crashed:
                return
            if not node.blocked:  # a timer of a blocked process goes off once
                self._happen(node, Tick())
            self._after(TICK_MILLIS, tick)

        return tick

    def _happen(self, node: _Node, event: Event) -> None:
        if node.spans is None:
            self._step(node, event)
            return
        node.inbox.append(event)
        if not node.blocked:
            self._work(node)

    def _work(self, node: _Node) -> None:
        """Take one event of a starved node's inbox, and go on with the next."""
        if node.working:
            return

        def work() -> None:
            node.working = False
            if node.inbox and not node.blocked:
                self._step(node, node.inbox.popleft())
                self._work(node)

        node.working = True
        self._after(WORK_MILLIS, work)

    def _step(self, node: _Node, event: Event) -> None:
        if node.crashed:
            return
        for effect in node.swim.step(event, self.now, node.rng):
            if isinstance(effect, SendTo):
                self._send(node, effect)
            elif isinstance(effect, HealthChanged) and self._on_change is not None:
                raised = isinstance(event, Tick)
                self._on_change(
                    Change(self.now, node.replica, effect.replica, effect, raised)
                )

    def _send(self, node: _Node, sent: SendTo) -> None:
        self.messages += 1
        peer = self._nodes[sent.peer]
        road = (node.replica, sent.peer)
        lost = self._rng.random() < self._loss
        if lost or node.side != peer.side or road in self._broken:
            return
        at = Millis(self.now + self._rng.randint(*DELAYS))
        at = max(at, self._arrivals.get(road, at))  # a stream keeps order
        self._arrivals[road] = at
        received = Received(node.replica, sent.message)
        self._after(at - self.now, lambda: self._happen(peer, received))
