"""
A network of sites: links that lose everything when they break, and nothing else.

Messages of one pair travel in order, one queue a direction, and are delivered
only when told to.  Nothing here draws chance: the same calls in the same order
give the same run, byte for byte.
"""

from collections import deque
from itertools import combinations, count

from kvnode.core.node.events import Message, PeerUp, Received, Reply, Tick
from kvnode.core.node.node import TurnResult
from kvnode.core.replication.messages import DeltaPage, Push
from kvnode.core.versions.record import WIRE, decode
from kvnode.storage.durability import Durability
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Millis, ReplicaId
from tests.simulation.client import Client
from tests.simulation.oracle import Oracle, ViolationError
from tests.simulation.practice import GOOD_PRACTICE, Practice
from tests.simulation.site import Fate, Site

START = Millis(1_700_000_000_000)
HEALING_ROUNDS_MAX = 300
HEALING_STEP = Millis(200)


class Network:
    """Sites, the links between them, and clients."""

    def __init__(
        self,
        *,
        site_count: int = 3,
        client_count: int = 3,
        durability: Durability = Durability.FSYNC,
        practice: Practice = GOOD_PRACTICE,
    ) -> None:
        self.now = START
        self.oracle = Oracle()
        self.durability = durability
        self._replicas = count(1)
        self._numbers = count(1)
        self._owners: dict[int, Client] = {}
        self.sites = [
            Site(
                f"{'abcdefgh'[n]}-site",
                MemoryStore(self.new_replica(), durability=durability),
                self,
                practice,
            )
            for n in range(site_count)
        ]
        self.clients = [
            Client(self.oracle, practice.token_after_write) for _ in range(client_count)
        ]
        self._queues: dict[tuple[str, str], deque[Message]] = {}
        for a, b in combinations(self.sites, 2):
            self.connect(a, b)

    # -- what sites ask for (tests.simulation.site.World) ---------------------

    def new_replica(self) -> ReplicaId:
        """Return an identity never used before, in no order."""
        return ReplicaId(next(self._replicas) * 0x9E37_79B9_7F4A_7C15 % 2**64)

    def transmit(self, sender: Site, peer: ReplicaId, message: Message) -> None:
        """Put *message* on its way; it is dropped if there is none."""
        if isinstance(message, Push | DeltaPage):
            self.oracle.check_sent(decode(e.record, WIRE) for e in message.entries)
        for site in self.sites:
            queue = self._queues.get((sender.name, site.name))
            if site.replica == peer and queue is not None:
                queue.append(message)

    def committed(self, site: Site, result: TurnResult) -> None:
        """Note that a turn is durable, and what was accepted in it."""
        self.oracle.committed(site.replica, result.commit)
        for effect in result.effects:
            if isinstance(effect, Reply) and effect.number in self._owners:
                self._owners[effect.number].note_accepted(effect)

    def answered(self, site: Site, number: int, reply: Reply | None) -> None:
        """Hand a reply to the client that waits for it."""
        del site
        client = self._owners.pop(number)
        client.answered(reply)

    def starts_over(self, site: Site, reason: str) -> None:
        """No site is ever from before the floor here: none is restored."""
        message = f"G2b: {site.name} starts over: {reason}"
        raise ViolationError(message)

    def disconnected(self, site: Site, peer: ReplicaId, reason: str) -> None:
        """Correct nodes never have reason to blame each other."""
        message = f"protocol: {site.name} blames {peer:x}: {reason}"
        raise ViolationError(message)

    # -- links ---------------------------------------------------------------

    def linked(self, a: Site, b: Site) -> bool:
        """Tell whether the two are connected."""
        return (a.name, b.name) in self._queues

    def connect(self, a: Site, b: Site) -> None:
        """Connect two sites; both say hello."""
        if a is b or self.linked(a, b):
            return
        for site, other in ((a, b), (b, a)):
            self._queues[site.name, other.name] = deque()
            known = other.store.state().peers
            site.inbox.append(PeerUp(other.address, other.clock, known))

    def drop(self, a: Site, b: Site) -> None:
        """Break the link and lose what was on it."""
        if not self.linked(a, b):
            return
        for site, other in ((a, b), (b, a)):
            del self._queues[site.name, other.name]
            site.peer_down(other.replica)

    def deliver(self, sender: Site, receiver: Site) -> bool:
        """Move the oldest message into the receiver's inbox, if there is one."""
        queue = self._queues.get((sender.name, receiver.name))
        if not queue:
            return False
        receiver.inbox.append(Received(sender.replica, queue.popleft()))
        return True

    # -- sites ---------------------------------------------------------------

    def write_number(self, client: Client) -> int:
        """Return the number of a new request of *client*."""
        number = next(self._numbers)
        self._owners[number] = client
        return number

    def turn(self, site: Site, fate: Fate = Fate.DONE) -> None:
        """Let *site* make a turn of what waits for it, and judge the outcome."""
        if not site.turn(self.now, fate):
            self.crash(site)
        self.check(site)

    def stage(self, site: Site) -> None:
        """Let *site* stage a turn of what waits for it, and judge the last one."""
        site.stage(self.now)
        self.check(site)

    def crash(self, site: Site) -> None:
        """Stop a site as power loss does, and start it again a little later."""
        self.now = Millis(self.now + 1)
        for client in self.clients:
            if client.waits_at is site:
                client.gave_up()
        for other in self.sites:
            if self.linked(site, other):
                del self._queues[site.name, other.name]
                del self._queues[other.name, site.name]
                other.peer_down(site.replica)
        site.crash()

    def check(self, site: Site) -> None:
        """Judge what *site* has stored."""
        with site.store.snapshot() as view:
            self.oracle.check_node(site.name, view)

    def tick(self, site: Site) -> None:
        """Let *site* notice that time has passed."""
        site.inbox.append(Tick())

    # -- the end -------------------------------------------------------------

    def heal(self) -> None:
        """Connect everyone, let time pass until nothing changes, and judge."""
        for a, b in combinations(self.sites, 2):
            self.connect(a, b)
        for _ in range(HEALING_ROUNDS_MAX):
            self.now = Millis(self.now + HEALING_STEP)
            for site in self.sites:
                self.tick(site)
            self._settle()
            if self._quiet():
                break
        else:
            message = f"end: no rest after {HEALING_ROUNDS_MAX} rounds; {self!r}"
            raise ViolationError(message)
        views = {site.name: site.store.snapshot() for site in self.sites}
        kept = self.durability is Durability.FSYNC
        opened = {name: view.__enter__() for name, view in views.items()}
        self.oracle.check_end(opened, all_kept=kept)
        for view in views.values():
            view.__exit__(None, None, None)

    def _settle(self) -> None:
        """Deliver everything, in turns of all that has come."""
        moved = True
        while moved:
            moved = False
            for site in self.sites:
                for other in self.sites:
                    while site.serve_page(other.replica):
                        moved = True
                    while self.deliver(other, site):
                        moved = True
                if site.busy:
                    self.turn(site)
                    moved = True

    def _quiet(self) -> bool:
        first = self.sites[0].clock
        if any(site.clock != first or site.requests for site in self.sites):
            return False
        # What a node lost for good, and others saw a part of, is waited for in vain.
        return self.durability is Durability.RELAXED or not any(
            site.pending
            or site.node.uncovered_batches
            or any(p.outbox.size_bytes for p in site.node.peers.values())
            for site in self.sites
        )

    def __repr__(self) -> str:
        return "; ".join(
            f"{site.name}={site.replica:x} clock {site.clock} pending {site.pending}"
            f" requests {list(site.requests)} waiting {site.node.uncovered_batches}"
            f" in flight {[p.outbox.size_bytes for p in site.node.peers.values()]}"
            for site in self.sites
        )
