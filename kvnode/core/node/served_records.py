"""
Large records that peers are pulling, kept encoded while they do (rule D6).

A pull takes many requests.  All of them must see one record, though the entry
may be superseded meanwhile; so the record is kept from the first chunk to the
last, for a bounded number of pulls.
"""

from kvnode.core.node.turn import Turn
from kvnode.core.replication.fetch import serve
from kvnode.core.replication.messages import FetchChunk, FetchRequest
from kvnode.core.versions.record import WIRE, encode
from kvnode.errors import DamagedRecordError
from kvnode.types import Dot, ReplicaId

SERVED_RECORDS_MAX = 8
"""200 MiB at the very most; the oldest pull starts over if there are more."""


class ServedRecords:
    """Encoded records by peer and number of the pull."""

    def __init__(self) -> None:
        self._records: dict[tuple[ReplicaId, int], tuple[Dot, bytes]] = {}

    def serve(
        self, peer: ReplicaId, request: FetchRequest, turn: Turn
    ) -> list[FetchChunk]:
        """Return the window of chunks that *request* asks for."""
        place = (peer, request.fetch)
        if place not in self._records or request.offset == 0:
            self._keep(place, request, turn)
            # What was sent before may be of another state: begin again.
            request = request._replace(offset=0)
        dot, record = self._records[place]
        chunks = serve(request, dot, record)
        last = chunks[-1] if chunks else None
        if last is None or last.offset + len(last.data) >= last.total:
            del self._records[place]
        return chunks

    def _keep(
        self, place: tuple[ReplicaId, int], request: FetchRequest, turn: Turn
    ) -> None:
        try:
            stored = turn.entry(request.key)
        except DamagedRecordError:
            stored = None
        self._records.pop(place, None)
        while len(self._records) >= SERVED_RECORDS_MAX:
            del self._records[next(iter(self._records))]
        if stored is None:
            self._records[place] = (request.dot, b"")
        else:
            self._records[place] = (stored.version.dot, encode(stored, WIRE))

    def drop_of(self, peer: ReplicaId) -> None:
        """Forget what *peer* was pulling: its connection is gone."""
        self._records = {p: r for p, r in self._records.items() if p[0] != peer}
