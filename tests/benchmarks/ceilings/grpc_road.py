"""
What grpc.aio does between two processes, by operations a message.

Four rows matter.  A unary call an operation is what other people's tools pay.
On one bidirectional stream, the fixed cost of a message is shared by all the
operations in it.  64 operations in one message, one message in flight, is what a
client that joins the calls of 64 callers into one frame can hope for; more
messages in flight let both processes work at the same time.  The last rows are
this project's client against a server that only answers: what is between them and
the rows of a node is the node.
"""

import sys
from collections import deque
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Protocol

import grpc

from kvnode._pb import kv_pb2
from kvnode.client import Client
from tests.benchmarks.ceilings.grpc_echo import (
    KV_SERVICE,
    OPAQUE_SERVICE,
    SIZE_BYTES,
    VALUE,
)
from tests.benchmarks.dataset import Dataset
from tests.benchmarks.measurement import (
    NANOS_PER_SECOND,
    Measurement,
    Section,
    Spans,
    WrongAnswerError,
    closed_loop,
    summarize,
)
from tests.benchmarks.systems.process import (
    ServerProcess,
    accepts_connections,
    free_ports,
)

UNARY_IN_FLIGHT = (1, 64)
STREAM_SHAPES = ((1, 1), (1, 64), (64, 1), (64, 4), (100, 4))  # operations, messages
OPAQUE_REQUEST_BYTES = 40  # about what an operation takes as kvnode.v1
OPAQUE_REPLY_BYTES = 140


class _Exchange(Protocol):
    """One open stream: write a message, read the next answer, judge it."""

    async def write(self) -> None: ...

    async def read(self) -> None: ...


class _Frames:
    """A stream of kvnode.v1 frames, each with the same number of gets."""

    def __init__(self, channel: grpc.aio.Channel, keys: tuple[bytes, ...]) -> None:
        execute: grpc.aio.StreamStreamMultiCallable[kv_pb2.Frame, kv_pb2.FrameReply] = (
            channel.stream_stream(
                f"/{KV_SERVICE}/Execute",
                request_serializer=kv_pb2.Frame.SerializeToString,
                response_deserializer=kv_pb2.FrameReply.FromString,
            )
        )
        self._call = execute()
        self._keys = keys

    async def write(self) -> None:
        operations = [
            kv_pb2.Operation(id=number, get=kv_pb2.GetRequest(key=key))
            for number, key in enumerate(self._keys)
        ]
        await self._call.write(kv_pb2.Frame(operations=operations))

    async def read(self) -> None:
        reply = await self._call.read()
        assert isinstance(reply, kv_pb2.FrameReply), "the stream has ended"
        values = [(result.id, result.get.value) for result in reply.results]
        if values != [(number, VALUE) for number in range(len(self._keys))]:
            msg = "the echo server answered something else"
            raise WrongAnswerError(msg)


class _Opaque:
    """A stream of messages that nobody parses, of the same sizes."""

    def __init__(self, channel: grpc.aio.Channel, operations: int) -> None:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = (
            channel.stream_stream(f"/{OPAQUE_SERVICE}/Stream")
        )
        self._call = method()
        self._reply_bytes = operations * OPAQUE_REPLY_BYTES
        self._request = _opaque_request(operations)

    async def write(self) -> None:
        await self._call.write(self._request)

    async def read(self) -> None:
        reply = await self._call.read()
        _check_length(reply, self._reply_bytes)


def _opaque_request(operations: int) -> bytes:
    size = (operations * OPAQUE_REPLY_BYTES).to_bytes(SIZE_BYTES)
    return size.ljust(operations * OPAQUE_REQUEST_BYTES, b"\0")


def _check_length(reply: object, expected: int) -> None:
    if not isinstance(reply, bytes) or len(reply) != expected:
        msg = "the echo server answered something else"
        raise WrongAnswerError(msg)


async def measure_grpc(
    directory: Path, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    """Return rows for unary calls and streams, each measured for *seconds*."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks.ceilings.grpc_echo", str(port)]
    server = ServerProcess(command, log=directory / "echo.log")
    try:
        await server.wait_until(partial(accepts_connections, port))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            unary = await _unary_rows(channel, dataset, seconds=seconds)
            stream = await _stream_rows(channel, dataset, seconds=seconds)
        client = await _client_rows(f"127.0.0.1:{port}", dataset, seconds=seconds)
        return unary + stream + client
    finally:
        await server.stop()


async def _unary_rows(
    channel: grpc.aio.Channel, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    unary: grpc.aio.UnaryUnaryMultiCallable[kv_pb2.GetRequest, kv_pb2.GetReply] = (
        channel.unary_unary(
            f"/{KV_SERVICE}/Get",
            request_serializer=kv_pb2.GetRequest.SerializeToString,
            response_deserializer=kv_pb2.GetReply.FromString,
        )
    )
    opaque: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/{OPAQUE_SERVICE}/Unary"
    )
    request = _opaque_request(1)

    async def get() -> None:
        reply = await unary(kv_pb2.GetRequest(key=dataset.keys[0]))
        if reply.value != VALUE:
            msg = "the echo server answered something else"
            raise WrongAnswerError(msg)

    async def echo() -> None:
        _check_length(await opaque(request), OPAQUE_REPLY_BYTES)

    rows = []
    for dialect, operation in (("kvnode.v1", get), ("opaque bytes", echo)):
        for in_flight in UNARY_IN_FLIGHT:
            spans = await closed_loop([operation] * in_flight, seconds=seconds)
            row = summarize(
                spans,
                section=Section.CEILINGS,
                subject=f"grpc.aio unary, {dialect}",
                operation="1 a call",
                in_flight=in_flight,
            )
            rows.append(row)
    return rows


async def _stream_rows(
    channel: grpc.aio.Channel, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    rows = []
    for operations, messages in STREAM_SHAPES:
        exchanges: dict[str, _Exchange] = {
            "kvnode.v1": _Frames(channel, dataset.keys[:operations]),
            "opaque bytes": _Opaque(channel, operations),
        }
        for dialect, exchange in exchanges.items():
            spans = await _windowed(exchange, messages=messages, seconds=seconds)
            row = summarize(
                spans,
                section=Section.CEILINGS,
                subject=f"grpc.aio stream, {dialect}",
                operation=f"{operations} a message",
                in_flight=messages,
                operations_per_call=operations,
            )
            rows.append(row)
    return sorted(rows, key=lambda row: row.subject)


async def _client_rows(
    address: str, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    async with Client(address) as client:

        async def get() -> None:
            found = await client.get(dataset.keys[0])
            if found is None or found.value != VALUE:
                msg = "the echo server answered something else"
                raise WrongAnswerError(msg)

        rows = []
        for in_flight in UNARY_IN_FLIGHT:
            spans = await closed_loop([get] * in_flight, seconds=seconds)
            row = summarize(
                spans,
                section=Section.CEILINGS,
                subject="kvnode's client, echo server",
                operation="1 a call",
                in_flight=in_flight,
            )
            rows.append(row)
        return rows


async def _windowed(exchange: _Exchange, *, messages: int, seconds: float) -> Spans:
    """Keep *messages* unanswered on one stream for *seconds*."""
    began = perf_counter_ns()
    until = began + int(seconds * NANOS_PER_SECOND)
    started: deque[int] = deque()
    for _ in range(messages):
        started.append(perf_counter_ns())
        await exchange.write()
    spans: list[int] = []
    while started:
        await exchange.read()
        now = perf_counter_ns()
        spans.append(now - started.popleft())
        if now < until:
            started.append(now)
            await exchange.write()
    return Spans(tuple(sorted(spans)), perf_counter_ns() - began)
