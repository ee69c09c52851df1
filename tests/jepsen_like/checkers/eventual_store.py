"""
A small eventually consistent store, right or broken on purpose, and its histories.

Nodes hold for each key the winner by (logical time, node), tell each other all they
hold now and then, and note concurrent losers.  Sessions carry what they have seen;
a node that lacks some of it refuses.  Each defect breaks one promise.
"""

from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value

NODES = ("a", "b", "c")
KEYS = ("x", "y")
INITIAL_FINALS = 1_000_000
"""Times of final questions begin here."""


class Defect(Enum):
    """What is broken."""

    NONE = "none"
    FORGETS = "a node forgets what it acknowledged before it told anyone"
    BY_CLOCK = "stamps go by the node's wrong clock alone"
    RESURRECTS = "a tombstone is dropped before others have it"
    SILENT = "losers are not noted"
    APART = "a node never learns of one key's last write"


class Stored(NamedTuple):
    """What a node has of a key; the version is its stamp as text."""

    time: int
    node: str
    value: Value
    history: frozenset[tuple[int, str]]

    @property
    def stamp(self) -> tuple[int, str]:
        """Return what decides who wins."""
        return self.time, self.node

    @property
    def version(self) -> str:
        """Return the stamp as text in the order of stamps."""
        return f"{self.time:08d}-{self.node}"


@dataclass
class Node:
    """One replica."""

    name: str
    skew: int = 0
    time: int = 0
    stored: dict[str, Stored] = field(default_factory=dict)
    lost: dict[str, list[Value]] = field(default_factory=dict)
    covers: set[tuple[int, str]] = field(default_factory=set)

    def merge(self, key: str, incoming: Stored, *, notes: bool) -> None:
        """Take in what another node has."""
        mine = self.stored.get(key)
        self.time = max(self.time, incoming.time)
        if mine is None or mine.stamp in incoming.history:
            self.stored[key] = incoming
        elif mine.stamp != incoming.stamp and incoming.stamp not in mine.history:
            winner, loser = (
                (incoming, mine) if incoming.stamp > mine.stamp else (mine, incoming)
            )
            self.stored[key] = winner
            known = self.lost.setdefault(key, [])
            if notes and loser.value not in known:
                known.append(loser.value)


class Store:
    """All replicas, and who has seen what."""

    def __init__(self, random: Random, defect: Defect) -> None:
        self.random = random
        self.defect = defect
        self.nodes = {name: Node(name) for name in NODES}
        if defect is Defect.BY_CLOCK:
            for node in self.nodes.values():
                node.skew = random.randrange(0, 400, 100)
        self.sessions: dict[int, set[tuple[int, str]]] = {}

    def read(self, process: int, node: Node, key: str) -> Stored | None:
        """Return what *node* has, for a session that it can serve."""
        stored = node.stored.get(key)
        if stored:
            self.sessions.setdefault(process, set()).update(node.covers)
        return stored

    def serves(self, process: int, node: Node) -> bool:
        """Tell whether *node* has all that the session has seen."""
        return self.sessions.get(process, set()) <= node.covers

    def write(self, process: int, node: Node, key: str, value: Value, now: int) -> str:
        """Store *value* at *node* and return its version."""
        mine = node.stored.get(key)
        if self.defect is Defect.BY_CLOCK:
            time = now + node.skew
        else:
            node.time = time = max(node.time, mine.time if mine else 0) + 1
        history = mine.history | {mine.stamp} if mine else frozenset[tuple[int, str]]()
        stored = Stored(time, node.name, value, history)
        if (
            self.defect is not Defect.BY_CLOCK
            or mine is None
            or stored.stamp > mine.stamp
        ):
            node.stored[key] = stored
        node.covers.add(stored.stamp)
        self.sessions.setdefault(process, set()).update({stored.stamp})
        return stored.version

    def gossip(self, sender: Node, receiver: Node) -> None:
        """Tell *receiver* all that *sender* has."""
        for key, stored in sender.stored.items():
            if self._breaks(sender, key):
                continue
            receiver.merge(key, stored, notes=self.defect is not Defect.SILENT)
        receiver.covers |= sender.covers

    def _breaks(self, sender: Node, key: str) -> bool:
        return self.defect is Defect.APART and sender.name == "a" and key == "x"

    def misbehave(self) -> None:
        """Do what the defect does now and then."""
        node = self.random.choice(list(self.nodes.values()))
        key = self.random.choice(KEYS)
        stored = node.stored.get(key)
        forgets = self.defect is Defect.FORGETS
        drops = self.defect is Defect.RESURRECTS and stored and stored.value is None
        if stored and (forgets or drops):
            del node.stored[key]


def run(
    seed: int,
    defect: Defect = Defect.NONE,
    *,
    operations: int = 40,
    versions: bool = True,
    deletes: bool = True,
) -> History:
    """Return the history of a run with final reads and conflict logs."""
    random = Random(seed)
    store = Store(random, defect)
    done: list[Operation] = []
    processes = [0, 1, 2, 3]
    busy = [0] * len(processes)
    fresh, now = len(processes), 50
    for value in range(1, operations + 1):
        now += random.randrange(1, 20)
        if random.random() < 0.4:
            sender, receiver = random.sample(list(store.nodes.values()), 2)
            store.gossip(sender, receiver)
        if random.random() < 0.15:
            store.misbehave()
        place = random.randrange(len(processes))
        f = random.choice(["read", "write", "write", *(["delete"] if deletes else [])])
        now = max(now, busy[place] + 1)
        operation = _invoke(store, processes[place], f, value, now)
        called = random.randrange(max(busy[place] + 1, now - 40), now + 1)
        operation = operation._replace(called=called)
        done.append(operation if versions else operation._replace(version=""))
        if operation.outcome is Outcome.INFO:
            processes[place], fresh = fresh, fresh + 1
            busy[place] = now
        else:
            busy[place] = operation.returned
    for _ in range(3):
        for sender in store.nodes.values():
            for receiver in store.nodes.values():
                store.gossip(sender, receiver)
    done += _finals(store, versions=versions)
    return History.of(done, header=Header(nodes=NODES))


def _invoke(store: Store, process: int, f: str, value: int, now: int) -> Operation:
    random = store.random
    node, key = store.nodes[random.choice(NODES)], random.choice(KEYS)
    called, returned = now, now + random.randrange(1, 30)
    base = Operation(
        process, f, key, None, None, called, returned, Outcome.OK, node.name
    )
    if not store.serves(process, node):
        return base._replace(outcome=Outcome.FAIL, argument=value)
    if f == "read":
        stored = store.read(process, node, key)
        if stored is None:
            return base
        version = stored.version if stored.value is not None else ""
        return base._replace(result=stored.value, version=version)
    written = None if f == "delete" else value
    if random.random() < 0.1:
        if random.random() < 0.5:
            store.write(process, node, key, written, now)
        return base._replace(
            argument=written, outcome=Outcome.INFO, returned=FOREVER, node=node.name
        )
    version = store.write(process, node, key, written, now)
    return base._replace(argument=written, version=version)


def _finals(store: Store, *, versions: bool) -> list[Operation]:
    finals: list[Operation] = []
    for place, node in enumerate(store.nodes.values()):
        for number, key in enumerate(KEYS):
            now = INITIAL_FINALS + 10 * number
            stored = node.stored.get(key)
            result = stored.value if stored else None
            version = stored.version if stored and versions and result else ""
            read = Operation(
                900 + place,
                "final-read",
                key,
                None,
                result,
                now,
                now + 1,
                Outcome.OK,
                node.name,
                version,
            )
            lost = tuple(node.lost.get(key, ()))
            finals.append(read)
            finals.append(read._replace(f="final-conflicts", result=lost, version=""))
    return finals
