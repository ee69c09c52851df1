"""What goes wrong in a moment that chance hardly ever finds; each of a seed."""

from kvnode.core.objects.events import Reconfigure, Suspected, TakeLead
from kvnode.core.objects.settings import ShardSettings
from kvnode.types import Millis, ReplicaId
from tests.core.objects.shard_world import World, ended, heal

PATIENT = ShardSettings(patience=Millis(3000), lease=Millis(0))
"""A leader that is cut off believes to lead for long."""


def led(world: World) -> tuple[ReplicaId, list[ReplicaId]]:
    """Wait for a leader; return it, and the others."""
    while not world.leaders:
        world.run(100)
    world.write()
    world.run(500)
    leader = world.leaders[0].own
    return leader, [own for own in world.held.replicas if own != leader]


def log_ends(world: World, own: ReplicaId) -> int:
    """Return the number of a replica's last entry."""
    replica = world.hosts[own].replica
    assert replica is not None
    return replica.log.last.number


def both_ways(one: ReplicaId, *others: ReplicaId) -> set[tuple[ReplicaId, ReplicaId]]:
    """Return the links between *one* and the others."""
    return {link for other in others for link in ((one, other), (other, one))}


def take_over(world: World, own: ReplicaId, *, millis: int = 400) -> None:
    """Let *own* take over, as far as it comes."""
    world.step(own, Suspected())
    world.run(millis)


def append_its_entry(world: World, own: ReplicaId) -> None:
    """Let *own* take over until it has appended its first entry."""
    for millis in range(3000):
        if millis % 200 == 0:
            world.step(own, Suspected())
        world.run(1)
        replica = world.hosts[own].replica
        assert replica is not None
        if replica.leadership is not None:
            return


def lead_and_stop(world: World, own: ReplicaId) -> None:
    """Let *own* take over, and end before anybody has its entry but itself."""
    append_its_entry(world, own)
    world.cut = both_ways(own, *(each for each in world.held.replicas if each != own))
    world.run(40)  # the entry is on its own disk
    world.crash(own)
    world.cut = set()


def depose_unheard(
    world: World, leader: ReplicaId, rival: ReplicaId, *, attempts: int
) -> list[str]:
    """Let *rival* take over from a leader that nobody hears, and ask both."""
    world.cut = {(leader, own) for own in world.held.replicas if own != leader}
    for _ in range(attempts):
        take_over(world, rival, millis=20)
        world.write(rival)
        world.read(leader)
    heal(world)
    return ended(world)


def answers_come_late(seed: int) -> list[str]:
    """A leader is deposed while what confirmed it before is on its way to it."""
    settings = ShardSettings(
        patience=Millis(3000), lease=Millis(0), heartbeat=Millis(1000)
    )
    world = World(seed, settings=settings)
    leader, (rival, third) = led(world)
    world.slow = {(rival, leader): 800, (third, leader): 800}
    world.run(world.random.randrange(1000))
    return depose_unheard(world, leader, rival, attempts=30)


def leased_answers_come_late(seed: int) -> list[str]:
    """The same, where the leader relies on a lease."""
    settings = ShardSettings(patience=Millis(3000), lease=Millis(600))
    world = World(seed, settings=settings)
    leader, (rival, third) = led(world)
    world.slow = {(rival, leader): 600, (third, leader): 600}
    world.run(200)
    return depose_unheard(world, leader, rival, attempts=70)


def lead_is_taken_back_unheard(seed: int) -> list[str]:
    """Who has given its lead away takes it back from one that is cut, with a lease."""
    settings = ShardSettings(patience=Millis(3000), lease=Millis(600))
    world = World(seed, settings=settings)
    world.disk_takes = (0, 1)
    first, (second, third) = led(world)
    world.step(second, TakeLead())
    while [host.own for host in world.leaders] != [second]:
        world.run(10)
    world.run(200)
    world.cut = both_ways(second, first, third)
    for _ in range(30):
        take_over(world, first, millis=20)
        world.write(first)
        world.read(second)
    heal(world)
    return ended(world)


def power_fails(seed: int) -> list[str]:
    """All machines end at once, with nothing of the last turns on their disks."""
    world = World(seed)
    led(world)
    world.disk_takes = (50,)
    for _ in range(5):
        world.write()
        world.run(10)
    for own in world.held.replicas:
        world.crash(own, tears=True)
    world.disk_takes = (0, 1)
    heal(world)
    return ended(world)


def promise_meets_the_leader_before(seed: int) -> list[str]:
    """Who has promised the next epoch crashes, and hears the leader before again."""
    world = World(seed, settings=PATIENT)
    leader, (rival, third) = led(world)
    world.cut = both_ways(leader, rival, third)
    take_over(world, rival)
    world.write(rival)
    world.run(100)
    world.crash(third)
    world.start(third)
    world.cut = both_ways(rival, leader, third)
    for _ in range(10):
        world.write(leader)
        world.run(50)
    heal(world)
    return ended(world)


def figure_8(seed: int) -> list[str]:
    """An entry of an old epoch reaches a majority and is replaced (Raft, figure 8)."""
    world = World(seed, settings=ShardSettings(lease=Millis(0), entries_max=1))
    _, (one, other) = led(world)
    third = next(own for own in world.held.replicas if own not in {one, other})
    world.crash(third)
    world.start(third)
    lead_and_stop(world, one)
    lead_and_stop(world, other)
    world.start(one)
    before = len(world.committed)
    append_its_entry(world, one)
    for _ in range(100):
        world.run(1)
        if len(world.committed) > before:
            break
    world.cut = both_ways(one, other, third)
    world.crash(one)
    world.start(other)
    take_over(world, other, millis=3000)
    heal(world)
    return ended(world)


def mover_crashes(seed: int) -> list[str]:
    """A shard moves to replicas that lack the last writes, and its leader crashes."""
    world = World(seed, settings=ShardSettings(lease=Millis(0)))
    leader, others = led(world)
    fresh = [world.add_host(), world.add_host()]
    for own in fresh:
        world.start(own)
    world.step(leader, Reconfigure((leader, *fresh)))
    while not all(log_ends(world, own) for own in fresh):
        world.run(1)
    world.run(world.random.randrange(40))
    world.cut = both_ways(leader, *fresh)
    for _ in range(60):
        world.write(leader)
        world.run(5)
        if world.held.former:
            break
    world.crash(leader)
    world.cut = {link for own in others for link in both_ways(own, *fresh)}
    take_over(world, fresh[0], millis=2000)
    heal(world)
    return ended(world)
