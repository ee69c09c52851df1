"""
Operations: one request in, one result out, whichever road it came by.

Reads that need not wait are answered at once.  Everything else ends in a
callback: writes when their turn is durable, waiting reads when the node has what
the session has seen (rules S2, S3).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple, assert_never

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import (
    checked_amount,
    checked_deadline,
    checked_members,
    checked_metadata,
    checked_patience,
    checked_replicas,
    checked_update,
    checked_value,
)
from kvnode.api.port import NodePort
from kvnode.api.reads import (
    Reader,
    Reading,
)
from kvnode.api.status_map import to_message
from kvnode.api.tokens import (
    decode_session,
    decode_version,
    encode_version,
)
from kvnode.api.write_replies import DataRequest, fill_write
from kvnode.core.node.commands import (
    LOCAL,
    AddToCounter,
    Command,
    Delete,
    Put,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.node.events import Reply
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    NotCoveredError,
)
from kvnode.limits import BATCH_BYTES_MAX, BATCH_STEPS_MAX

Sink = Callable[[pb.OperationResult], None]
"""Takes a finished result; called once for each operation."""


class _Call(NamedTuple):
    """One operation on its way: what was asked, and where its result goes."""

    request: DataRequest
    options: pb.Options
    result: pb.OperationResult
    sink: Sink


class Operations:
    """Runs the operations of one node."""

    def __init__(self, node: NodePort, reader: Reader) -> None:
        self._node = node
        self._reader = reader
        self._tasks: set[asyncio.Task[None]] = set()

    def run(
        self,
        operations: Iterable[pb.Operation],
        view: StoreView,
        sink: Sink,
        *,
        unary: bool,
    ) -> None:
        """
        Run *operations* in order; each result goes to *sink*, now or later.

        Args:
            operations: As the client sent them.
            view: A snapshot that stays open during this call.
            sink: Takes each result.
            unary: Alone in its call: the reply always carries a token.
        """
        # Most operations ask for nothing special and share one reading.
        plain = self._reading(view, NEW_SESSION, want_session=unary, stale=False)
        for operation in operations:
            result = pb.OperationResult(id=operation.id)
            try:
                self._run_one(operation, plain, result, sink)
            except KvError as error:
                sink(_failed(result, error))

    def _run_one(
        self,
        operation: pb.Operation,
        plain: Reading,
        result: pb.OperationResult,
        sink: Sink,
    ) -> None:
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
        call = _Call(request, options, result, sink)
        if options.session or options.want_session or options.max_staleness_ms:
            self._with_session(call, plain)
        else:
            self._go(call, plain)

    def _with_session(self, call: _Call, plain: Reading) -> None:
        """Run a call that asks for more than what is here now."""
        options = call.options
        want_session = plain.want_session or options.want_session
        session = decode_session(options.session, self._node.now())
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
                with self._node.snapshot() as view:
                    at = self._reading(
                        view, session, want_session=want_session, stale=False
                    )
                    self._go(call, at)
            except KvError as error:
                call.sink(_failed(call.result, error))

        task = asyncio.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_ready(
        self, options: pb.Options, session: Session, patience_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        if not await self._node.wait_covered(session, patience_s):
            clock = self._node.clock()
            lacking = [d for d in session.seen if not clock.covers(d)]
            shown = ", ".join(
                f"{encode_version(d)} (has {clock.newest(d.replica)})"
                for d in lacking[:4]
            )
            msg = (
                f"this node lacks {len(lacking)} of what the session has seen:"
                f" {shown}; wait longer, ask another node, or say stale_ok"
            )
            raise NotCoveredError(msg)
        while behind := self._too_far_behind(options):
            if loop.time() >= deadline:
                raise NotCoveredError(behind)
            await asyncio.sleep(0.05)

    def _too_far_behind(self, options: pb.Options) -> str:
        """Return why the node is staler than allowed; empty if it is not (S3)."""
        bound = options.max_staleness_ms
        if not bound:
            return ""
        staleness, now = self._node.staleness(), self._node.now()
        for peer in self._node.known_peers():
            behind = staleness.behind(peer.replica, now)
            if behind is None:
                return f"this node has not heard from {peer.name} since it started"
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
        request, options, result, sink = call
        commands = self._commands(request, at, result)
        replicas = LOCAL
        if options.w > 1 or options.w_each_region:
            replicas = checked_replicas(
                options.w,
                each_region=options.w_each_region,
                patience=checked_patience(options.deadline_ms),
            )
        if not commands:
            result.batch.SetInParent()
            sink(result)
            return
        # What the node lacks of the session cannot be a dependency here (S2).
        seen = at.session
        if at.stale:
            seen = Session(
                tuple(d for d in seen.seen if at.covered.covers(d)), seen.hlc
            )

        def on_reply(reply: Reply | KvError) -> None:
            try:
                if isinstance(reply, KvError):
                    raise reply
                fill_write(request, result, reply, at)
                sink(result)
            except KvError as error:
                sink(_failed(result, error))

        self._node.write(commands, on_reply, session=seen, replicas=replicas)

    def _commands(
        self, request: DataRequest, at: Reading, result: pb.OperationResult
    ) -> tuple[Command, ...]:
        key_of = self._reader.key_of
        match request:
            case pb.PutRequest():
                return (self._put(request, at),)
            case pb.DeleteRequest():
                key = key_of(request.namespace, request.key)
                return (Delete(key, decode_version(request.if_version)),)
            case pb.CounterRequest():
                amount = checked_amount(request.delta)
                return (AddToCounter(key_of(request.namespace, request.key), amount),)
            case pb.SetRequest():
                key = key_of(request.namespace, request.key)
                add = checked_members(list(request.add))
                remove = checked_members(list(request.remove))
                return (UpdateSet(key, add, remove),)
            case pb.DocumentRequest():
                key = key_of(request.namespace, request.key)
                return (UpdateDocument(key, checked_update(request.update)),)
            case pb.BatchRequest():
                return self._batch(request, at, result.batch)
            case pb.GetRequest() | pb.ListRequest():
                msg = "reads do not get here"
                raise AssertionError(msg)
            case _:
                assert_never(request)

    def _put(self, request: pb.PutRequest, at: Reading) -> Put:
        key = self._reader.key_of(request.namespace, request.key)
        if request.if_absent and request.if_version:
            msg = "give if_absent or if_version, not both"
            raise InvalidArgumentError(msg)
        return Put(
            key,
            checked_value(request.value),
            checked_metadata(request.metadata),
            checked_deadline(request.ttl_ms, request.expires_at_ms, at.now),
            request.if_absent,
            decode_version(request.if_version),
        )

    def _batch(
        self, request: pb.BatchRequest, at: Reading, reply: pb.BatchReply
    ) -> tuple[Command, ...]:
        """Return the writes of a batch; its reads are answered here."""
        if len(request.steps) > BATCH_STEPS_MAX:
            msg = f"the batch has {len(request.steps)} steps; at most {BATCH_STEPS_MAX}"
            raise InvalidArgumentError(msg)
        if (size := request.ByteSize()) > BATCH_BYTES_MAX:
            msg = f"the batch has {size} bytes; at most {BATCH_BYTES_MAX} are allowed"
            raise InvalidArgumentError(msg)
        commands: list[Command] = []
        for number, step in enumerate(request.steps):
            try:
                command = self._step(step, reply.results.add(), at)
            except InvalidArgumentError as error:
                msg = f"step {number} of the batch: {error}"
                raise InvalidArgumentError(msg) from error
            if command:
                commands.append(command)
        return tuple(commands)

    def _step(
        self, step: pb.BatchRequest.Step, slot: pb.BatchReply.Result, at: Reading
    ) -> Command | None:
        """Return the write of one step, or answer its read."""
        match step.WhichOneof("kind"):
            case "put":
                slot.write.SetInParent()
                return self._put(step.put, at)
            case "delete":
                slot.write.SetInParent()
                key = self._reader.key_of(step.delete.namespace, step.delete.key)
                return Delete(key, decode_version(step.delete.if_version))
            case "get":
                slot.get.SetInParent()
                self._reader.get(step.get, slot.get, at)
                return None
            case _:
                msg = "says nothing to do"
                raise InvalidArgumentError(msg)


def _failed(result: pb.OperationResult, error: KvError) -> pb.OperationResult:
    result.error.CopyFrom(to_message(error))
    return result
