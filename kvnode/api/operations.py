"""
Operations: one request in, one result out, whichever road it came by.

Reads that need not wait are answered at once.  Everything else ends in a
callback: writes when their turn is durable, waiting reads when the node has what
the session has seen (rules S2, S3).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from kvnode._pb import kv_pb2 as pb
from kvnode.api.commands import batch_of, command_of
from kvnode.api.limits import checked_patience, checked_replicas
from kvnode.api.port import NodePort
from kvnode.api.reads import (
    Reader,
    Reading,
)
from kvnode.api.status_map import to_message
from kvnode.api.tokens import (
    check_may_write,
    decode_session,
    encode_session,
    encode_version,
)
from kvnode.api.write_replies import DataRequest, fill_write
from kvnode.core.node.commands import LOCAL
from kvnode.core.node.events import Reply
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import (
    DamagedRecordError,
    InvalidArgumentError,
    KvError,
    NotCoveredError,
    SessionLostError,
)
from kvnode.types import LostWrites

SHOWN_MAX = 4
"""Replicas that the message of an error names: it is to fit into a line of a log."""

Sink = Callable[[pb.OperationResult], None]
"""Takes a finished result; called once for each operation."""

Waiting = set[asyncio.Task[None]]
"""Operations of one caller that wait; each leaves it by itself."""


class _Call(NamedTuple):
    """One operation on its way: what was asked, and where its result goes."""

    request: DataRequest
    options: pb.Options
    result: pb.OperationResult
    sink: Sink
    waiting: Waiting


class Operations:
    """Runs the operations of one node."""

    def __init__(self, node: NodePort, reader: Reader) -> None:
        self._node = node
        self._reader = reader

    def run(
        self,
        operations: Iterable[pb.Operation],
        view: StoreView,
        sink: Sink,
        waiting: Waiting,
        *,
        unary: bool,
    ) -> None:
        """
        Run *operations* in order; each result goes to *sink*, now or later.

        Args:
            operations: As the client sent them.
            view: A snapshot that stays open during this call.
            sink: Takes each result.
            waiting: Holds operations that wait for what their session has seen;
                the caller cancels them when nobody wants the results any more.
            unary: Alone in its call: the reply always carries a token.
        """
        # Most operations ask for nothing special and share one reading.
        plain = self._reading(view, NEW_SESSION, want_session=unary, stale=False)
        for operation in operations:
            result = pb.OperationResult(id=operation.id)
            try:
                self._run_one(operation, plain, result, sink, waiting)
            except KvError as error:
                sink(self._failed(result, error))

    def _run_one(
        self,
        operation: pb.Operation,
        plain: Reading,
        result: pb.OperationResult,
        sink: Sink,
        waiting: Waiting,
    ) -> None:
        self._node.check_serving()
        kind = operation.WhichOneof("kind")
        if kind is None:
            msg = f"operation {operation.id} says nothing to do"
            raise InvalidArgumentError(msg)
        if kind == "conflicts":
            result.conflicts.SetInParent()
            self._reader.conflicts(operation.conflicts, result.conflicts, plain)
            sink(result)
            return
        request: DataRequest = getattr(operation, kind)
        options = request.options
        call = _Call(request, options, result, sink, waiting)
        if options.session or options.want_session or options.max_staleness_ms:
            self._with_session(call, plain)
        else:
            self._go(call, plain)

    def _with_session(self, call: _Call, plain: Reading) -> None:
        """Run a call that asks for more than what is here now."""
        options = call.options
        want_session = plain.want_session or options.want_session
        session = decode_session(options.session)
        ready = self._node.covers(session) and not self._too_far_behind(options)
        if ready or options.stale_ok:
            at = self._reading(
                plain.view, session, want_session=want_session, stale=not ready
            )
            self._go(call, at)
        else:
            self._later(call, session, want_session=want_session)

    def _later(self, call: _Call, session: Session, *, want_session: bool) -> None:
        """Run a call once this node has what its session has seen."""
        patience = checked_patience(call.options.deadline_ms)

        async def wait() -> None:
            try:
                await self._until_ready(call.options, session, patience / 1000)
                self._node.check_serving()  # it may have stopped meanwhile (D10)
                with self._node.snapshot() as view:
                    at = self._reading(
                        view, session, want_session=want_session, stale=False
                    )
                    self._go(call, at)
            except KvError as error:
                call.sink(self._failed(call.result, error))

        task = asyncio.create_task(wait())
        call.waiting.add(task)
        task.add_done_callback(call.waiting.discard)

    async def _until_ready(
        self, options: pb.Options, session: Session, patience_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        if not await self._node.wait_covered(session, patience_s):
            raise self._not_covered(session)
        while behind := self._too_far_behind(options):
            if loop.time() >= deadline:
                raise NotCoveredError(behind)
            await asyncio.sleep(min(0.05, deadline - loop.time()))

    def _not_covered(self, session: Session) -> NotCoveredError | SessionLostError:
        """Return why *session* cannot be served here: not yet, or never."""
        if lost := self._node.lost(session):
            remaining = encode_session(session.without(lost), self._node.floor())
            return SessionLostError(_told(lost), lost=lost, remaining=remaining)
        clock = self._node.clock()
        lacking = [d for d in session.seen if not clock.covers(d)]
        shown = ", ".join(
            f"{encode_version(d)} (has {clock.newest(d.replica)})"
            for d in lacking[:SHOWN_MAX]
        )
        return NotCoveredError(
            f"this node lacks {len(lacking)} of what the session has seen:"
            f" {shown}; wait longer, ask another node, or say stale_ok"
            if lacking
            else "the session has seen what all members have, and this node does"
            " not know yet whether it has; wait longer, ask another node, or say"
            " stale_ok"
        )

    def _too_far_behind(self, options: pb.Options) -> str:
        """Return why the node is staler than allowed; empty if it is not (S3)."""
        bound = options.max_staleness_ms
        if not bound:
            return ""
        for peer in self._node.known_peers():
            behind = self._node.behind(peer.replica)
            if behind is None:
                return (
                    f"this node has not heard from {peer.name} since it started, or"
                    " its clock is not known yet"
                )
            if behind > bound:
                return (
                    f"this node is up to {behind} ms behind {peer.name};"
                    f" at most {bound} ms were asked for"
                )
        return ""

    def _reading(
        self, view: StoreView, session: Session, *, want_session: bool, stale: bool
    ) -> Reading:
        node = self._node
        return Reading(
            view,
            node.now(),
            node.clock(),
            node.pending() if want_session else node.clock(),
            node.floor(),
            session,
            want_session,
            stale,
        )

    def _go(self, call: _Call, at: Reading) -> None:
        """Answer a read, or queue a write."""
        request, result = call.request, call.result
        reader = self._reader
        # An empty reply must still say which kind it is: hence SetInParent.
        match request:
            case pb.GetRequest():
                result.get.SetInParent()
                reader.get(request, result.get, at)
            case pb.ListRequest():
                result.list.SetInParent()
                reader.list(request, result.list, at)
            case pb.CounterRequest() if not request.delta:
                result.counter.SetInParent()
                reader.counter(request, result.counter, at)
            case pb.SetRequest() if not (request.add or request.remove):
                result.set.SetInParent()
                reader.set(request, result.set, at)
            case pb.DocumentRequest() if not request.update:
                result.document.SetInParent()
                reader.document(request, result.document, at)
            case _:
                self._write(call, at)
                return
        call.sink(result)

    # -- writes --------------------------------------------------------------

    def _write(self, call: _Call, at: Reading) -> None:
        request, options, result, sink, _ = call
        check_may_write(at.session, at.now)
        seen = NEW_SESSION
        if isinstance(request, pb.BatchRequest):
            commands, seen = batch_of(request, result.batch, self._reader, at)
        else:
            assert not isinstance(request, pb.GetRequest | pb.ListRequest), "reads"
            commands = (command_of(request, self._reader, at.now),)
        replicas = LOCAL
        if options.w > 1 or options.w_each_region:
            replicas = checked_replicas(
                options.w,
                each_region=options.w_each_region,
                patience=checked_patience(options.deadline_ms),
            )
        session = at.session.join(seen) if seen.seen else at.session
        if not commands:
            result.batch.SetInParent()
            if at.want_session:
                result.batch.session = at.encoded(session)
            sink(result)
            return
        # What the node lacks of the session cannot be a dependency here (S2).
        known = at.session
        if at.stale:
            known = known._replace(
                seen=tuple(d for d in known.seen if at.covered.covers(d))
            )

        def on_reply(reply: Reply | KvError) -> None:
            try:
                if isinstance(reply, KvError):
                    raise reply
                # The turn may have shown what came after the request did (D3).
                then = at._replace(
                    session=session,
                    covered=self._node.clock(),
                    pending=self._node.pending() if at.want_session else at.pending,
                )
                fill_write(request, result, reply, then)
                sink(result)
            except KvError as error:
                sink(self._failed(result, error))

        self._node.write(commands, on_reply, session=known, replicas=replicas)

    def _failed(self, result: pb.OperationResult, error: KvError) -> pb.OperationResult:
        if isinstance(error, DamagedRecordError):
            self._node.damaged(error.key)
        result.error.CopyFrom(to_message(error))
        return result


def _told(lost: tuple[LostWrites, ...]) -> str:
    """Return what people are told of writes that are lost."""
    shown = ", ".join(
        f"{_span(writes)} of {writes.name} ({writes.replica:016x})"
        for writes in lost[:SHOWN_MAX]
    )
    more = f" and of {len(lost) - SHOWN_MAX} more" if len(lost) > SHOWN_MAX else ""
    return (
        f"the session has seen writes that are lost: {shown}{more}; the replica is gone"
        " for good, no member has them, and waiting does not help: begin a new session,"
        " accept the loss and go on with the rest of this one, or say stale_ok"
    )


def _span(writes: LostWrites) -> str:
    first, last = writes.first, writes.last
    return f"{first}" if first == last else f"{first} to {last}"
