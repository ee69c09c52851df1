"""
Operations of histories as calls of kvnode's client library.

One client for two worlds: it speaks to whatever offers the data methods, be it a
session over gRPC or one of the simulation, and takes time from the event loop.

| f | argument | result |
| --- | --- | --- |
| `read` | nothing, or ("max_staleness_ms", n) | value or None |
| `write` | value | |
| `write-expiring` | (value, ttl in ms) | |
| `delete` | | |
| `cas` | (expected, new) | True or False |
| `add`, `value` | amount; nothing | nothing; sum |
| `insert`, `remove`, `members` | member; nothing | nothing; sorted members |
| `append`, `text` | text; nothing | nothing; the whole text |
| `txn` | micro-operations ("r" or "w", key, value) | the same, reads filled in |
| `watch` | (prefix, ms) | (key, value, version) of each change |
| `conflicts` | | values that lost, None for a deletion |

What changes nothing and fails, certainly did not happen.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pycrdt import Text

from jepsen_like.adapters.kvnode_values import (
    answer,
    change_of,
    decode,
    encode,
    member_order,
    micro_operation,
    written,
    wrong,
)
from jepsen_like.history.operation import Key, Value
from jepsen_like.system import (
    Answer,
    FailedError,
    IndeterminateError,
    ProcessEndedError,
)
from kvnode.client import (
    BatchResults,
    Changes,
    ConflictPage,
    CounterHandle,
    DocumentHandle,
    Get,
    Kind,
    Put,
    SetHandle,
    Step,
    WriteResult,
)
from kvnode.client import Value as Stored
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    Outcome,
    SessionLostError,
)

TEXT_ROOT = "text"
"""Where in a document the text is that `append` makes longer."""

EDIT_BITS = 24
"""Edits of one process, in the low bits of a Yjs client number of 53 bits."""

WATCHED_CHANGES_MAX = 10_000
"""One `watch` returns early with so many; the next goes on from there."""

_READS = frozenset(("read", "value", "members", "text", "watch", "conflicts"))
"""What changes nothing: if it fails, it did not happen."""


class DataStore(Protocol):
    """The data methods of a session, as far as they are used here."""

    @property
    def token(self) -> bytes:
        """What the session has seen so far."""

    async def get(
        self, key: str, *, max_staleness: float | None = None
    ) -> Stored | None:
        """Read a key."""

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        ttl: float | None = None,
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> WriteResult:
        """Store a register."""

    async def delete(self, key: str) -> WriteResult:
        """Remove a key."""

    async def batch(self, steps: Sequence[Step]) -> BatchResults:
        """Do several steps in one transaction of the node."""

    async def conflicts(self, key: str) -> ConflictPage:
        """Return what lost under a key."""

    def counter(self, key: str) -> CounterHandle:
        """Return a handle on a counter."""

    def set(self, key: str) -> SetHandle:
        """Return a handle on a set."""

    def document(self, key: str) -> DocumentHandle:
        """Return a handle on a document."""


class Watch(Protocol):
    """Begins a watch; see `kvnode.client.Client.watch`."""

    def __call__(
        self, prefix: str, *, resume_token: bytes, from_start: bool
    ) -> AsyncGenerator[Changes, None]:
        """Yield the steps of a watch."""


@dataclass(slots=True)
class Memory:
    """
    What one process carries from node to node; kept by the system.

    Attributes:
        process: Its number.
        token: Of its session.
        watches: Where its watches are to go on, by prefix.
        edits: How many documents it has edited, each time as another author.
    """

    process: int
    token: bytes = b""
    watches: dict[str, bytes] = field(default_factory=dict)
    edits: int = 0


class KvnodeClient:
    """One process at one node; a `jepsen_like.system.Client`."""

    def __init__(
        self,
        session: Callable[[bytes], DataStore],
        watch: Watch,
        memory: Memory,
        close: Callable[[], Awaitable[None]],
        *,
        padding: Callable[[], int] = lambda: 0,
    ) -> None:
        """
        Make a client.

        Args:
            session: Returns a session at the node that has seen what a token says.
                Each operation has one of its own: its process may have been at
                other nodes since the last one here.
            watch: Begins watches at the same node.
            memory: Of the process; renewed after each operation.
            close: Lets go of the connection.
            padding: Returns by how many bytes a register's value is made longer
                than it need be: JSON may end in blanks.
        """
        self._padding = padding
        self._session = session
        self._store = session(memory.token)
        self._watch = watch
        self._memory = memory
        self._close = close

        self._operations: dict[str, Callable[[str, Value], Awaitable[Answer]]] = {
            "read": self._read,
            "write": self._write,
            "write-expiring": self._write_expiring,
            "delete": self._delete,
            "cas": self._cas,
            "add": self._add,
            "value": self._value,
            "insert": self._insert,
            "remove": self._remove,
            "members": self._members,
            "append": self._append,
            "text": self._text,
            "txn": self._txn,
            "watch": self._watch_for,
            "conflicts": self._conflicts,
        }

    async def invoke(self, f: str, key: Key, argument: Value) -> Answer:
        """
        Perform one operation; see the module's table.

        Raises:
            FailedError: It did not happen.
            ProcessEndedError: Nor did it; what its session had seen is lost.
            IndeterminateError: It may have happened.
            ValueError: There is no such operation, or its argument is another's.
        """
        operation = self._operations.get(f)
        if operation is None:
            msg = f"there is no operation {f!r}: only {', '.join(self._operations)}"
            raise ValueError(msg)
        self._store = self._session(self._memory.token)
        try:
            return await operation(str(key), argument)
        except KvError as error:
            said = f"{type(error).__name__}: {error}"
            if isinstance(error, SessionLostError):
                raise ProcessEndedError(said) from error
            if error.outcome is Outcome.FAILED or f in _READS:
                raise FailedError(said) from error
            raise IndeterminateError(said) from error
        finally:
            self._memory.token = self._store.token

    async def close(self) -> None:
        """Let go of the connection."""
        await self._close()

    # -- registers -----------------------------------------------------------

    async def _read(self, key: str, argument: Value) -> Answer:
        match argument:
            case None:
                return answer(await self._store.get(key))
            case ("max_staleness_ms", int(bound)):
                return answer(await self._store.get(key, max_staleness=bound / 1000))
            case _:
                raise wrong(argument, "read")

    async def _write(self, key: str, argument: Value) -> Answer:
        return written(await self._store.put(key, self._encoded(argument)))

    async def _write_expiring(self, key: str, argument: Value) -> Answer:
        match argument:
            case (value, int(ttl_ms)):
                wrote = await self._store.put(
                    key, self._encoded(value), ttl=ttl_ms / 1000
                )
                return written(wrote)
            case _:
                raise wrong(argument, "write-expiring")

    def _encoded(self, value: Value) -> bytes:
        return encode(value) + b" " * self._padding()

    async def _delete(self, key: str, _: Value) -> Answer:
        return written(await self._store.delete(key))

    async def _cas(self, key: str, argument: Value) -> Answer:
        """Read, compare, and write on the condition that the version is the same."""
        match argument:
            case (expected, new):
                pass
            case _:
                raise wrong(argument, "cas")
        with _nothing_changed():
            found = await self._store.get(key)
        held = answer(found)
        if held.value != expected:
            return held._replace(value=False)
        if found is None:
            wrote = await self._store.put(key, self._encoded(new), if_absent=True)
        else:
            stored = self._encoded(new)
            wrote = await self._store.put(key, stored, if_version=found.version)
        return written(wrote)._replace(value=wrote.applied)

    async def _conflicts(self, key: str, _: Value) -> Answer:
        page = await self._store.conflicts(key)
        return Answer(
            tuple(
                None if lost.kind is Kind.ABSENT else decode(lost.value)
                for lost in page
            )
        )

    # -- values that merge ---------------------------------------------------

    async def _add(self, key: str, argument: Value) -> Answer:
        if not isinstance(argument, int):
            raise wrong(argument, "add")
        await self._store.counter(key).increment(argument)
        return Answer()

    async def _value(self, key: str, _: Value) -> Answer:
        return Answer(await self._store.counter(key).value())

    async def _insert(self, key: str, argument: Value) -> Answer:
        await self._store.set(key).add(encode(argument))
        return Answer()

    async def _remove(self, key: str, argument: Value) -> Answer:
        await self._store.set(key).remove(encode(argument))
        return Answer()

    async def _members(self, key: str, _: Value) -> Answer:
        held = map(decode, await self._store.set(key).members())
        return Answer(tuple(sorted(held, key=member_order)))

    async def _append(self, key: str, argument: Value) -> Answer:
        """Load a document, add to its end, and save what was added."""
        if not isinstance(argument, str):
            raise wrong(argument, "append")
        handle = self._store.document(key)
        with _nothing_changed():
            document = await handle.load(author=self._next_author())
        body = document.get(TEXT_ROOT, type=Text)
        body += argument
        await handle.save(document)
        return Answer()

    def _next_author(self) -> int:
        """
        Return an author for one edit.

        None is used twice: after an edit that may or may not have arrived, the
        same one would number two different edits alike.  None is drawn by chance,
        so that a simulated run is the same each time.
        """
        memory = self._memory
        memory.edits += 1
        assert memory.edits < 1 << EDIT_BITS, "edits of one process are numbered"
        return (memory.process + 1 << EDIT_BITS) + memory.edits

    async def _text(self, key: str, _: Value) -> Answer:
        document = await self._store.document(key).load()
        return Answer(str(document.get(TEXT_ROOT, type=Text)))

    # -- several keys --------------------------------------------------------

    async def _txn(self, _: str, argument: Value) -> Answer:
        """
        Do micro-operations as one batch.

        The node reads what was stored before the batch; what the transaction
        itself wrote before a read is known here.
        """
        if not isinstance(argument, tuple):
            raise wrong(argument, "txn")
        asked = [micro_operation(step) for step in argument]
        results = await self._store.batch(
            [
                Put(str(key), self._encoded(value)) if f == "w" else Get(str(key))
                for f, key, value in asked
            ]
        )
        own: dict[str, Value] = {}
        done: list[Value] = []
        for (f, key, value), result in zip(asked, results, strict=True):
            if f == "w":
                own[str(key)] = value
                done.append((f, key, value))
            else:
                assert not isinstance(result, WriteResult), "a get gives a value"
                read = own.get(str(key), answer(result).value)
                done.append((f, key, read))
        return Answer(tuple(done))

    async def _watch_for(self, _: str, argument: Value) -> Answer:
        """
        Return what a watch shows in that time.

        It goes on where this process's last one of the prefix stopped; the first
        begins with all that is there, as does the one after a node has refused that
        place: what was deleted since is forgotten, and everything must be looked at.

        Raises:
            FailedError: No node let the watch begin.
        """
        match argument:
            case (str(prefix), int(milliseconds)):
                pass
            case _:
                raise wrong(argument, "watch")
        seen: list[Value] = []
        resume, began = self._memory.watches.get(prefix, b""), False
        steps = self._watch(prefix, resume_token=resume, from_start=not resume)
        try:
            async with asyncio.timeout(milliseconds / 1000), aclosing(steps):
                async for step in steps:
                    began = True
                    seen += map(change_of, step.changes)
                    self._memory.watches[prefix] = step.resume_token or resume
                    if len(seen) >= WATCHED_CHANGES_MAX:
                        break
        except TimeoutError:
            if not began:
                msg = f"no watch of {prefix!r} stood within {milliseconds} ms"
                raise FailedError(msg) from None
        except InvalidArgumentError:
            self._memory.watches.pop(prefix, None)
            raise
        return Answer(tuple(seen))


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Say of what fails in here that the operation did not happen."""
    try:
        yield
    except SessionLostError:
        raise  # it says so itself, and more
    except KvError as error:
        msg = f"{type(error).__name__}: {error}"
        raise FailedError(msg) from error
