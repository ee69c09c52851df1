"""
A network of sites: links that lose everything when they break, and nothing else.

Messages of one pair travel in order, one queue a direction, and are delivered
only when told to.  Nothing here draws chance: the same calls in the same order
give the same run, byte for byte.
"""

from collections import deque
from functools import reduce
from itertools import combinations, count

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.events import Message, Received, Reply, Tick
from kvnode.core.node.node import TurnResult
from kvnode.core.replication.messages import DeltaPage, Push
from kvnode.core.versions.floor import forgets
from kvnode.core.versions.record import WIRE, decode
from kvnode.core.versions.roster import NOT_CLOSED
from kvnode.storage.durability import Durability
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Millis, ReplicaId
from tests.simulation.client import Client
from tests.simulation.oracle import Oracle, ViolationError, held_by
from tests.simulation.practice import GOOD_PRACTICE, Practice
from tests.simulation.site import FORGET_INTERVAL, Fate, Site

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
        self._names = tuple(f"{name}-site" for name in "abcdefgh"[:site_count])
        self.sites = [
            Site(
                self._names[n],
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
        self._copies: dict[str, MemoryStore] = {}
        self._restored: Site | None = None
        self._half_filled = False  # the copy that was restored
        self._stopped: list[Site] = []
        for a, b in combinations(self.sites, 2):
            self.connect(a, b)

    # -- what sites ask for (tests.simulation.site.World) ---------------------

    def new_replica(self) -> ReplicaId:
        """Return an identity never used before, in no order."""
        return ReplicaId(next(self._replicas) * 0x9E37_79B9_7F4A_7C15 % 2**64)

    def names(self) -> tuple[str, ...]:
        """Return the names of all sites: each knows the others from the start."""
        return self._names

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
        """A site is from before the floor only if a copy of it was restored."""
        if site is not self._restored and self.durability is Durability.FSYNC:
            message = f"G2b: {site.name} starts over: {reason}"
            raise ViolationError(message)
        if self._was_filled_in_vain(site):
            message = f"D10: {site.name} was filled in vain: {reason}"
            raise ViolationError(message)
        self._stopped.append(site)

    def _was_filled_in_vain(self, site: Site) -> bool:
        """
        Tell whether more was forgotten than the donors of *site* covered.

        It is a member meanwhile, and no donor is ever removed.  But who was half
        filled when the copy was made is not, until it is restored.
        """
        state = site.store.state()
        if state.filling is None or self.durability is not Durability.FSYNC:
            return False
        claimed = state.clock.join(state.filling.covers or EMPTY)
        passed = not claimed.includes(state.filling.floor.vector)
        return passed and not self._half_filled

    def told(self, site: Site, message: str) -> None:
        """Nothing is damaged here, but the last writes of the dead may be lost."""
        roster = site.store.state().roster
        closed = [m for m in roster.gone_for_good if m.closed_above != NOT_CLOSED]
        if not self._lossy or not closed:
            message = f"told: {site.name} tells of what there is not: {message}"
            raise ViolationError(message)
        # A copy that is no member has no say: what it has is rescued when it comes.
        said = [
            s.clock for s in self.sites if s is not site and roster.counts(s.replica)
        ]
        for gone in closed:
            last = site.clock.newest(gone.replica)
            if last > gone.closed_above:
                claimed = EMPTY.with_range(gone.replica, gone.closed_above + 1, last)
                claimed = claimed.minus(reduce(VersionVector.join, said, EMPTY))
                self.oracle.given_up(claimed)

    def disconnected(self, site: Site, peer: ReplicaId, reason: str) -> None:
        """Correct nodes have no reason to blame each other."""
        if reason.endswith("has been removed"):
            return  # what it was before; the link had ended with that
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
            site.inbox.append(other.hello)

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
        self._judge(site)

    def stage(self, site: Site) -> None:
        """Let *site* stage a turn of what waits for it, and judge the last one."""
        site.stage(self.now)
        self._judge(site)

    def crash(self, site: Site) -> None:
        """Stop a site as power loss does, and start it again a little later."""
        self._stop(site)
        site.crash()
        if self.durability is Durability.RELAXED:
            self._may_have_lost()

    def _may_have_lost(self) -> None:
        """A site has not what it had: what no other covers may be nowhere."""
        clocks = (site.clock for site in self.sites)
        self.oracle.may_lose(reduce(VersionVector.join, clocks))

    def _stop(self, site: Site) -> None:
        self.now = Millis(self.now + 1)
        for client in self.clients:
            if client.waits_at is site:
                client.gave_up()
        for other in self.sites:
            if self.linked(site, other):
                del self._queues[site.name, other.name]
                del self._queues[other.name, site.name]
                other.peer_down(site.replica)

    def copy(self, site: Site) -> None:
        """Keep a copy of what *site* has stored."""
        self._copies[site.name] = site.store.copied(site.store.state().replica)

    def restore(self, site: Site) -> None:
        """
        Put the last copy of *site* in its place, or nothing; remove who it was.

        One site of a run alone: what no disk has any more, nobody can give back.
        """
        if self._restored not in (None, site):
            return
        self._restored = site
        self._stop(site)
        before, copy = site.replica, self._copies.get(site.name)
        replica = self.new_replica()
        self._half_filled = copy is not None and copy.state().filling is not None
        store = copy.copied(replica) if copy else MemoryStore(replica)
        site.crash(store)
        self._may_have_lost()
        other = next(other for other in self.sites if other is not site)
        other.remove(before)

    def _judge(self, site: Site) -> None:
        while self._stopped:
            stopped = self._stopped.pop()
            mark = stopped.store.state().start_over
            assert mark is not None, "who starts over has said for what"
            with stopped.store.snapshot() as view:
                self.oracle.starts_over(view, mark)
            self._stop(stopped)
            self._half_filled = False
            stopped.restart()
        self.check(site)

    def check(self, site: Site) -> None:
        """Judge what *site* has stored."""
        with site.store.snapshot() as view:
            self.oracle.check_node(site.name, view)

    def tick(self, site: Site) -> None:
        """Let *site* notice that time has passed."""
        site.inbox.append(Tick())

    def rest(
        self, site: Site, other: Site, rounds: int, *, late: bool, slow: bool = False
    ) -> None:
        """
        Let all be connected and hear each other for *rounds* rounds.

        With *late*, all but what *other* sends *site*, which is still under way; with
        *slow*, all but the pages of deltas for *site*, which nobody hurries to send.
        """
        for a, b in combinations(self.sites, 2):
            self.connect(a, b)
        for _ in range(rounds):
            self.now = Millis(self.now + FORGET_INTERVAL)
            for one in self.sites:
                self.tick(one)
            self._settle((other, site) if late else None, site if slow else None)

    @property
    def _lossy(self) -> bool:
        """Tell whether a site may have lost what nobody else has."""
        return self.durability is Durability.RELAXED or self._restored is not None

    # -- the end -------------------------------------------------------------

    def heal(self) -> None:
        """Connect everyone, let time pass until nothing changes, and judge."""
        for _ in range(HEALING_ROUNDS_MAX):
            for a, b in combinations(self.sites, 2):
                self.connect(a, b)  # who has started over was cut off
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
        opened = {name: view.__enter__() for name, view in views.items()}
        self.oracle.check_end(opened, all_kept=not self._lossy)
        for view in views.values():
            view.__exit__(None, None, None)

    def _settle(
        self, late: tuple[Site, Site] | None = None, slow: Site | None = None
    ) -> None:
        """
        Deliver everything, in turns of all that has come.

        But for what the first of *late* sends the second, and deltas for *slow*.
        """
        moved = True
        while moved:
            moved = False
            for site in self.sites:
                for other in self.sites:
                    while other is not slow and site.serve_page(other.replica):
                        moved = True
                    while (other, site) != late and self.deliver(other, site):
                        moved = True
                if site.busy:
                    self.turn(site)
                    moved = True

    def _quiet(self) -> bool:
        first = self.sites[0].store.state()
        for site in self.sites:
            state = site.store.state()
            if state.filling is not None or state.clock != first.clock:
                return False
            if site.requests or state.floor != first.floor:
                return False
            with site.store.snapshot() as view:
                if any(forgets(state.floor, e.version) for _, e in held_by(view)):
                    return False
        # What a node lost for good, and others saw a part of, is waited for in vain.
        return self._lossy or not any(
            site.pending
            or site.node.uncovered_batches
            or any(p.outbox.size_bytes for p in site.node.peers.values())
            for site in self.sites
        )

    def __repr__(self) -> str:
        return "; ".join(
            f"{site.name}={site.replica:x} clock {site.clock} pending {site.pending}"
            f" floor {site.store.state().floor} filling {site.store.state().filling}"
            f" requests {list(site.requests)} waiting {site.node.uncovered_batches}"
            f" in flight {[p.outbox.size_bytes for p in site.node.peers.values()]}"
            for site in self.sites
        )
