"""
A large cluster's dissemination on virtual time: the machines that nodes run.

Only what carries pushes is simulated (kvnode.core.dissemination), not stores, nor the
anti-entropy that would find what dissemination misses: what is counted as delivered
was delivered by it alone.  Each change is a push of one small write.  Crashed nodes
say nothing any more; the others are told after a failure detector's delay.

The same scenario gives the same run, on any machine.
"""

import heapq
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import assert_never

from cluster.scale.network import Network
from cluster.scale.regions import Region, load_regions, place_nodes
from kvnode.core.dissemination.dissemination import Dissemination
from kvnode.core.dissemination.messages import (
    Absent,
    Announce,
    Control,
    Effect,
    Forward,
    Graft,
    Prune,
    SendTo,
    WakeAt,
)
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.replication.messages import Push, WireEntry
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis, ReplicaId

CHANGE_INTERVAL_MS = 5.0
"""Between two changes anywhere in the cluster: 200 a second."""

START_MS = 1000.0
"""Virtual time of the first change: any, as long as it is positive."""

DETECTION_SPREAD = 0.2
"""Nodes hear of a crash up to this share of the delay sooner or later."""

NODES_MIN = 2
NODES_MAX = 5000
"""Beyond, each node's view of all the others needs too much memory."""

CHANGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    All that determines a run.

    Attributes:
        nodes: How many, 2 or more.
        changes: Pushes, each by another node as long as there are more.
        loss: Probability that a message is lost, 0 <= loss < 1.
        crashes: Nodes that crash, all at one instant of the run.
        detection_ms: How long after that the others hear of it.
        seed: Decides everything that is left to chance.
    """

    nodes: int
    changes: int
    loss: float = 0.0
    crashes: int = 0
    detection_ms: int = 5000
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for problem, is_so in (
            (
                f"nodes must be {NODES_MIN} to {NODES_MAX:,}",
                not NODES_MIN <= self.nodes <= NODES_MAX,
            ),
            (
                f"changes must be 1 to {CHANGES_MAX:,}",
                not 1 <= self.changes <= CHANGES_MAX,
            ),
            ("loss must be at least 0 and below 1", not 0 <= self.loss < 1),
            (
                f"of {self.nodes} nodes, 0 to {self.nodes - NODES_MIN} can crash",
                not 0 <= self.crashes <= self.nodes - NODES_MIN,
            ),
            ("detection must not be negative", self.detection_ms < 0),
        ):
            if is_so:
                raise ValueError(problem)


@dataclass(slots=True)
class Change:
    """
    What became of one push.

    Attributes:
        origin: The node that made it.
        sent_at: When, in ms.
        arrivals: When each node had it first, in ms; infinite if never.
        sends: Messages with its payload, from anyone to anyone.
        long_haul: Those of them between continents.
        duplicates: Payloads that came where it was already.
    """

    origin: int
    sent_at: float
    arrivals: "array[float]"
    sends: int = 0
    long_haul: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Run:
    """
    What a simulation saw.

    Attributes:
        scenario: What was simulated.
        places: The region of each node.
        crashed: The nodes that crashed.
        changes: What was sent, in order; not by nodes that had crashed before.
        sent_by: Messages with payload that each node sent.
        control: Messages without payload, by kind.
        fan_out_max: The most payloads of one change that one node sent.
    """

    scenario: Scenario
    places: list[Region]
    crashed: frozenset[int] = frozenset()
    changes: list[Change] = field(default_factory=list)
    sent_by: list[int] = field(default_factory=list)
    control: dict[str, int] = field(default_factory=dict)
    fan_out_max: int = 0


Happening = Push | Control | Callable[[float], None]


class Simulation:
    """One run; call `run` once."""

    def __init__(self, scenario: Scenario) -> None:
        # A stream each, so that one option does not change what others decide.
        placing, self._rng, flights = (
            Random(f"{scenario.seed} {purpose}")  # noqa: S311 -- to be repeatable
            for purpose in ("places", "events", "flights")
        )
        places = place_nodes(scenario.nodes, load_regions(), placing)
        self._scenario = scenario
        self._network = Network(places, scenario.loss, flights)
        self._measuring = Network(places, 0.0, placing)
        self._replicas = [
            ReplicaId(placing.getrandbits(64)) for _ in range(scenario.nodes)
        ]
        self._number = {replica: n for n, replica in enumerate(self._replicas)}
        self._crashed: set[int] = set()
        self._events: list[tuple[float, int, int, int, Happening]] = []
        self._order = 0
        self._change_of: dict[tuple[ReplicaId, int], Change] = {}
        self._fan_out: dict[tuple[int, ReplicaId, int], int] = {}
        self._run = Run(scenario, places, sent_by=[0] * scenario.nodes)
        self._machines = [
            Dissemination(replica, place.name)
            for replica, place in zip(self._replicas, places, strict=True)
        ]

    def run(self, progress: Callable[[float], None] = lambda _: None) -> Run:
        """
        Run until nothing happens any more.

        Args:
            progress: Called now and then with the share of changes sent so far.
        """
        for node in range(self._scenario.nodes):
            self._tell_members(node, frozenset())
        self._schedule_changes(progress)
        self._schedule_crash()
        while self._events:
            time, _, node, sender, happening = heapq.heappop(self._events)
            if node in self._crashed:
                continue
            if callable(happening):
                happening(time)
            else:
                self._deliver(time, node, sender, happening)
        run = self._run
        run.crashed = frozenset(self._crashed)
        run.fan_out_max = max(self._fan_out.values(), default=0)
        return run

    def _schedule_changes(self, progress: Callable[[float], None]) -> None:
        scenario = self._scenario
        span = scenario.changes * CHANGE_INTERVAL_MS
        times = sorted(self._rng.uniform(0, span) for _ in range(scenario.changes))
        origins: list[int] = []
        while len(origins) < scenario.changes:
            turn = list(range(scenario.nodes))
            self._rng.shuffle(turn)
            origins += turn
        seqs = [0] * scenario.nodes
        for count, (time, origin) in enumerate(zip(times, origins, strict=False)):
            seqs[origin] += 1

            def originate(
                now: float,
                origin: int = origin,
                seq: int = seqs[origin],
                share: float = count / scenario.changes,
            ) -> None:
                progress(share)
                self._originate(now, origin, seq)

            self._at(START_MS + time, origin, originate)

    def _schedule_crash(self) -> None:
        scenario = self._scenario
        if not scenario.crashes:
            return
        victims = self._rng.sample(range(scenario.nodes), scenario.crashes)
        span = scenario.changes * CHANGE_INTERVAL_MS
        crash_at = START_MS + self._rng.uniform(0, span)
        survivors = [n for n in range(scenario.nodes) if n not in set(victims)]
        self._at(crash_at, survivors[0], lambda _: self._crashed.update(victims))
        dead = frozenset(victims)
        for node in survivors:
            delay = scenario.detection_ms * self._rng.uniform(
                1 - DETECTION_SPREAD, 1 + DETECTION_SPREAD
            )

            def hear(_: float, node: int = node) -> None:
                self._tell_members(node, dead)

            self._at(crash_at + delay, node, hear)

    def _tell_members(self, node: int, dead: frozenset[int]) -> None:
        """Give *node* its view of all the others."""
        places = self._run.places
        members = [
            MemberView(
                replica,
                places[number].name,
                Millis(self._measuring.measured_ms(node, number)),
                number not in dead,
            )
            for number, replica in enumerate(self._replicas)
            if number != node
        ]
        self._machines[node].view_changed(members)

    def _originate(self, time: float, node: int, seq: int) -> None:
        arrivals = array("d", [math.inf]) * self._scenario.nodes
        arrivals[node] = time
        change = Change(node, time, arrivals)
        self._run.changes.append(change)
        origin = self._replicas[node]
        self._change_of[origin, seq] = change
        key = EntryKey(DEFAULT_NAMESPACE, b"key")
        push = Push(origin, seq, seq, (WireEntry(key, b"value"),))
        self._perform(
            time, node, self._machines[node].originate((push,), Millis(int(time)))
        )

    def _deliver(
        self, time: float, node: int, sender: int, message: Push | Control
    ) -> None:
        machine, now = self._machines[node], Millis(int(time))
        peer = self._replicas[sender]
        match message:
            case Push():
                change = self._change_of[message.origin, message.first]
                fresh = change.arrivals[node] == math.inf
                if fresh:
                    change.arrivals[node] = time
                else:
                    change.duplicates += 1
                effects = machine.received(message, peer, now, fresh=fresh)
            case Announce():
                effects = machine.announced(peer, message, now)
            case Graft():
                effects = machine.grafted(peer, message, now)
            case Prune():
                effects = machine.pruned(peer, message, now)
            case Absent():
                effects = machine.absent(peer, message, now)
            case _:
                assert_never(message)
        self._perform(time, node, effects)

    def _perform(self, time: float, node: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Forward(peer, push):
                    self._count_payload(node, self._number[peer], push)
                    self._send(time, node, self._number[peer], push)
                case SendTo(peer, message):
                    kind = type(message).__name__.lower()
                    self._run.control[kind] = self._run.control.get(kind, 0) + 1
                    self._send(time, node, self._number[peer], message)
                case WakeAt(due):
                    self._at(max(time, due), node, self._wake_of(node))
                case _:
                    assert_never(effect)

    def _wake_of(self, node: int) -> Callable[[float], None]:
        def wake(time: float) -> None:
            self._perform(time, node, self._machines[node].tick(Millis(int(time))))

        return wake

    def _count_payload(self, node: int, receiver: int, push: Push) -> None:
        change = self._change_of[push.origin, push.first]
        change.sends += 1
        change.long_haul += self._network.is_long_haul(node, receiver)
        self._run.sent_by[node] += 1
        place = node, push.origin, push.first
        self._fan_out[place] = self._fan_out.get(place, 0) + 1

    def _send(
        self, time: float, sender: int, receiver: int, message: Push | Control
    ) -> None:
        flight = self._network.flight_ms(sender, receiver)
        if flight is not None:
            self._order += 1
            heapq.heappush(
                self._events, (time + flight, self._order, receiver, sender, message)
            )

    def _at(self, time: float, node: int, act: Callable[[float], None]) -> None:
        """Do *act* at *time*, unless *node* has crashed by then."""
        self._order += 1
        heapq.heappush(self._events, (time, self._order, node, node, act))
