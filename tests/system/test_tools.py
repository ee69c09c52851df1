"""What other people's tools see: health, reflection, and plain unary calls."""

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from kvnode._pb import kv_pb2 as pb
from kvnode._pb import kv_pb2_grpc
from tests.system.nodes import ServedNode

pytestmark = pytest.mark.system


async def _check(
    channel: grpc.aio.Channel, *, service: str
) -> health_pb2.HealthCheckResponse:
    """Ask the standard health service, by its path, as any probe does."""
    check: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return await check(health_pb2.HealthCheckRequest(service=service))


async def test_probe_hears_that_a_node_serves(node: ServedNode) -> None:
    """What Kubernetes and load balancers ask, with no service named."""
    async with grpc.aio.insecure_channel(node.endpoint) as channel:
        reply = await _check(channel, service="")

    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_probe_hears_of_no_service_that_is_not_there(node: ServedNode) -> None:
    """A misspelt service is not taken for a healthy one."""
    async with grpc.aio.insecure_channel(node.endpoint) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _check(channel, service="nonsense")

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_describes_all_services(node: ServedNode) -> None:
    """What grpcurl needs: names, and the messages of a method, from the node."""

    def ask() -> tuple[set[str], list[str], str]:
        with grpc.insecure_channel(node.endpoint) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            services = set(database.get_services())
            pool = DescriptorPool(database)
            kv = pool.FindServiceByName("kvnode.v1.Kv")
            methods = [method.name for method in kv.methods]
            put = kv.FindMethodByName("Put").input_type
            return services, methods, put.fields_by_name["value"].full_name

    services, methods, value_field = await asyncio.to_thread(ask)

    assert services >= {
        "kvnode.v1.Kv",
        "kvnode.v1.Admin",
        "kvnode.v1.Peer",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert {"Get", "Put", "Delete", "List", "Batch", "Execute"} <= set(methods)
    assert value_field == "kvnode.v1.PutRequest.value"


async def test_unary_calls_put_and_get(node: ServedNode) -> None:
    """One call an operation, with no library of ours."""
    async with grpc.aio.insecure_channel(node.endpoint) as channel:
        kv = kv_pb2_grpc.KvStub(channel)

        written = await kv.Put(pb.PutRequest(key=b"k", value=b"v", metadata='{"a":1}'))
        read = await kv.Get(pb.GetRequest(key=b"k"))

    assert written.applied
    assert written.session
    assert (read.value, read.metadata, read.version) == (
        b"v",
        '{"a":1}',
        written.version,
    )
