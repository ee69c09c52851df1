"""
A node's data API on the simulated network: what KvServicer is on gRPC.

A connection carries serialized operations one way and serialized results the
other, or one watch.  The first byte of each message says which it is.
"""

from collections.abc import Callable
from contextlib import aclosing

from cluster.simulated.stream import End
from kvnode._pb import kv_pb2 as pb
from kvnode.api.operations import Waiting
from kvnode.api.status_map import to_message
from kvnode.errors import KvError, RoadError
from kvnode.runtime.assembly import Assembly

OPERATION = b"o"
WATCH = b"w"
FAILURE = b"f"
"""An error that ends a watch, as a serialized kvnode.v1.Error."""


async def take_client(node: Assembly, end: End, answered: Callable[[], None]) -> None:
    """
    Serve a connection that a client has dialed, to its end.

    Calls *answered* when an operation is, and not with an error.
    """
    # One set an operation: their order is that of the dict, the same every time.
    waiting: dict[int, Waiting] = {}
    try:
        while True:
            message = await end.receive()
            kind, body = message[:1], message[1:]
            if kind == WATCH:
                await _watch(node, end, pb.WatchRequest.FromString(body))
                return
            operation = pb.Operation.FromString(body)
            _begin(node, end, operation, waiting, answered)
    except RoadError:
        return
    finally:
        for tasks in waiting.values():
            for task in tuple(tasks):
                task.cancel()
        end.close("the call is over")


def _begin(
    node: Assembly,
    end: End,
    operation: pb.Operation,
    waiting: dict[int, Waiting],
    answered: Callable[[], None],
) -> None:
    for number in [number for number, tasks in waiting.items() if not tasks]:
        del waiting[number]
    tasks = waiting[operation.id] = Waiting()

    def sink(result: pb.OperationResult) -> None:
        if result.WhichOneof("kind") != "error":
            answered()
        if not end.broken:
            end.send_now(OPERATION + result.SerializeToString())

    with node.driver.snapshot() as view:
        node.operations.run((operation,), view, sink, tasks, unary=False)


async def _watch(node: Assembly, end: End, request: pb.WatchRequest) -> None:
    try:
        async with aclosing(node.watches.watch(request)) as replies:
            async for reply in replies:
                await end.send(WATCH + reply.SerializeToString())
    except KvError as error:
        await end.send(FAILURE + to_message(error).SerializeToString())
