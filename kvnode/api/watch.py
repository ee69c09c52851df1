"""
Watching a prefix: the newest value of each key that changed.

A watch is a delta to a client: its resume token is a version vector, and what
has changed since is found through the index as for a peer.  So a token works at
every node, and a client that was away gets each changed key once, with its
newest value, not the history.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import checked_prefix
from kvnode.api.port import NodePort
from kvnode.api.reads import Reader, conflict_message, fill_entry
from kvnode.core.clocks.clock_codec import decode_clock, encode_clock
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.delta import lacking_entries
from kvnode.core.versions.store_view import Commit
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import CorruptRecordError, InvalidArgumentError, OverloadedError
from kvnode.types import EntryKey

CHANGES_PER_REPLY = 500
REPLY_BYTES = 1024 * 1024
CONFLICTS_WAITING_MAX = 1000
WATCHERS_MAX = 1000
"""Each watcher looks at every commit: this bounds what a write costs."""


class Watches:
    """The watchers of one node."""

    def __init__(self, node: NodePort, reader: Reader) -> None:
        self._node = node
        self._reader = reader
        self._count = 0

    async def watch(self, request: pb.WatchRequest) -> AsyncIterator[pb.WatchReply]:
        """
        Yield changes until the caller stops.

        The first reply comes at once, with a token to resume from.

        Raises:
            InvalidArgumentError: The token or the prefix is wrong.
            NamespaceNotFoundError: There is no such namespace.
            OverloadedError: There are too many watchers.
        """
        namespace = self._reader.namespace_of(request.namespace)
        prefix = checked_prefix(request.prefix)
        clock = self._start(request)
        if self._count >= WATCHERS_MAX:
            msg = f"{WATCHERS_MAX} watchers are served by this node; try another one"
            raise OverloadedError(msg)
        watcher = _Watcher(self._node, EntryKey(namespace, prefix), clock)
        self._count += 1
        stop = self._node.listen(watcher.on_commit)
        try:
            async for reply in watcher.replies(conflicts=request.conflicts):
                yield reply
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
            return decode_clock(request.resume_token)
        except CorruptRecordError as error:
            msg = "resume_token is not a token that a node gave"
            raise InvalidArgumentError(msg) from error


class _Watcher:
    """One watcher of the keys that begin with `prefix.key`."""

    def __init__(self, node: NodePort, prefix: EntryKey, clock: VersionVector) -> None:
        self._node = node
        self._prefix = prefix
        self._clock = clock
        self._changed = asyncio.Event()
        self._conflicts: deque[pb.Conflict] = deque(maxlen=CONFLICTS_WAITING_MAX)
        # Entries sent before the node covered them: they would be found again.
        self._uncovered: dict[bytes, Version] = {}

    def on_commit(self, commit: Commit) -> None:
        """Wake up if *commit* touches the prefix."""
        if any(map(self._matches, (write.key for write in commit.writes))):
            self._changed.set()
        for key, log in commit.conflicts.items():
            if self._matches(key) and log:
                self._conflicts.append(conflict_message(key, log[-1]))
                self._changed.set()

    def _matches(self, key: EntryKey) -> bool:
        return key.namespace == self._prefix.namespace and key.key.startswith(
            self._prefix.key
        )

    async def replies(self, *, conflicts: bool) -> AsyncIterator[pb.WatchReply]:
        """Yield changes, round by round, for ever."""
        first = True
        while True:
            self._changed.clear()
            async for reply in self._round(conflicts=conflicts):
                if first or reply.changes or reply.conflicts:
                    yield reply
                first = False
            await self._changed.wait()

    async def _round(self, *, conflicts: bool) -> AsyncIterator[pb.WatchReply]:
        """
        Yield all that has changed since the last round, from one snapshot.

        Only the last reply moves the token: one that is lost before it comes
        again after resuming.
        """
        with self._node.snapshot() as view:
            covered = view.state().clock
            reply = pb.WatchReply(resume_token=encode_clock(self._clock))
            for change in self._changes(lacking_entries(view, self._clock), covered):
                reply.changes.append(change)
                if (
                    len(reply.changes) >= CHANGES_PER_REPLY
                    or reply.ByteSize() >= REPLY_BYTES
                ):
                    yield reply
                    reply = pb.WatchReply(resume_token=reply.resume_token)
        self._clock = self._clock.join(covered)
        reply.resume_token = encode_clock(self._clock)
        if conflicts:
            reply.conflicts.extend(self._conflicts)
            self._conflicts.clear()
        yield reply

    def _changes(
        self, lacking: Iterator[tuple[EntryKey, Entry]], covered: VersionVector
    ) -> Iterator[pb.WatchReply.Change]:
        """Yield changes of the prefix, each uncovered version only once."""
        before, self._uncovered = self._uncovered, {}
        now = self._node.now()
        for key, entry in lacking:
            if not self._matches(key):
                continue
            version = entry.version
            if not covered.covers_all(version.index_dots):
                self._uncovered[key.key] = version
            if before.get(key.key) != version:
                change = pb.WatchReply.Change(key=key.key)
                fill_entry(change.entry, entry, now)
                yield change
