"""What happens to voters: at random, and as it must to show one thing gone wrong."""

import asyncio
from contextlib import suppress

from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.errors import KvError, RejectedError
from tests.simulation.voter_world import VoterWorld

SECONDS = 8.0
"""Of trouble: some replacements, each with its crashes."""


async def trouble(world: VoterWorld) -> None:
    """Let happen whatever can."""
    await world.founded()
    world.start("d")
    world.loss, world.late = world.random.choice(((0.0, 0.0), (0.1, 0.05), (0.3, 0.2)))
    deadline = asyncio.get_running_loop().time() + SECONDS
    clients = [world.spawn(client(world, f"client {n}")) for n in range(3)]
    operators = [world.spawn(operator(world, f"operator {n}")) for n in range(2)]
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(world.random.uniform(0, 0.3))
        await something(world)
        world.look()
    for task in (*clients, *operators):
        task.cancel()


async def trouble_that_ends(world: VoterWorld) -> None:
    """Let happen whatever can, and then nothing more: then all goes on."""
    await trouble(world)
    await recovers(world)


async def something(world: VoterWorld) -> None:
    """Let something happen to one machine."""
    name = world.random.choice(world.names)
    machine = world.machines[name]
    match world.random.randrange(5):
        case 0:
            await world.crash(name)
        case 1 | 2:
            if machine.host is None:
                world.start(name)
            world.cut.discard(name)
        case 3:
            world.cut.add(name)
        case _:
            await wipe_if_it_may_be(world, name)


async def wipe_if_it_may_be(world: VoterWorld, name: str) -> None:
    """
    Wipe a disk, unless what was voted could be lost with it.

    Who is enlisted may be chosen by now, so its loss would be one of two.  Nor may all
    be gone who are configured: nobody could tell that they were not fresh.
    """
    await world.crash(name)
    present, memory = world.present(), world.machines[name].store.memory
    is_enlisted = memory.barred and memory.electorate is None
    if present is not None and not world.lost(present) and not is_enlisted:
        names = {member.name for member in present.members} - {name}
        if not names.isdisjoint(world.configured):
            await world.wipe(name)
    world.start(name)


async def client(world: VoterWorld, origin: str) -> None:
    """Change the register again and again, and die now and then in the middle."""
    authority = world.authority(origin)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(world.random.uniform(0.1, 4)):
                while True:
                    await change(world, authority)
        authority = world.authority(origin)


async def change(world: VoterWorld, authority: EmbeddedAuthority) -> None:
    """Read, and go on from there, or from what was there before."""
    seen = await world.read(authority)
    for _ in range(world.random.randrange(3)):
        await asyncio.sleep(world.random.uniform(0, 0.1))
        after = await world.swap(authority, seen)
        seen = after if world.random.random() < 0.8 else seen


async def operator(world: VoterWorld, origin: str) -> None:
    """Replace who has lost its disk, or whoever, and die now and then in the middle."""
    while True:
        await asyncio.sleep(world.random.uniform(0, 1))
        present = world.present()
        if present is None:
            name, newcomer = world.random.choices(world.names, k=2)
        else:
            lost = world.lost(present)
            name = lost[0] if lost else world.random.choice(present.names)
            newcomer = name if lost else world.random.choice(world.names)
        with suppress(KvError, TimeoutError):
            async with asyncio.timeout(world.random.uniform(0.05, 6)):
                await world.authority(origin).replace(name, newcomer)


async def recovers(world: VoterWorld) -> None:
    """Start all machines, and replace who has lost its disk: then all goes on."""
    world.loss = world.late = 0.0
    world.cut.clear()
    for name, machine in world.machines.items():
        if machine.host is None:
            world.start(name)
    authority, lost = world.authority("the end"), list[str]()
    await asyncio.sleep(12)
    try:
        for _ in range(3):  # the first may finish what others have begun
            present = (await authority.status()).electorate
            lost = world.lost(present) if present is not None else []
            with suppress(RejectedError):
                if lost:
                    await authority.replace(lost[0], lost[0])
        seen = await world.read(authority)
        if lost or await world.swap(authority, seen) is None:
            world.violations.append(f"it does not go on without {lost}")
    except KvError as error:
        world.violations.append(f"it does not go on: {error!r}")


async def answer_comes_late_while_founding(world: VoterWorld) -> None:
    """
    Let c ask b who it is so slowly that b is another by then.

    Meanwhile a and b found, vote, and b loses its disk; c has heard a before that.
    """
    world.slow["c", "b"] = 0.4
    for name in world.configured:
        world.start(name)
    await asyncio.sleep(0.1)
    world.cut.add("c")
    await world.swap(world.authority("client"), None)
    await world.wipe("b")
    world.start("b")
    world.cut.remove("c")
    await asyncio.sleep(0.2)
    world.cut.add("a")
    await asyncio.sleep(3)
    await world.swap(world.authority("client"), None)
    world.cut.remove("a")


async def disk_is_lost_after_founding(world: VoterWorld) -> None:
    """Let c start when a, which has founded with b, cannot be reached, and b is new."""
    for name in "ab":
        world.start(name)
    await asyncio.sleep(1)
    await world.swap(world.authority("client"), None)
    await world.wipe("b")
    await world.crash("a")
    for name in "bc":
        world.start(name)
    await asyncio.sleep(1)
    await world.swap(world.authority("client"), None)


async def newcomer_has_not_heard_of_it(world: VoterWorld) -> None:
    """
    Let all who are configured be fresh, of whom one was chosen and never told.

    d votes for b, and the new c for the old one; a loses its disk.
    """
    await world.founded()
    world.start("d")
    authority = world.authority("operator")
    await world.swap(authority, None)
    await authority.replace("b", "d")
    await world.wipe("b")
    await world.wipe("c")
    world.start("c")
    await asyncio.sleep(1)
    world.deaf.add("c")
    await authority.replace("c", "c")
    await world.wipe("a")
    world.deaf.clear()
    world.cut.add("d")
    for name in "ab":
        world.start(name)
    await asyncio.sleep(3)
    await world.swap(world.authority("client"), None)
