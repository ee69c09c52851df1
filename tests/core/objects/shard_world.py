"""
Replicas of a shard, their disks, clocks and network, and the authority: one seed each.

Everything that can go wrong does: messages are lost, doubled and late; replicas crash
with half of their writes on disk, stand still for seconds, and lose their disks; the
authority does not answer, or does what it was asked and says nothing.

Judged all the time: an entry that anybody holds for committed is the same everywhere
and for ever, and who answers a read has all that was acknowledged before it began.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Closed,
    Committed,
    Confirm,
    Confirmed,
    Declined,
    Distrusted,
    Effect,
    Event,
    Opened,
    Persist,
    Propose,
    Proposed,
    Received,
    Reconfigure,
    Send,
    SendSnapshot,
    SnapshotArrived,
    SnapshotEnded,
    SnapshotTaken,
    Suspected,
    Swap,
    TakeLead,
    Tick,
)
from kvnode.core.objects.messages import Message
from kvnode.core.objects.quorum_log import LogEntry, QuorumLog
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import ShardReplica
from kvnode.storage.shards.port import StoredShard, written
from kvnode.types import Millis, ReplicaId

TICK = 50


@dataclass(slots=True)
class Host:
    """One replica's machine."""

    own: ReplicaId
    rate: float
    offset: int
    disk: StoredShard = field(default_factory=lambda: StoredShard(0, QuorumLog()))
    replica: ShardReplica | None = None
    paused_until: int = 0
    life: int = 0
    writing: list[tuple[Persist | None, tuple[Effect, ...]]] = field(
        default_factory=list
    )
    wishes: dict[int, bytes] = field(default_factory=dict)  # by token
    proposed: dict[int, bytes] = field(default_factory=dict)  # by number
    reading: dict[int, int] = field(default_factory=dict)  # token, acknowledged then

    def steady(self, now: int) -> Millis:
        """Return what its clock says at the true time *now*."""
        return Millis(int(self.offset + now * self.rate))


class World:
    """A shard and all that can happen to it."""

    def __init__(
        self,
        seed: int,
        *,
        replicas: int = 3,
        settings: ShardSettings | None = None,
        make: Callable[..., ShardReplica] = ShardReplica,
    ) -> None:
        self.random = Random(seed)
        self.settings = settings or ShardSettings(
            lease=Millis(self.random.choice((0, 600))),
            entries_max=self.random.choice((1, 2, 512)),
        )
        self.now = 0
        self.hosts: dict[ReplicaId, Host] = {}
        self.cut: set[tuple[ReplicaId, ReplicaId]] = set()
        self.lost_disks: set[ReplicaId] = set()
        self.lossy = 0.0
        self.slow: dict[tuple[ReplicaId, ReplicaId], int] = {}
        self.disk_takes: tuple[int, ...] = (0, 1, 5, 30)
        self.authority_is_up = True
        self.committed: dict[int, LogEntry] = {}
        self.acknowledged: dict[int, bytes] = {}
        self.acknowledged_until = 0
        self.reads = 0
        self.leased_reads = 0
        self.snapshots = 0
        self.opened: list[int] = []
        self.violations: list[str] = []
        self._arrivals: dict[tuple[ReplicaId, ReplicaId], int] = {}
        self._make = make
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._identities = 0
        members = [self.add_host() for _ in range(replicas)]
        self.held = Configuration(1, members[0], tuple(members))
        for member in members:
            self.start(member)

    # -- machines ---------------------------------------------------------------

    def add_host(self) -> ReplicaId:
        """Add a machine with an empty disk; it is down."""
        self._identities += 1
        own = ReplicaId(self._identities)
        error = self.settings.clock_error_ppm / 2_000_000
        rate = 1 + self.random.uniform(-error, error)
        self.hosts[own] = Host(own, rate, self.random.randrange(10**6))
        return own

    def start(self, own: ReplicaId) -> None:
        """Start a machine with what is on its disk."""
        host = self.hosts[own]
        host.life += 1
        host.replica = self._make(
            own,
            self.settings,
            uniform=self.random.randint,
            now=host.steady(self.now),
            log=QuorumLog(host.disk.log.base, host.disk.log.entries),
            promised=host.disk.promised,
        )
        self._tick(own, host.life)

    def crash(self, own: ReplicaId, *, tears: bool = False) -> None:
        """End a machine: of what it was writing, a part is on its disk, or nothing."""
        host = self.hosts[own]
        kept = 0 if tears else self.random.randint(0, len(host.writing))
        for persist, _ in host.writing[:kept]:
            if persist is not None:
                host.disk = written(host.disk, persist)
        host.writing.clear()
        host.proposed.clear()
        host.reading.clear()
        host.replica = None
        host.life += 1

    def lose_disk(self, own: ReplicaId) -> ReplicaId:
        """A machine comes back empty, as somebody else."""
        self.crash(own)
        self.lost_disks.add(own)
        fresh = self.add_host()
        self.start(fresh)
        return fresh

    @property
    def leaders(self) -> list[Host]:
        """Return those that lead, or believe so, and serve."""
        return [
            host
            for host in self.hosts.values()
            if host.replica
            and host.replica.leadership
            and host.replica.leadership.is_open
            and host.paused_until <= self.now
        ]

    # -- time -------------------------------------------------------------------

    def at(self, delay: int, what: Callable[[], None]) -> None:
        """Let something happen in *delay* ms."""
        self._number += 1
        heappush(self._agenda, (self.now + delay, self._number, what))

    def run(self, millis: int) -> None:
        """Let *millis* pass."""
        until = self.now + millis
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, what = heappop(self._agenda)
            what()
        self.now = until

    def _tick(self, own: ReplicaId, life: int) -> None:
        if self.hosts[own].life == life:
            self.step(own, Tick())
            self.at(TICK, lambda: self._tick(own, life))

    def steady(self, own: ReplicaId) -> Millis:
        """Return what a machine's clock says now."""
        return self.hosts[own].steady(self.now)

    # -- turns ------------------------------------------------------------------

    def step(self, own: ReplicaId, *events: Event) -> None:
        """Let events come to a replica, when it can take them in."""
        host = self.hosts[own]
        if host.replica is None:
            return
        if host.paused_until > self.now:
            life = host.life
            self.at(
                host.paused_until - self.now,
                lambda: self.step(own, *events) if host.life == life else None,
            )
            return
        result = host.replica.step(events, host.steady(self.now))
        for effect in result.at_once:
            self._perform(host, effect)
        host.writing.append((result.persist, result.effects))
        takes = self.random.choice(self.disk_takes) if result.persist else 0
        life = host.life
        self.at(takes, lambda: self._written(host, life))

    def _written(self, host: Host, life: int) -> None:
        if host.life != life:
            return
        persist, effects = host.writing.pop(0)  # turns become durable in order
        if persist is not None:
            host.disk = written(host.disk, persist)
        for effect in effects:
            self._perform(host, effect)

    def _perform(self, host: Host, effect: Effect) -> None:  # noqa: C901, PLR0912 -- one line each
        match effect:
            case Send(receiver, message):
                self._send(host.own, receiver, message)
            case SendSnapshot(receiver, epoch):
                self._send_snapshot(host, receiver, epoch)
            case AskAuthority():
                self._authority(host, None)
            case Swap():
                self._authority(host, effect)
            case Proposed(token, number):
                if token in host.wishes:
                    host.proposed[number] = host.wishes.pop(token)
            case Declined(token):
                host.wishes.pop(token, None)
                host.reading.pop(token, None)
            case Committed(number):
                self._committed(host, number)
            case Confirmed(tokens):
                for token in tokens:
                    self._answered(host, token)
            case Opened(epoch, number):
                self.opened.append(epoch)
                self._has_all(host, number, "opened")
            case Closed():
                host.proposed.clear()
                host.reading.clear()
            case Distrusted(sender, reason):
                self.violations.append(f"{self.now}: {host.own} of {sender}: {reason}")

    def _send(self, sender: ReplicaId, receiver: ReplicaId, message: Message) -> None:
        if sender == receiver:
            self.at(0, lambda: self.step(receiver, Received(sender, message)))
            return
        if receiver not in self.hosts or (sender, receiver) in self.cut:
            return
        link = (sender, receiver)
        for _ in range(1 if self.random.random() > self.lossy / 2 else 2):
            if self.random.random() < self.lossy:
                continue
            arrival = self.now + self.random.choice((1, 2, 5, 20))
            slow = self.slow.get(link, 0)
            arrival += self.random.randint(slow // 2, slow)
            if self.random.random() < self.lossy:
                arrival += self.random.randrange(2000)
            else:  # in order, unless the network is at its worst
                arrival = max(arrival, self._arrivals.get(link, 0))
                self._arrivals[link] = arrival
            self.at(arrival - self.now, lambda: self._arrive(link, message))

    def _arrive(self, link: tuple[ReplicaId, ReplicaId], message: Message) -> None:
        sender, receiver = link
        if link not in self.cut:
            self.step(receiver, Received(sender, message))

    def _send_snapshot(self, host: Host, receiver: ReplicaId, epoch: int) -> None:
        """Bring what is before the log to another machine, or fail to."""
        base, life, link = host.disk.log.base, host.life, (host.own, receiver)
        arrived = SnapshotArrived(host.own, epoch, base)

        def end() -> None:
            if link not in self.cut and self.random.random() >= self.lossy:
                self.snapshots += 1
                self.step(receiver, arrived)
            if host.life == life:
                self.step(host.own, SnapshotEnded(receiver))

        self.at(self.random.choice((5, 100, 500)), end)

    def compact(self) -> None:
        """Let one machine make a snapshot of what it knows to be committed."""
        host = self.random.choice(list(self.hosts.values()))
        if host.replica is not None:
            self.step(host.own, SnapshotTaken(host.replica.committed))

    def _authority(self, host: Host, swap: Swap | None) -> None:
        life = host.life

        def asked() -> None:
            if swap is not None and self.authority_is_up and self.held == swap.expected:
                self.held = swap.desired
            event: Event = AuthoritySaid(self.held)
            if not self.authority_is_up or self.random.random() < self.lossy:
                event = AuthorityFailed()
            self.at(
                self.random.choice((1, 5, 50)),
                lambda: self.step(host.own, event) if host.life == life else None,
            )

        self.at(self.random.choice((1, 5, 50)), asked)

    # -- clients ----------------------------------------------------------------

    def write(self, at: ReplicaId | None = None) -> None:
        """Write through *at*, or one of those that lead."""
        hosts = [host for host in self.leaders if at in {None, host.own}]
        if not hosts:
            return
        host = self.random.choice(hosts)
        self._number += 1
        host.wishes[self._number] = b"%d" % self._number
        self.step(host.own, Propose(self._number, host.wishes[self._number]))

    def read(self, at: ReplicaId | None = None) -> None:
        """Read through *at*, or one of those that lead."""
        hosts = [host for host in self.leaders if at in {None, host.own}]
        if not hosts:
            return
        host = self.random.choice(hosts)
        assert host.replica is not None
        leadership = host.replica.leadership
        assert leadership is not None
        if leadership.has_lease(host.steady(self.now)):
            self.leased_reads += 1
            self._has_all(host, self.acknowledged_until, "a read under a lease")
        self._number += 1
        host.reading[self._number] = self.acknowledged_until
        self.step(host.own, Confirm(self._number))

    # -- the judge --------------------------------------------------------------

    def _committed(self, host: Host, number: int) -> None:
        assert host.replica is not None
        log = host.replica.log
        first = log.base.number
        entries = log.entries[: max(0, number - first)]
        for place, entry in enumerate(entries, first + 1):
            known = self.committed.setdefault(place, entry)
            if known != entry:
                self.violations.append(
                    f"{self.now}: entry {place} is {entry} at {host.own},"
                    f" and was {known}"
                )
        for place in sorted(host.proposed):
            if place <= number:
                self.acknowledged[place] = host.proposed.pop(place)
                self.acknowledged_until = max(self.acknowledged_until, place)

    def _answered(self, host: Host, token: int) -> None:
        if token in host.reading:
            self.reads += 1
            self._has_all(host, host.reading.pop(token), "a read")

    def _has_all(self, host: Host, number: int, what: str) -> None:
        assert host.replica is not None
        if host.replica.committed < number:
            self.violations.append(
                f"{self.now}: {what} at {host.own} did not see entry {number}"
            )

    def lost(self) -> list[int]:
        """Return acknowledged entries that whoever leads now does not have."""
        (host,) = self.leaders
        assert host.replica is not None
        log = host.replica.log
        behind = log.base.number + 1
        held = {n: self.committed[n].data for n in range(1, behind)}
        held |= dict(enumerate((entry.data for entry in log.entries), behind))
        return [n for n, data in self.acknowledged.items() if held.get(n) != data]


def trouble(world: World, rounds: int) -> None:
    """Do harm, and ask for things meanwhile."""
    random = world.random
    for _ in range(rounds):
        random.choice(HARMS)(world)
        for _ in range(random.randrange(15)):
            _ask(world)
        world.run(random.choice((10, 200, 1500, 4000)))
    heal(world)


def _ask(world: World) -> None:
    """Be a client, or a failure detector that is wrong, for a moment."""
    random = world.random
    world.run(random.choice((0, 1, 10, 50)))
    chance = random.random()
    if chance < 0.4:
        world.write()
    elif chance < 0.8:
        world.read()
    elif chance < 0.85:
        world.compact()
    elif chance < 0.95:
        event = random.choice((Suspected(), TakeLead()))
        world.step(random.choice(list(world.hosts)), event)
    elif world.leaders:
        world.crash(random.choice(world.leaders).own)


def crash_one(world: World) -> None:
    """End a machine."""
    if up := [own for own, host in world.hosts.items() if host.replica]:
        world.crash(world.random.choice(up))


def start_all(world: World) -> None:
    """Start what is down and has a part in the shard."""
    for own in {*world.held.electorate, *world.held.replicas}:
        if world.hosts[own].replica is None and own not in world.lost_disks:
            world.start(own)


def pause_one(world: World) -> None:
    """Let a machine stand still."""
    host = world.hosts[world.random.choice(list(world.hosts))]
    host.paused_until = world.now + world.random.choice((300, 1000, 5000))


def partition(world: World) -> None:
    """Cut the machines into two sides, or one side off in one direction."""
    random = world.random
    sides = {own: random.random() < 0.5 for own in world.hosts}
    world.cut = {(a, b) for a in sides for b in sides if sides[a] and not sides[b]}
    if random.random() < 0.7:
        world.cut |= {(b, a) for a, b in world.cut}


def depose(world: World) -> None:
    """Cut a leader off, or let it hear late; let another take over, and ask both."""
    if not world.leaders:
        return
    random = world.random
    leader = random.choice(world.leaders).own
    others = [own for own in world.hosts if own != leader]
    world.cut = {(leader, own) for own in others if random.random() < 0.7}
    match random.randrange(3):
        case 0:
            world.cut |= {(own, leader) for own in others}
        case 1:
            world.slow = {(own, leader): 600 for own in others}
        case _:
            pass
    for _ in range(random.randint(10, 100)):
        world.run(random.choice((1, 10, 30)))
        random.choice((world.write, world.read, world.read))()
        if random.random() < 0.2:
            world.step(random.choice(others), Suspected())


def change_sides(world: World) -> None:
    """Let who has just been sealed crash, and meet the leader before again."""
    if not world.leaders:
        return
    random = world.random
    leader = random.choice(world.leaders).own
    others = [own for own in world.held.replicas if own != leader]
    others = [own for own in others if own not in world.lost_disks]
    if len(others) < 2:
        return
    rival, turncoat = random.sample(others, 2)
    world.cut = {pair for own in others for pair in ((own, leader), (leader, own))}
    world.step(rival, Suspected())
    world.run(random.randint(100, 400))
    world.crash(turncoat)
    world.start(turncoat)
    world.cut = {pair for own in others for pair in ((own, rival), (rival, own))}
    for _ in range(20):
        world.run(random.choice((1, 10, 30)))
        random.choice((world.write, world.write, world.read))()


def crash_new_leaders(world: World) -> None:
    """Let replicas take over one after the other, and crash in the midst of it."""
    random = world.random
    for _ in range(random.randint(2, 6)):
        start_all(world)
        own = random.choice(world.held.replicas)
        world.step(own, Suspected())
        for _ in range(300):
            world.run(1)
            host = world.hosts[own]
            if host.replica is None or host.replica.leadership is not None:
                break
        world.run(random.choice((0, 1, 2, 5, 20)))
        world.crash(own)


def cut_power(world: World) -> None:
    """End many machines at once, in the midst of writing."""
    for _ in range(world.random.randint(1, 5)):
        world.write()
        world.run(world.random.choice((0, 1, 3, 10)))
    for own in world.held.replicas:
        if world.random.random() < 0.8:
            world.crash(own)
    start_all(world)


def join_again(world: World) -> None:
    """Let all hear each other."""
    world.cut = set()


def change_weather(world: World) -> None:
    """Make the network better or worse."""
    world.lossy = world.random.choice((0.0, 0.0, 0.05, 0.3))
    worst = world.random.choice((0, 0, 100, 500))
    world.slow = {(a, b): worst for a in world.hosts for b in world.hosts}


def change_authority(world: World) -> None:
    """Let the authority come or go."""
    world.authority_is_up = not world.authority_is_up


def replace_lost(world: World) -> None:
    """Lose the disk of one replica, unless others are missing, and move off it."""
    held, leaders = world.held, world.leaders
    missing = [own for own in held.electorate if world.hosts[own].replica is None]
    if held.former or missing or not leaders:
        return
    leader = world.random.choice(leaders).own
    others = [own for own in held.replicas if own != leader]
    if leader not in held.replicas or not others:
        return
    lost = world.random.choice(others)
    fresh = world.lose_disk(lost)
    _move(world, leader, {*held.replicas, fresh} - {lost})


def move(world: World) -> None:
    """Move to other machines, those before being well."""
    if world.held.former or not world.leaders:
        return
    leader = world.random.choice(world.leaders).own
    keep = world.random.sample(world.held.replicas, world.random.randint(0, 2))
    chosen = {leader, *keep}
    while len(chosen) < len(world.held.replicas):
        fresh = world.add_host()
        world.start(fresh)
        chosen.add(fresh)
    _move(world, leader, chosen)


def _move(world: World, leader: ReplicaId, replicas: set[ReplicaId]) -> None:
    """Move, while others write; crash the leader in the midst of it, maybe."""
    random = world.random
    if random.random() < 0.5:
        world.slow = {(leader, own): 200 for own in replicas}
    world.step(leader, Reconfigure(tuple(sorted(replicas))))
    for _ in range(random.choice((0, 300, 600))):
        world.run(1)
        if random.random() < 0.2:
            world.write()
        if world.held.former:
            break
    world.run(random.choice((0, 0, 5, 50, 300)))
    if random.random() < 0.6:
        world.crash(leader)
        if random.random() < 0.5:
            apart = set(world.held.former) - replicas
            world.cut = {p for a in apart for b in replicas for p in ((a, b), (b, a))}


HARMS = (
    crash_one,
    start_all,
    start_all,
    pause_one,
    partition,
    depose,
    depose,
    change_sides,
    crash_new_leaders,
    cut_power,
    join_again,
    join_again,
    change_weather,
    change_authority,
    replace_lost,
    move,
)


def heal(world: World) -> None:
    """End all harm, and give it time."""
    world.cut = set()
    world.lossy = 0.0
    world.slow = {}
    world.authority_is_up = True
    for host in world.hosts.values():
        host.paused_until = min(host.paused_until, world.now)
    start_all(world)
    world.run(20_000)


def judged(world: World, rounds: int = 25) -> list[str]:
    """Return what went wrong in a world of trouble; safety and progress."""
    world.run(5000)
    trouble(world, rounds)
    return ended(world)


def ended(world: World) -> list[str]:
    """Return what is wrong with a world that has been well for a while."""
    if world.violations:
        return world.violations
    if len(world.leaders) != 1:
        return [f"{len(world.leaders)} lead in the end; {world.held}"]
    if lost := world.lost():
        return [f"entries {lost} were acknowledged, and are lost"]
    before = len(world.acknowledged)
    for _ in range(3):
        world.write()
        world.run(500)
    if len(world.acknowledged) < before + 3:
        return ["nothing is committed any more"]
    return []
