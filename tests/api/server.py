"""The services of an in-process node behind a real gRPC server on a free port."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import grpc.aio

from kvnode._pb import admin_pb2_grpc, kv_pb2_grpc
from kvnode._pb import kv_pb2 as pb
from kvnode.api.admin_service import AdminServicer, Facts
from kvnode.api.kv_service import KvServicer
from kvnode.errors import ERROR_TRAILER, KvError
from kvnode.limits import CLOCK_BEND_PPM_MAX, FRAME_BYTES_MAX
from kvnode.transport.link import Conditions
from kvnode.types import ReplicaId
from tests.api.services import Api, running_api
from tests.runtime.nodes import NOW

OPTIONS = [
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.use_local_subchannel_pool", 1),
]


class FakeLinks:
    """The conditions an operator set, by peer."""

    def __init__(self) -> None:
        self.by_name: dict[str, Conditions] = {}

    def conditions(self, name: str) -> Conditions:
        """Return the conditions toward *name*."""
        return self.by_name.setdefault(name, Conditions())


class FakeClock:
    """How an operator bent the clock."""

    def __init__(self) -> None:
        self.bends: list[tuple[int, int]] = []

    def bend(self, *, offset_ms: int, drift_ppm: int) -> None:
        """Note it, and refuse what no clock can be."""
        if drift_ppm > CLOCK_BEND_PPM_MAX:
            msg = f"drift_ppm is {drift_ppm}"
            raise ValueError(msg)
        self.bends.append((offset_ms, drift_ppm))


class FakeDepartures:
    """Who was removed, and how leaving ends."""

    def __init__(self) -> None:
        self.removed: list[ReplicaId] = []
        self.patience: list[float] = []
        self.failure: KvError | None = None

    async def remove(self, replicas: Iterable[ReplicaId]) -> None:
        """Note them."""
        self.removed.extend(replicas)

    async def leave(self, patience_s: float) -> tuple[int, int]:
        """Note for how long, and end as the test says."""
        self.patience.append(patience_s)
        if self.failure is not None:
            raise self.failure
        return 1, 2


@dataclass(slots=True)
class Served:
    """A node and ways to call it."""

    api: Api
    links: FakeLinks
    clock: FakeClock
    departures: FakeDepartures
    kv: "kv_pb2_grpc.KvAsyncStub"
    admin: "admin_pb2_grpc.AdminAsyncStub"
    channel: grpc.aio.Channel


@asynccontextmanager
async def served(*, fault_injection: bool = True) -> AsyncIterator[Served]:
    """Yield a served node; the server stops in the end."""
    async with running_api() as api:
        server = grpc.aio.server(options=OPTIONS)
        links, clock, departures = FakeLinks(), FakeClock(), FakeDepartures()
        facts = Facts(
            name="home",
            region="europe",
            cluster="test",
            version="9.9",
            durability="fsync",
            data_directory="/nowhere",
            started_at_ms=NOW - 70,
            fault_injection=fault_injection,
        )
        servicer = KvServicer(api.node.driver, api.operations, api.watches)
        kv_pb2_grpc.add_KvServicer_to_server(servicer, server)
        admin_pb2_grpc.add_AdminServicer_to_server(
            AdminServicer(
                api.node.driver,
                api.namespaces,
                links,
                clock,
                facts,
                departures=departures,
                rescued=lambda: [("a.jsonl", 7, NOW)],
            ),
            server,
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS)
        try:
            yield Served(
                api,
                links,
                clock,
                departures,
                kv_pb2_grpc.KvStub(channel),
                admin_pb2_grpc.AdminStub(channel),
                channel,
            )
        finally:
            await channel.close()
            await server.stop(0)


def trailer_of(error: grpc.aio.AioRpcError) -> pb.Error:
    """Return the precise error that came with a failed call."""
    (value,) = (v for k, v in error.trailing_metadata() or () if k == ERROR_TRAILER)
    assert isinstance(value, bytes)
    return pb.Error.FromString(value)
