"""The operations and watches of one node in this process, without any network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kvnode._pb import kv_pb2 as pb
from kvnode.api.namespaces import Namespaces
from kvnode.api.operations import Operations, Waiting
from kvnode.api.reads import Reader
from kvnode.api.tokens import decode_session
from kvnode.api.watch import Watches
from kvnode.api.write_replies import DataRequest
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.messages import DeltaPage, DeltaRequest, wire_entry
from kvnode.core.versions.session import Session
from kvnode.core.versions.version import Entry
from kvnode.types import Dot
from tests.runtime.nodes import OWN, PEER, RunningNode, at, push_of, running_node

KINDS: dict[type[DataRequest], str] = {
    pb.GetRequest: "get",
    pb.PutRequest: "put",
    pb.DeleteRequest: "delete",
    pb.ListRequest: "list",
    pb.BatchRequest: "batch",
    pb.CounterRequest: "counter",
    pb.SetRequest: "set",
    pb.DocumentRequest: "document",
}


@dataclass(slots=True)
class Api:
    """A running node, and what its services are made of."""

    node: RunningNode
    namespaces: Namespaces
    reader: Reader
    operations: Operations
    watches: Watches
    waiting: Waiting = field(default_factory=Waiting)

    def start(
        self, operation: pb.Operation, *, unary: bool = True
    ) -> asyncio.Future[pb.OperationResult]:
        """Run *operation*; the future gets its result."""
        future: asyncio.Future[pb.OperationResult] = asyncio.Future()
        with self.node.driver.snapshot() as view:
            self.operations.run(
                (operation,), view, future.set_result, self.waiting, unary=unary
            )
        return future

    def ask(
        self, request: DataRequest, *, unary: bool = True
    ) -> asyncio.Future[pb.OperationResult]:
        """Run *request* as an operation."""
        operation = pb.Operation(id=7)
        getattr(operation, KINDS[type(request)]).CopyFrom(request)
        return self.start(operation, unary=unary)

    async def error(self, request: DataRequest) -> pb.Error:
        """Return the error that *request* gets."""
        result = await self.ask(request)
        assert result.WhichOneof("kind") == "error", result
        return result.error

    async def put(self, request: pb.PutRequest) -> pb.WriteReply:
        """Run a put that must succeed."""
        result = await self.ask(request)
        assert result.WhichOneof("kind") == "write", result
        return result.write

    async def write(self, key: bytes, value: bytes = b"value") -> pb.WriteReply:
        """Store *value*."""
        return await self.put(pb.PutRequest(key=key, value=value))

    async def get(self, key: bytes, options: pb.Options | None = None) -> pb.GetReply:
        """Read *key*."""
        result = await self.ask(pb.GetRequest(key=key, options=options))
        assert result.WhichOneof("kind") == "get", result
        return result.get

    async def list(self, request: pb.ListRequest) -> pb.ListReply:
        """Read a page."""
        result = await self.ask(request)
        assert result.WhichOneof("kind") == "list", result
        return result.list

    async def batch(self, *steps: pb.BatchRequest.Step) -> pb.BatchReply:
        """Run a batch."""
        result = await self.ask(pb.BatchRequest(steps=steps))
        assert result.WhichOneof("kind") == "batch", result
        return result.batch

    def session(self, token: bytes) -> Session:
        """Return what *token* says."""
        return decode_session(token)

    async def hear(self, name: bytes, entry: Entry) -> None:
        """Let PEER push *entry*; it is covered if all before it is."""
        if PEER not in self.node.driver.peers():
            await self.node.peer_up()
        await self.node.receive(push_of(name, entry))

    async def hear_uncovered(
        self, name: bytes, entry: Entry, snapshot: VersionVector
    ) -> None:
        """Let the first page of a delta bring *entry*; the last one never comes."""
        await self.node.peer_up(snapshot)
        await self.node.receive(self.first_page(name, entry, snapshot))

    def first_page(
        self, name: bytes, entry: Entry, snapshot: VersionVector
    ) -> DeltaPage:
        """Return the first page of the delta that the node has asked for."""
        request = self.node.transport.messages(DeltaRequest)[-1]
        entries = (wire_entry(at(name), entry),)
        return DeltaPage(request.session, 0, snapshot, entries, last=False)


@asynccontextmanager
async def running_api(**bounds: int) -> AsyncIterator[Api]:
    """Yield the services of a node that runs."""
    async with running_node(**bounds) as node:
        with node.driver.snapshot() as view:
            namespaces = Namespaces(view)
        node.driver.listen(namespaces.on_commit)
        reader = Reader(node.driver, namespaces)
        operations = Operations(node.driver, reader)
        api = Api(node, namespaces, reader, operations, Watches(node.driver, reader))
        yield api
        for task in api.waiting:
            task.cancel()


def own_dot(seq: int) -> Dot:
    """Return the dot of the node's own write number *seq*."""
    return Dot(OWN, seq)


def peer_dot(seq: int) -> Dot:
    """Return the dot of PEER's write number *seq*."""
    return Dot(PEER, seq)
