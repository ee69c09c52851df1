"""
Handles on documents: pycrdt (Yjs) documents that several places edit at once.

A handle remembers the state vector of what the node is known to have, and sends
only what lies beyond it.  Since other nodes may lag behind that one, documents
that are edited through changing nodes belong in a session, in which a node first
catches up (S1).

pycrdt objects belong to the thread that made them, so what touches a document
(`Exchange`) is apart from what waits for the network (`DocumentHandle`); the
synchronous client runs the two in different threads.

References:
    Nicolaescu, Jahns, Derntl & Klamma, 2016.  Near real-time peer-to-peer shared
        editing on extensible data types.  (YATA, the algorithm of Yjs.)
"""

from typing import TYPE_CHECKING, Any

from kvnode._pb import kv_pb2
from kvnode.client.arguments import key_bytes, set_read_options, set_write_options
from kvnode.client.handles import Runner
from kvnode.client.values import Key
from kvnode.errors import InvalidArgumentError
from kvnode.limits import DOCUMENT_BYTES_MAX

if TYPE_CHECKING:
    from pycrdt import Doc

_EMPTY_UPDATE = b"\x00\x00"  # Yjs: no structs, no deletions


class Exchange:
    """What one side of a document knows of the other; does no I/O."""

    def __init__(self) -> None:
        self._seen = b""
        self._asked_at = b""

    def load_request(self) -> kv_pb2.DocumentRequest:
        """Return a request for all that the node has."""
        return kv_pb2.DocumentRequest(want_update=True)

    def loaded(
        self, reply: kv_pb2.DocumentReply, author: int | None = None
    ) -> "Doc[Any]":
        """Return a new document with what the node has, to be edited by *author*."""
        from pycrdt import Doc  # noqa: PLC0415 - most users need no documents

        document: Doc[Any] = Doc(client_id=author)
        if reply.update:
            document.apply_update(reply.update)
        self._seen = document.get_state()
        return document

    def save_request(self, document: "Doc[Any]") -> kv_pb2.DocumentRequest | None:
        """Return a request with what the node lacks; None if it lacks nothing."""
        self._asked_at = document.get_state()
        update = self._missing_there(document)
        return kv_pb2.DocumentRequest(update=update) if update else None

    def saved(self) -> None:
        """Note that the node has what the last request held."""
        self._seen = self._asked_at

    def sync_request(self, document: "Doc[Any]") -> kv_pb2.DocumentRequest:
        """Return a request with what the node lacks, for what *document* lacks."""
        self._asked_at = document.get_state()
        return kv_pb2.DocumentRequest(
            update=self._missing_there(document),
            state_vector=self._asked_at,
            want_update=True,
        )

    def synced(self, document: "Doc[Any]", reply: kv_pb2.DocumentReply) -> None:
        """Apply what the node had and *document* did not."""
        edited_meanwhile = document.get_state() != self._asked_at
        if reply.update:
            document.apply_update(reply.update)
        # Edits made while we waited are not at the node.
        self._seen = self._asked_at if edited_meanwhile else document.get_state()

    def _missing_there(self, document: "Doc[Any]") -> bytes:
        update = (
            document.get_update(self._seen) if self._seen else document.get_update()
        )
        if len(update) > DOCUMENT_BYTES_MAX:
            msg = (
                f"an update has at most {DOCUMENT_BYTES_MAX} bytes, not {len(update)}:"
                " save more often, or split the document"
            )
            raise InvalidArgumentError(msg)
        return b"" if update == _EMPTY_UPDATE else update


class DocumentHandle:
    """A document; an absent one is empty."""

    def __init__(self, runner: Runner, namespace: str, key: Key) -> None:
        self._runner = runner
        self._namespace = namespace
        self._key = key_bytes(key)
        self.exchange = Exchange()

    async def load(
        self,
        *,
        author: int | None = None,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> "Doc[Any]":
        """
        Return a new pycrdt document with all that the node has.

        Args:
            author: The Yjs client number of its edits, below 2**53 and never used
                before; drawn by chance if None.
            stale_ok: As for all reads.
            max_staleness: As for all reads.
            deadline: Seconds, >= 0.001.
        """
        reply = await self.send(
            self.exchange.load_request(),
            stale_ok=stale_ok,
            max_staleness=max_staleness,
            deadline=deadline,
        )
        return self.exchange.loaded(reply, author)

    async def save(
        self,
        document: "Doc[Any]",
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> None:
        """
        Send what the node lacks of *document*; nothing if it lacks nothing.

        Sending an edit twice does no harm, so a save that failed in doubt can be
        repeated.
        """
        request = self.exchange.save_request(document)
        if request is not None:
            await self.send(
                request, w=w, w_each_region=w_each_region, deadline=deadline
            )
            self.exchange.saved()

    async def sync(
        self,
        document: "Doc[Any]",
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Send what the node lacks and apply what *document* lacks, in one trip."""
        reply = await self.send(
            self.exchange.sync_request(document),
            w=w,
            w_each_region=w_each_region,
            deadline=deadline,
        )
        self.exchange.synced(document, reply)

    async def send(  # noqa: PLR0913 - one argument for each field of the options
        self,
        request: kv_pb2.DocumentRequest,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> kv_pb2.DocumentReply:
        """Send a request of `exchange`, which touches no document."""
        operation = kv_pb2.Operation(document=request)
        request = operation.document
        request.namespace = self._namespace
        request.key = self._key
        set_read_options(
            request.options, stale_ok=stale_ok, max_staleness=max_staleness
        )
        set_write_options(request.options, w=w, w_each_region=w_each_region)
        result = await self._runner.run_operation(
            operation,
            request.options,
            "document",
            deadline,
            writes=bool(request.update),
        )
        return result.document
