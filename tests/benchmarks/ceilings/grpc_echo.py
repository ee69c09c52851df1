"""
A server that does nothing but answer, as its own process.

`python -m tests.benchmarks.ceilings.grpc_echo PORT`

It speaks two dialects: kvnode.v1, where every operation is answered with the
same value, and opaque bytes, where every message is answered with a message of
the size that its first four bytes ask for.  The distance between the two is what
parsing and building messages costs.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from kvnode._pb import kv_pb2
from tests.benchmarks.dataset import VALUE_BYTES

VALUE = b"v" * VALUE_BYTES
VERSION = "0123456789abcdef-1"
KV_SERVICE = "kvnode.v1.Kv"
OPAQUE_SERVICE = "tests.benchmarks.Opaque"
SIZE_BYTES = 4  # of a request: how many bytes to answer with, big-endian

_KvContext = grpc.aio.ServicerContext[kv_pb2.GetRequest, kv_pb2.GetReply]
_FrameContext = grpc.aio.ServicerContext[kv_pb2.Frame, kv_pb2.FrameReply]
_OpaqueContext = grpc.aio.ServicerContext[bytes, bytes]


def _reply() -> kv_pb2.GetReply:
    return kv_pb2.GetReply(
        type=kv_pb2.VALUE_TYPE_REGISTER, value=VALUE, version=VERSION, hlc=1 << 56
    )


async def _get(request: kv_pb2.GetRequest, context: _KvContext) -> kv_pb2.GetReply:
    del request, context
    return _reply()


async def _execute(
    frames: AsyncIterator[kv_pb2.Frame], context: _FrameContext
) -> AsyncIterator[kv_pb2.FrameReply]:
    del context
    async for frame in frames:
        yield kv_pb2.FrameReply(
            results=[
                kv_pb2.OperationResult(id=operation.id, get=_reply())
                for operation in frame.operations
                if operation.WhichOneof("kind") == "get" and operation.get.key
            ]
        )


async def _opaque_unary(request: bytes, context: _OpaqueContext) -> bytes:
    del context
    return bytes(int.from_bytes(request[:SIZE_BYTES]))


async def _opaque_stream(
    requests: AsyncIterator[bytes], context: _OpaqueContext
) -> AsyncIterator[bytes]:
    del context
    async for request in requests:
        yield bytes(int.from_bytes(request[:SIZE_BYTES]))


def _services() -> tuple[grpc.GenericRpcHandler, ...]:
    kv: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Get": grpc.unary_unary_rpc_method_handler(
            _get,
            request_deserializer=kv_pb2.GetRequest.FromString,
            response_serializer=kv_pb2.GetReply.SerializeToString,
        ),
        "Execute": grpc.stream_stream_rpc_method_handler(
            _execute,
            request_deserializer=kv_pb2.Frame.FromString,
            response_serializer=kv_pb2.FrameReply.SerializeToString,
        ),
    }
    opaque: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Unary": grpc.unary_unary_rpc_method_handler(_opaque_unary),
        "Stream": grpc.stream_stream_rpc_method_handler(_opaque_stream),
    }
    return (
        grpc.method_handlers_generic_handler(KV_SERVICE, kv),
        grpc.method_handlers_generic_handler(OPAQUE_SERVICE, opaque),
    )


async def serve(port: int) -> None:
    """Serve on the loopback *port* until SIGTERM."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(_services())
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await server.stop(grace=0)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
