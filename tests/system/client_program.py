"""
What a program of either version does with the client library of that version.

It runs in a process of its own, with the kvnode that its installation has, and says
first which that is.  What a version before must be able to do has to be written in its
words, so only what both client libraries have is used here.

    basic ENDPOINT              one call of each kind; ends with 0 if all were right
    load PREFIX ENDPOINT...     writes until its standard input ends; then tells, as
                                JSON, how each write ended
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field

import kvnode
from kvnode.client import Client, Delete, Get, Kind, Put, Session
from kvnode.errors import KvError, WrongTypeError

LARGE_BYTES = 100_000
"""Above 64 KiB, so that it is announced and pulled (D6)."""

PACE_SECONDS = 0.02
DEADLINE_SECONDS = 20.0
"""A restart takes about two seconds; the library tries again all the while."""

KEYS_PER_WRITER = 4
LARGE_EACH = 25
DELETE_EACH = 5


@dataclass
class Told:
    """
    What the load has seen.

    Attributes:
        registers: By key, each attempt in order: what was to be there (None after a
            delete) and the outcome: `acknowledged`, or that of an error.
        sums: By counter, what was added, by outcome.
        members: Of the set, those whose adding was acknowledged.
        errors: How often an error was raised, by its name.
        missed: What a session did not see of its own writes.
        reads: How many reads were answered.
    """

    registers: dict[str, list[tuple[str | None, str]]] = field(default_factory=dict)
    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    reads: int = 0

    async def ending(self, attempt: Awaitable[object]) -> str:
        """Await *attempt* and return how it ended; count its error."""
        try:
            await attempt
        except KvError as error:
            self.note(type(error).__name__)
            return error.outcome.value
        return "acknowledged"

    def note(self, error: str) -> None:
        """Count an error."""
        self.errors[error] = self.errors.get(error, 0) + 1


class Load:
    """Writers with keys of their own, at every node at once."""

    def __init__(self, prefix: str, endpoints: list[str]) -> None:
        self._prefix = prefix
        self._clients = [Client(e, deadline=DEADLINE_SECONDS) for e in endpoints]
        self._any = Client(*endpoints, deadline=DEADLINE_SECONDS)
        self._stopping = asyncio.Event()
        self.told = Told()

    async def run(self) -> None:
        """Write until the standard input ends."""
        works = [self._read()]
        for place, client in enumerate(self._clients):
            works += [self._overwrite(place, client), self._count(place, client)]
            works.append(self._travel(place))
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.to_thread(sys.stdin.read)
        self._stopping.set()
        await asyncio.gather(*tasks)
        for client in (*self._clients, self._any):
            await client.close()

    async def _pause(self) -> bool:
        """Wait a moment; return whether to go on."""
        await asyncio.sleep(PACE_SECONDS)
        return not self._stopping.is_set()

    async def _overwrite(self, place: int, client: Client) -> None:
        """Put, large values too, and delete, each key at one node."""
        number = 0
        while await self._pause():
            number += 1
            key = f"{self._prefix}/register/{place}/{number % KEYS_PER_WRITER}"
            state = None if number % DELETE_EACH == 0 else str(number)
            if state is None:
                ended = await self.told.ending(client.delete(key))
            else:
                size = LARGE_BYTES if number % LARGE_EACH == 1 else len(state)
                ended = await self.told.ending(client.put(key, state.ljust(size, ".")))
            self.told.registers.setdefault(key, []).append((state, ended))

    async def _count(self, place: int, client: Client) -> None:
        """Add to a counter that all nodes share, and to a set."""
        key = f"{self._prefix}/counter"
        sums = self.told.sums.setdefault(key, {})
        number = 0
        while await self._pause():
            number += 1
            ended = await self.told.ending(client.counter(key).increment(number))
            sums[ended] = sums.get(ended, 0) + number
            member = f"{place}/{number % KEYS_PER_WRITER}"
            adding = client.set(f"{self._prefix}/set").add(member)
            if (
                await self.told.ending(adding) == "acknowledged"
                and member not in self.told.members
            ):
                self.told.members.append(member)

    async def _travel(self, place: int) -> None:
        """Write at one node and read at the next, as one session (S1)."""
        key, token, number = f"{self._prefix}/travel/{place}", b"", 0
        while await self._pause():
            number += 1
            here = self._clients[(place + number) % len(self._clients)]
            there = self._clients[(place + number + 1) % len(self._clients)]
            session: Session = here.session(token)
            if await self.told.ending(session.put(key, str(number))) != "acknowledged":
                continue
            token = session.token
            session = there.session(token)
            try:
                found = await session.get(key)
            except KvError as error:
                self.told.note(f"{type(error).__name__} of a read")
                continue
            token = session.token
            if found is None or int(found.value) < number:
                self.told.missed.append(f"{key}: {number}, but {found}")

    async def _read(self) -> None:
        """Read at whichever node answers: nobody should notice that one is away."""
        while await self._pause():
            await self._any.get(f"{self._prefix}/travel/0")
            self.told.reads += 1


async def basic(endpoint: str) -> None:
    """Make one call of each kind to a node that has no keys yet."""
    async with Client(endpoint) as client:
        await _registers(client)
        await _lists_and_batches(client)
        await _merged_types(client)
        await _sessions_and_watches(client)
        status = await client.status()
        assert status.replica, status
        assert (await client.digest()).live_count > 0


async def _registers(client: Client) -> None:
    written = await client.put("r", b"1", metadata={"a": 1}, ttl=3600.0)
    found = await client.get("r")
    assert found is not None
    assert (found.value, found.metadata, found.kind) == (b"1", {"a": 1}, Kind.REGISTER)
    assert found.expires_at is not None
    assert not (await client.put("r", b"2", if_absent=True)).applied
    assert (await client.put("r", b"2", if_version=written.version)).applied
    large = b"x" * LARGE_BYTES
    await client.put("large", large)
    kept = await client.get("large")
    assert kept is not None
    assert kept.value == large
    await client.delete("r")
    assert await client.get("r") is None


async def _lists_and_batches(client: Client) -> None:
    results = await client.batch([Put("l/1", b"1"), Put("l/2", b"2"), Get("l/1")])
    assert len(results) == 3
    assert [item.key async for item in client.scan("l/")] == [b"l/1", b"l/2"]
    await client.batch([Delete("l/1")])
    assert [item.key for item in await client.list("l/")] == [b"l/2"]


async def _merged_types(client: Client) -> None:
    assert await client.counter("c").increment(2) == 2
    assert await client.set("s").add(b"x", b"y") == 2
    assert await client.set("s").remove(b"x") == 1
    try:
        await client.counter("s").increment()
    except WrongTypeError:
        pass
    else:
        msg = "a set was counted"
        raise AssertionError(msg)


async def _sessions_and_watches(client: Client) -> None:
    session = client.session()
    await session.put("w/1", b"1")
    found = await client.session(session.token).get("w/1")
    assert found is not None
    async for step in client.watch("w/", from_start=True):
        if any(change.key == b"w/1" for change in step.changes):
            break


async def _load(prefix: str, endpoints: list[str]) -> None:
    load = Load(prefix, endpoints)
    await load.run()
    print(json.dumps(asdict(load.told)), flush=True)  # noqa: T201 -- its report


def main() -> None:
    """Do what the arguments say."""
    print(kvnode.__path__[0], flush=True)  # noqa: T201 -- which version this is
    match sys.argv[1:]:
        case ["basic", endpoint]:
            asyncio.run(basic(endpoint))
        case ["load", prefix, *endpoints]:
            asyncio.run(_load(prefix, endpoints))
        case other:
            sys.exit(f"basic or load, not {other}")
