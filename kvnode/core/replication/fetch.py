"""
Pulling large values: one announced entry at a time, in chunks.

A few pulls run at once and the rest wait in order, so that the memory they need
is bounded by FETCHES_MAX values whatever a peer announces.  A pull that goes
silent is asked for again from where it stopped: a peer whose turn failed for want
of room has forgotten the request, and its connection stands.
"""

from collections import deque
from dataclasses import dataclass, field

from kvnode.core.replication.messages import (
    CHUNK_BYTES,
    FETCH_WINDOW_CHUNKS,
    FetchChunk,
    FetchRequest,
)
from kvnode.core.versions.version import NEVER
from kvnode.errors import PeerProtocolError
from kvnode.limits import METADATA_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.types import Dot, EntryKey, Millis, ReplicaId

FETCHES_MAX = 4
RECORD_BYTES_MAX = VALUE_BYTES_MAX + METADATA_BYTES_MAX + 64 * 1024
WANTED_MAX = 4096
"""More announcements than this wait for a delta instead."""

SILENCE_MAX = Millis(5000)
"""A pull without a chunk for this long is asked for again."""


@dataclass(slots=True)
class _Pull:
    key: EntryKey
    dot: Dot
    peer: ReplicaId
    heard_at: Millis = NEVER
    window_end: int = 0  # chunks up to here have been asked for
    data: bytearray = field(default_factory=bytearray)

    def request(self, number: int, now: Millis) -> FetchRequest:
        """Return the request for the next window."""
        self.heard_at = now
        self.window_end = len(self.data) + CHUNK_BYTES * FETCH_WINDOW_CHUNKS
        return FetchRequest(number, self.key, self.dot, len(self.data))


class Fetches:
    """Pulls under way and waiting, of one node."""

    def __init__(self) -> None:
        self._running: dict[int, _Pull] = {}
        self._waiting: deque[_Pull] = deque()
        self._wanted: set[tuple[ReplicaId, EntryKey]] = set()
        self._next = 0

    def want(self, peer: ReplicaId, key: EntryKey, dot: Dot) -> bool:
        """Plan to pull *key* from *peer*; tell whether there was room."""
        if (peer, key) in self._wanted:
            return True
        if len(self._wanted) >= WANTED_MAX:
            return False
        self._wanted.add((peer, key))
        self._waiting.append(_Pull(key, dot, peer))
        return True

    def wants(self, peer: ReplicaId, key: EntryKey) -> bool:
        """Tell whether *key* is being pulled from *peer*, or is going to be."""
        return (peer, key) in self._wanted

    def start(self, now: Millis) -> list[tuple[ReplicaId, FetchRequest]]:
        """Return requests for as many waiting pulls as may run now."""
        requests = []
        while self._waiting and len(self._running) < FETCHES_MAX:
            pull = self._waiting.popleft()
            self._next += 1
            self._running[self._next] = pull
            requests.append((pull.peer, pull.request(self._next, now)))
        return requests

    def repeat(self, now: Millis) -> list[tuple[ReplicaId, FetchRequest]]:
        """Return the requests of pulls that have gone silent, to send again."""
        return [
            (pull.peer, pull.request(number, now))
            for number, pull in self._running.items()
            if abs(now - pull.heard_at) > SILENCE_MAX  # clocks may jump back
        ]

    def chunk(
        self, peer: ReplicaId, message: FetchChunk, now: Millis
    ) -> FetchRequest | tuple[EntryKey, bytes] | None:
        """
        Take in one chunk.

        Returns:
            The key with its whole record (empty if the peer has none), the
            next request if a window ended, or None: wait for more.

        Raises:
            PeerProtocolError: The chunk does not continue the pull.
        """
        pull = self._running.get(message.fetch)
        if pull is None or pull.peer != peer:
            return None  # of a pull given up
        if message.total > RECORD_BYTES_MAX:
            msg = f"a record of {message.total} bytes is over {RECORD_BYTES_MAX}"
            raise PeerProtocolError(msg)
        if message.dot != pull.dot or (pull.data and not message.offset):
            # Superseded while it was being pulled: the newer one starts over.  A
            # CRDT's state may have changed under the same dot.
            pull.dot = message.dot
            pull.data.clear()
            pull.window_end = CHUNK_BYTES * FETCH_WINDOW_CHUNKS
        if message.offset != len(pull.data):
            return None  # a rest of the window before starting over
        pull.data += message.data
        pull.heard_at = now
        if len(pull.data) >= message.total:
            del self._running[message.fetch]
            self._wanted.discard((peer, pull.key))
            return pull.key, bytes(pull.data)
        if len(pull.data) >= pull.window_end:
            return pull.request(message.fetch, now)
        return None

    def forget(self) -> None:
        """
        Give up all pulls.

        Their numbers are not used again: chunks on their way must not be taken
        for another pull's.
        """
        self._running.clear()
        self._waiting.clear()
        self._wanted.clear()

    def drop_of(self, peer: ReplicaId) -> None:
        """Give up all pulls from *peer*: its connection is gone."""
        self._running = {n: p for n, p in self._running.items() if p.peer != peer}
        self._waiting = deque(p for p in self._waiting if p.peer != peer)
        self._wanted = {(r, k) for r, k in self._wanted if r != peer}


def serve(request: FetchRequest, dot: Dot, record: bytes) -> list[FetchChunk]:
    """
    Return one window of chunks of *record*, the one held now under *dot*.

    If that is not the one asked for, the window starts at its beginning.
    """
    if not record:
        return [FetchChunk(request.fetch, request.dot, 0, 0, b"")]
    start = request.offset if dot == request.dot else 0
    end = min(len(record), start + CHUNK_BYTES * FETCH_WINDOW_CHUNKS)
    return [
        FetchChunk(request.fetch, dot, at, len(record), record[at : at + CHUNK_BYTES])
        for at in range(start, end, CHUNK_BYTES)
    ]
