"""
Waiting until a node answers, or is known never to.

A node is ready when the standard gRPC health service says that it serves, which
is what any orchestrator asks too.

References:
    gRPC Health Checking Protocol,
    https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

POLL_SECONDS = 0.05
ANSWER_SECONDS = 2.0
"""A node that is up answers in milliseconds; a paused one never does."""


async def is_serving(endpoint: str, timeout_seconds: float = ANSWER_SECONDS) -> bool:
    """Return whether the node at *endpoint* says that it serves, in good time."""
    async with grpc.aio.insecure_channel(endpoint) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        request = health_pb2.HealthCheckRequest(service="")
        try:
            reply = await check(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError:
            return False
    return reply.status == health_pb2.HealthCheckResponse.SERVING


async def wait_serving(
    endpoint: str, alive: Callable[[], bool], timeout_seconds: float
) -> bool:
    """
    Wait for the node at *endpoint* as long as its process lives.

    Returns:
        Whether it serves; False as soon as *alive* says that it is gone, or
        once *timeout_seconds* have passed.
    """
    deadline = monotonic() + timeout_seconds
    while monotonic() < deadline and alive():
        if await is_serving(endpoint):
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False
