"""
Watching a prefix: the newest value of each key that changed.

A watch is a delta to a client: its resume token is a version vector, and what
has changed since is found through the index as for a peer.  So a token works at
every node, and a client that was away gets each changed key once, with its
newest value, not the history.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import checked_prefix
from kvnode.api.port import NodePort
from kvnode.api.reads import Reader, conflict_message, fill_entry
from kvnode.core.clocks.clock_codec import decode_clock, encode_clock
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.delta import lacking_entries
from kvnode.core.versions.store_view import Commit, ConflictRecord, StoreView
from kvnode.core.versions.version import Version
from kvnode.errors import (
    CorruptRecordError,
    DamagedRecordError,
    InvalidArgumentError,
    OverloadedError,
)
from kvnode.types import Dot, EntryKey

CHANGES_PER_REPLY = 500
REPLY_BYTES = 1024 * 1024
CONFLICTS_WAITING_MAX = 1000
CONFLICT_BYTES_MAX = 4 * 1024 * 1024
"""Conflicts beyond these are not reported; the conflict log may have them."""

UNCOVERED_MAX = 10_000
"""Uncovered entries told of; more of them are told of when they are covered."""

ROWS_PER_SLICE = 500
"""Rows looked at before other work gets its turn: about 5 ms."""

ROW_PAUSE_SECONDS = 50e-6
PAUSE_SECONDS_MAX = 5.0
"""
After each row looked at in vain, several times what it took: while a node
catches up, every commit makes a watcher look at all that is uncovered.
"""

WATCHERS_MAX = 1000
"""Each watcher looks at every commit: this bounds what a write costs."""


class Watches:
    """The watchers of one node."""

    def __init__(self, node: NodePort, reader: Reader) -> None:
        self._node = node
        self._reader = reader
        self._count = 0

    async def watch(self, request: pb.WatchRequest) -> AsyncGenerator[pb.WatchReply]:
        """
        Yield changes until the caller stops.

        The first reply comes at once, with a token to resume from.  An open
        snapshot may wait for the caller to come back: it must do so soon.

        Raises:
            InvalidArgumentError: The token or the prefix is wrong, or deletions
                since the token are forgotten.
            UnavailableError: The node is stopping, or is being filled.
            NamespaceNotFoundError: There is no such namespace.
            OverloadedError: There are too many watchers.
            DamagedRecordError: A record that has changed is damaged; with the last
                token, the watch can be resumed when it is whole again.
        """
        self._node.check_serving()
        namespace = self._reader.namespace_of(request.namespace)
        prefix = checked_prefix(request.prefix)
        clock = self._start(request)
        if self._count >= WATCHERS_MAX:
            msg = f"{WATCHERS_MAX} watchers are served by this node; try another one"
            raise OverloadedError(msg)
        watcher = _Watcher(
            self._node,
            EntryKey(namespace, prefix),
            clock,
            wants_conflicts=request.conflicts,
        )
        self._count += 1
        stop = self._node.listen(watcher.on_commit)
        try:
            async with aclosing(watcher.replies()) as replies:
                async for reply in replies:
                    yield reply
        except DamagedRecordError as error:
            self._node.damaged(error.key)
            raise
        finally:
            stop()
            self._count -= 1

    def _start(self, request: pb.WatchRequest) -> VersionVector:
        if request.resume_token and request.from_start:
            msg = "give resume_token or from_start, not both"
            raise InvalidArgumentError(msg)
        if request.from_start:
            return EMPTY
        if not request.resume_token:
            return self._node.clock()
        try:
            clock = decode_clock(request.resume_token)
        except CorruptRecordError as error:
            msg = "resume_token is not a token that a node gave"
            raise InvalidArgumentError(msg) from error
        if not clock.includes(self._node.floor().vector):
            msg = (
                "deletions from after this resume_token are forgotten already, and"
                " would be missed: list the keys, and watch from now on"
            )
            raise InvalidArgumentError(msg)
        return clock


class _Watcher:
    """One watcher of the keys that begin with `prefix.key`."""

    def __init__(
        self,
        node: NodePort,
        prefix: EntryKey,
        clock: VersionVector,
        *,
        wants_conflicts: bool,
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._clock = clock
        self._changed = asyncio.Event()
        self._wants_conflicts = wants_conflicts
        self._conflicts: deque[tuple[EntryKey, ConflictRecord]] = deque()
        self._conflict_bytes = 0
        self._noticed: deque[tuple[EntryKey, Dot]] = deque(maxlen=CONFLICTS_WAITING_MAX)
        # Entries sent before the node covered them: they would be found again.
        self._uncovered: dict[bytes, Version] = {}
        self._rows_in_vain = 0

    def on_commit(self, commit: Commit) -> None:
        """Wake up if *commit* touches the prefix."""
        if any(self._matches(write.key) for write in commit.writes):
            self._changed.set()
        if self._wants_conflicts:
            for key, log in commit.conflicts.items():
                if self._matches(key) and log:
                    self._note_conflicts(key, log)

    def _note_conflicts(self, key: EntryKey, log: tuple[ConflictRecord, ...]) -> None:
        """Keep what is new in *log*: one turn may have noticed several."""
        for record in log:
            place = (key, record.loser.version.dot)
            if record.noticed_at == log[-1].noticed_at and place not in self._noticed:
                self._noticed.append(place)
                self._conflicts.append((key, record))
                self._conflict_bytes += len(record.loser.value)
        while len(self._conflicts) > CONFLICTS_WAITING_MAX or (
            self._conflict_bytes > CONFLICT_BYTES_MAX and len(self._conflicts) > 1
        ):
            _, dropped = self._conflicts.popleft()
            self._conflict_bytes -= len(dropped.loser.value)
        self._changed.set()

    def _matches(self, key: EntryKey) -> bool:
        return key.namespace == self._prefix.namespace and key.key.startswith(
            self._prefix.key
        )

    async def replies(self) -> AsyncGenerator[pb.WatchReply]:
        """Yield changes, round by round, for ever."""
        first = True
        while True:
            self._changed.clear()
            tells = first
            async with aclosing(self._round()) as replies:
                async for reply in replies:
                    # The last reply may be empty and still move the token.
                    tells = tells or bool(reply.changes or reply.conflicts)
                    if tells:
                        yield reply
            first = False
            pause = self._rows_in_vain * ROW_PAUSE_SECONDS
            await asyncio.sleep(min(pause, PAUSE_SECONDS_MAX))
            await self._changed.wait()

    async def _round(self) -> AsyncGenerator[pb.WatchReply]:
        """
        Yield all that has changed since the last round, from one snapshot.

        Only the last reply moves the token: one that is lost before it comes
        again after resuming.
        """
        with self._node.snapshot() as view:
            covered = view.state().clock
            reply = pb.WatchReply(resume_token=encode_clock(self._clock))
            async for change in self._changes(view, covered):
                reply.changes.append(change)
                if (
                    len(reply.changes) >= CHANGES_PER_REPLY
                    or reply.ByteSize() >= REPLY_BYTES
                ):
                    yield reply
                    reply = pb.WatchReply(resume_token=reply.resume_token)
        self._clock = self._clock.join(covered)
        reply.resume_token = encode_clock(self._clock)
        noticed, self._conflict_bytes = tuple(self._conflicts), 0
        self._conflicts.clear()
        reply.conflicts.extend(conflict_message(*conflict) for conflict in noticed)
        yield reply

    async def _changes(
        self, view: StoreView, covered: VersionVector
    ) -> AsyncIterator[pb.WatchReply.Change]:
        """Yield changes of the prefix, each uncovered version only once."""
        before, self._uncovered = self._uncovered, {}
        self._rows_in_vain = 0
        now = self._node.now()
        lacking = lacking_entries(view, self._clock)
        for rows, (key, entry) in enumerate(lacking, 1):
            if rows % ROWS_PER_SLICE == 0:
                await asyncio.sleep(0)
            if self._is_news(key, entry.version, covered, before):
                change = pb.WatchReply.Change(key=key.key)
                fill_entry(change.entry, entry, now)
                yield change
            else:
                self._rows_in_vain += 1

    def _is_news(
        self,
        key: EntryKey,
        version: Version,
        covered: VersionVector,
        before: dict[bytes, Version],
    ) -> bool:
        if not self._matches(key):
            return False
        told = before.get(key.key) == version
        if not covered.covers_all(version.index_dots):
            if len(self._uncovered) >= UNCOVERED_MAX:
                return False
            self._uncovered[key.key] = version
        return not told
