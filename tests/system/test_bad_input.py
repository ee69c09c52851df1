"""
Wrong requests, on both roads: each gets a clear error, and nobody else notices.

Every case goes over the stream, between two good operations that must be
answered on that same stream, and as a unary call, whose status and details are
checked.  The requests are made by hand, because the client library would stop
most of them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from cluster.local.readiness import is_serving
from kvnode._pb import admin_pb2, admin_pb2_grpc, kv_pb2_grpc
from kvnode._pb import kv_pb2 as pb
from tests.system.nodes import LOG_TAIL_CHARS, Fleet, ServedNode

pytestmark = pytest.mark.system

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else a restart is noticed seconds late
]
MIB = 1 << 20
PATIENCE_SECONDS = 20.0
HOUR_MS = 3_600_000
HIGH = 2**62
"""The highest value of a counter."""
EMPTY_UPDATE = b"\0\0"
"""A Yjs update of no operations."""

INVALID = (pb.ERROR_CODE_INVALID_ARGUMENT, grpc.StatusCode.INVALID_ARGUMENT)
NOT_FOUND = (pb.ERROR_CODE_NOT_FOUND, grpc.StatusCode.NOT_FOUND)
UNAVAILABLE = (pb.ERROR_CODE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE)
WRONG_TYPE = (pb.ERROR_CODE_WRONG_TYPE, grpc.StatusCode.FAILED_PRECONDITION)

Codes = tuple["pb.ErrorCode.ValueType", grpc.StatusCode]


FIELDS = {
    pb.GetRequest: "get",
    pb.PutRequest: "put",
    pb.DeleteRequest: "delete",
    pb.ListRequest: "list",
    pb.BatchRequest: "batch",
    pb.CounterRequest: "counter",
    pb.SetRequest: "set",
    pb.DocumentRequest: "document",
    pb.ConflictsRequest: "conflicts",
}
"""The requests, with their fields in an operation and, capitalized, their calls."""


class Case(NamedTuple):
    """A wrong request; the error must have *codes* and contain all *words*."""

    request: Message
    words: tuple[str, ...]
    codes: Codes = INVALID


def _batch(*puts: pb.PutRequest) -> pb.BatchRequest:
    return pb.BatchRequest(steps=[pb.BatchRequest.Step(put=put) for put in puts])


def _token(*entries: tuple[int, int], hlc: int = 0) -> bytes:
    return pb.SessionToken(
        entries=[pb.SessionToken.Entry(replica=r, seq=s) for r, s in entries], hlc=hlc
    ).SerializeToString()


CASES: dict[str, Callable[[], Case]] = {
    "get of an empty key": lambda: Case(pb.GetRequest(key=b""), ("key", "1 to 512")),
    "put of an empty key": lambda: Case(pb.PutRequest(key=b""), ("key", "1 to 512")),
    "delete of an empty key": lambda: Case(
        pb.DeleteRequest(key=b""), ("key", "1 to 512")
    ),
    "counter of an empty key": lambda: Case(
        pb.CounterRequest(key=b"", delta=1), ("1 to 512",)
    ),
    "set of an empty key": lambda: Case(
        pb.SetRequest(key=b"", add=[b"m"]), ("1 to 512",)
    ),
    "document of an empty key": lambda: Case(
        pb.DocumentRequest(key=b""), ("1 to 512",)
    ),
    "key too long": lambda: Case(pb.PutRequest(key=bytes(513)), ("key", "513", "512")),
    "key to read too long": lambda: Case(
        pb.GetRequest(key=bytes(513)), ("key", "513", "512")
    ),
    "value too large": lambda: Case(
        pb.PutRequest(key=b"k", value=bytes(26 * MIB)),
        ("value", str(26 * MIB), str(25 * MIB)),
    ),
    "metadata too large": lambda: Case(
        pb.PutRequest(key=b"k", metadata=f'"{"a" * 1023}"'),
        ("metadata", "1025", "1024"),
    ),
    "metadata no JSON": lambda: Case(
        pb.PutRequest(key=b"k", metadata="{a: 1}"), ("metadata", "JSON")
    ),
    "metadata only Python's JSON": lambda: Case(
        pb.PutRequest(key=b"k", metadata='{"a": NaN}'), ("metadata", "JSON")
    ),
    "two expiries": lambda: Case(
        pb.PutRequest(key=b"k", ttl_ms=1, expires_at_ms=1),
        ("ttl_ms", "expires_at_ms", "not both"),
    ),
    "expiry in the past": lambda: Case(
        pb.PutRequest(key=b"k", expires_at_ms=1), ("expires_at_ms 1", "not after now")
    ),
    "expiry without end": lambda: Case(
        pb.PutRequest(key=b"k", ttl_ms=2**64 - 1), ("beyond", str(2**48))
    ),
    "two conditions": lambda: Case(
        pb.PutRequest(key=b"k", if_absent=True, if_version="1@1"),
        ("if_absent", "if_version", "not both"),
    ),
    "version to put made up": lambda: Case(
        pb.PutRequest(key=b"k", if_version="nonsense"), ("'nonsense'", "version")
    ),
    "version to delete made up": lambda: Case(
        pb.DeleteRequest(key=b"k", if_version="7@tokyo"), ("'7@tokyo'", "version")
    ),
    "namespace unknown to get": lambda: Case(
        pb.GetRequest(key=b"k", namespace="nowhere"),
        ("'nowhere'", "create it"),
        NOT_FOUND,
    ),
    "namespace unknown to put": lambda: Case(
        pb.PutRequest(key=b"k", namespace="nowhere"),
        ("'nowhere'", "create it"),
        NOT_FOUND,
    ),
    "namespace unknown to list": lambda: Case(
        pb.ListRequest(namespace="nowhere"), ("'nowhere'", "create it"), NOT_FOUND
    ),
    "namespace unknown to conflicts": lambda: Case(
        pb.ConflictsRequest(namespace="nowhere"), ("'nowhere'", "create it"), NOT_FOUND
    ),
    "namespace of the system": lambda: Case(
        pb.PutRequest(key=b"k", namespace="_system", value=b"x"),
        ("'_system'",),
        NOT_FOUND,
    ),
    "counting a register": lambda: Case(
        pb.CounterRequest(key=b"good", delta=1), ("register", "counter"), WRONG_TYPE
    ),
    "reading a register as a counter": lambda: Case(
        pb.CounterRequest(key=b"good"), ("register", "counter"), WRONG_TYPE
    ),
    "adding to a register as a set": lambda: Case(
        pb.SetRequest(key=b"good", add=[b"m"]), ("register", "set"), WRONG_TYPE
    ),
    "reading a register as a document": lambda: Case(
        pb.DocumentRequest(key=b"good", want_update=True),
        ("register", "document"),
        WRONG_TYPE,
    ),
    "page too long": lambda: Case(
        pb.ListRequest(limit=1001), ("limit", "1001", "1000")
    ),
    "prefix too long": lambda: Case(
        pb.ListRequest(prefix=bytes(513)), ("prefix", "513", "512")
    ),
    "cursor too long": lambda: Case(
        pb.ListRequest(cursor=bytes(600)), ("cursor", "600", "512")
    ),
    "page of conflicts too long": lambda: Case(
        pb.ConflictsRequest(limit=1001), ("limit", "1001", "1000")
    ),
    "cursor of conflicts too long": lambda: Case(
        pb.ConflictsRequest(cursor=bytes(600)), ("cursor", "600", "512")
    ),
    "batch of too many steps": lambda: Case(
        _batch(*[pb.PutRequest(key=b"k")] * 10_001), ("batch", "10001", "10000")
    ),
    "batch of too many bytes": lambda: Case(
        _batch(*[pb.PutRequest(key=b"k", value=bytes(20 * MIB))] * 5),
        ("batch", str(100 * 1000 * 1000)),
    ),
    "batch with a wrong step": lambda: Case(
        _batch(pb.PutRequest(key=b"k"), pb.PutRequest(key=b"")),
        ("step 1", "key", "1 to 512"),
    ),
    "batch with an empty step": lambda: Case(
        pb.BatchRequest(steps=[pb.BatchRequest.Step()]), ("step 0", "nothing to do")
    ),
    "batch into an unknown namespace": lambda: Case(
        _batch(pb.PutRequest(key=b"k", namespace="nowhere")), ("'nowhere'",), NOT_FOUND
    ),
    "session of noise": lambda: Case(
        pb.GetRequest(key=b"k", options=pb.Options(session=b"\xff\xff noise")),
        ("session",),
    ),
    "session too long": lambda: Case(
        pb.GetRequest(key=b"k", options=pb.Options(session=bytes(20_000))),
        ("session", "20000", "16384"),
    ),
    "session of too many replicas": lambda: Case(
        pb.GetRequest(
            key=b"k",
            options=pb.Options(session=_token(*((r + 1, 1) for r in range(257)))),
        ),
        ("session", "257", "256"),
    ),
    "session that repeats a replica": lambda: Case(
        pb.GetRequest(key=b"k", options=pb.Options(session=_token((1, 1), (1, 2)))),
        ("session", "token"),
    ),
    "session with a write that is none": lambda: Case(
        pb.GetRequest(key=b"k", options=pb.Options(session=_token((1, 0)))),
        ("session", "token"),
    ),
    "session from the end of time": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(session=_token(hlc=2**64 - 1))),
        ("session", "ms ahead of this node's clock", "at most"),
        UNAVAILABLE,
    ),
    "session from the year 6429": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(session=_token(hlc=1 << 63))),
        ("session", "ms ahead of this node's clock", "at most"),
        UNAVAILABLE,
    ),
    "more replicas than there can be": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(w=1001)), ("w is 1001", "1000")
    ),
    "more replicas than there are": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(w=2)), ("w is 2", "knows of 1")
    ),
    "two ways to count replicas": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(w=2, w_each_region=True)),
        ("w", "w_each_region", "not both"),
    ),
    "wait without end": lambda: Case(
        pb.PutRequest(key=b"k", options=pb.Options(w=2, deadline_ms=HOUR_MS + 1)),
        ("deadline_ms", str(HOUR_MS)),
    ),
    "step of a counter too far": lambda: Case(
        pb.CounterRequest(key=b"n", delta=2**62 + 1), ("change", str(2**62))
    ),
    "step of a counter the other way": lambda: Case(
        pb.CounterRequest(key=b"n", delta=-(2**63)), ("change", str(2**62))
    ),
    "counter past its end": lambda: Case(
        pb.CounterRequest(key=b"high", delta=1), ("counter", str(2**62))
    ),
    "member of nothing": lambda: Case(
        pb.SetRequest(key=b"s", add=[b""]), ("member", "1 to 512")
    ),
    "member too long": lambda: Case(
        pb.SetRequest(key=b"s", add=[b"m", bytes(513)]), ("member", "513", "512")
    ),
    "member to remove too long": lambda: Case(
        pb.SetRequest(key=b"s", remove=[bytes(513)]), ("member", "513", "512")
    ),
    "set too large": lambda: Case(
        pb.SetRequest(key=b"s", add=[b"%0512d" % number for number in range(60_000)]),
        ("set", str(25 * MIB)),
    ),
    "document of noise": lambda: Case(
        pb.DocumentRequest(key=b"d", update=b"\xff\xff noise"), ("Yjs update",)
    ),
    "document too large": lambda: Case(
        pb.DocumentRequest(key=b"d", update=bytes(26 * MIB)),
        ("document", str(25 * MIB)),
    ),
    "state vector of noise": lambda: Case(
        pb.DocumentRequest(
            key=b"page", want_update=True, state_vector=b"\xff\xff noise"
        ),
        ("state vector",),
    ),
    "state vector of noise with an update": lambda: Case(
        pb.DocumentRequest(
            key=b"page",
            update=EMPTY_UPDATE,
            want_update=True,
            state_vector=b"\xff\xff noise",
        ),
        ("state vector",),
    ),
}


class Road(NamedTuple):
    """One channel to the node, with one stream that must outlive every case."""

    channel: grpc.aio.Channel
    kv: "kv_pb2_grpc.KvAsyncStub"
    admin: "admin_pb2_grpc.AdminAsyncStub"
    stream: "grpc.aio.StreamStreamCall[pb.Frame, pb.FrameReply]"

    async def ask(self, *operations: pb.Operation) -> dict[int, pb.OperationResult]:
        """Send one frame on the stream and return the results by id."""
        await self.stream.write(pb.Frame(operations=operations))
        results: dict[int, pb.OperationResult] = {}
        while len(results) < len(operations):
            reply = await self.stream.read()
            assert isinstance(reply, pb.FrameReply), f"the stream ended: {reply}"
            results |= {result.id: result for result in reply.results}
        return results

    async def unary(self, request: Message) -> grpc.aio.AioRpcError:
        """Make the unary call for *request*, which must fail; return how."""
        call = getattr(self.kv, FIELDS[type(request)].capitalize())
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(request)
        return failed.value

    async def works(self) -> None:
        """Check that stream and channel still answer."""
        results = await self.ask(_operation(pb.GetRequest(key=b"good"), 1))
        assert results[1].get.value == b"still here"
        reply = await self.kv.Get(pb.GetRequest(key=b"good"))
        assert reply.value == b"still here"


def _operation(request: Message, number: int) -> pb.Operation:
    """Return *request* as operation *number* of a frame."""
    operation = pb.Operation(id=number)
    field = getattr(operation, FIELDS[type(request)])
    field.SetInParent()
    field.CopyFrom(request)
    return operation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServedNode]:
    """The node that all tests of this file send wrong requests to."""
    fleet = Fleet(tmp_path_factory.mktemp("bad-input"))
    try:
        yield fleet.add("victim")
    finally:
        await fleet.close()


@pytest.fixture
async def road(victim: ServedNode) -> AsyncIterator[Road]:
    """A way to a node that holds a register, a high counter and a document."""
    if not await is_serving(victim.endpoint):  # one test must not fail all others
        victim.end()
        await victim.start()
    async with grpc.aio.insecure_channel(
        victim.endpoint, options=CHANNEL_OPTIONS
    ) as channel:
        kv = kv_pb2_grpc.KvStub(channel)
        await kv.Put(pb.PutRequest(key=b"good", value=b"still here"))
        counter = await kv.Counter(pb.CounterRequest(key=b"high"))
        rest = HIGH - counter.value
        await kv.Counter(pb.CounterRequest(key=b"high", delta=rest))
        await kv.Document(pb.DocumentRequest(key=b"page", update=EMPTY_UPDATE))
        road = Road(channel, kv, admin_pb2_grpc.AdminStub(channel), kv.Execute())
        yield road
        assert await is_serving(victim.endpoint), victim.log[-LOG_TAIL_CHARS:]
        await road.works()
        road.stream.cancel()


@pytest.mark.parametrize("name", CASES)
async def test_wrong_operation_is_refused_clearly_and_disturbs_nobody(
    road: Road, name: str
) -> None:
    """In a frame its neighbours are served; as a call, the status says the same."""
    request, words, (code, status) = CASES[name]()

    results = await road.ask(
        _operation(pb.GetRequest(key=b"good"), 1),
        _operation(request, 2),
        _operation(pb.PutRequest(key=b"other", value=b"v"), 3),
    )
    failure = await road.unary(request)

    assert results[1].get.value == b"still here"
    assert results[3].write.applied
    error = results[2].error
    assert (error.code, error.may_have_happened) == (code, False)
    assert failure.code() is status
    for message in (error.message, str(failure.details())):
        assert [word for word in words if word not in message] == [], message


async def test_operation_of_no_known_kind_is_refused(road: Road) -> None:
    """What a newer client may send, and what a broken one may."""
    empty = pb.Operation(id=7)
    # Field 99, length-delimited, which no version of the protocol has yet.
    unknown_field = b"\x9a\x06\x01x"
    newer = pb.Operation.FromString(
        pb.Operation(id=8).SerializeToString() + unknown_field
    )

    results = await road.ask(empty, newer)

    for number in (7, 8):
        assert results[number].error.code == pb.ERROR_CODE_INVALID_ARGUMENT
        assert f"operation {number}" in results[number].error.message


def _as_it_is(message: bytes) -> bytes:
    return message


async def _ending_of(
    road: Road, method: str, message: bytes
) -> grpc.aio.AioRpcError | None:
    """Send one message on a stream of *method*; return how the stream ended."""
    stream: grpc.aio.StreamStreamCall[bytes, bytes] = road.channel.stream_stream(
        method, request_serializer=_as_it_is, response_deserializer=_as_it_is
    )()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stream.write(message)
            while await stream.read() is not grpc.aio.EOF:
                pass
    except grpc.aio.AioRpcError as error:
        return error
    return None


EXECUTE = "/kvnode.v1.Kv/Execute"
CONNECT = "/kvnode.v1.Peer/Connect"


async def test_frame_of_too_many_operations_ends_its_stream_alone(road: Road) -> None:
    """The limit is named in the status; the channel's other streams go on."""
    operations = [_operation(pb.GetRequest(key=b"k"), n) for n in range(10_001)]
    frame = pb.Frame(operations=operations)

    failure = await _ending_of(road, EXECUTE, frame.SerializeToString())

    assert failure is not None
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "10001" in str(failure.details())
    assert "10000" in str(failure.details())


async def test_malformed_frame_ends_its_stream_alone(road: Road) -> None:
    """Bytes that are no protobuf reach no operation, and the channel lives on."""
    failure = await _ending_of(road, EXECUTE, b"\xff\xff this is no frame")

    assert failure is not None
    assert failure.code() in {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNKNOWN,
    }


@pytest.mark.parametrize("message", [b"\xff\xff noise", b"", b"\x0a\x00"])
async def test_malformed_peer_message_harms_nobody(road: Road, message: bytes) -> None:
    """The peers' service shares the port; noise there must not reach clients."""
    failure = await _ending_of(road, CONNECT, message)

    assert failure is not None


async def test_message_past_the_transport_limit_is_refused(road: Road) -> None:
    """The transport refuses it and names both numbers; nothing of it is kept."""
    too_large = bytes(110 * 1000 * 1000)

    with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as failed:
        await road.kv.Put(pb.PutRequest(key=b"k", value=too_large))

    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (
            pb.WatchRequest(resume_token=b"nonsense"),
            grpc.StatusCode.INVALID_ARGUMENT,
            ("resume_token",),
        ),
        (
            pb.WatchRequest(resume_token=b"\1\0\0", from_start=True),
            grpc.StatusCode.INVALID_ARGUMENT,
            ("resume_token", "from_start", "not both"),
        ),
        (
            pb.WatchRequest(prefix=bytes(513)),
            grpc.StatusCode.INVALID_ARGUMENT,
            ("prefix", "513", "512"),
        ),
        (
            pb.WatchRequest(namespace="nowhere"),
            grpc.StatusCode.NOT_FOUND,
            ("'nowhere'",),
        ),
    ],
)
async def test_wrong_watch_is_refused(
    road: Road,
    request_: pb.WatchRequest,
    status: grpc.StatusCode,
    words: tuple[str, ...],
) -> None:
    """Before its first step, with the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await road.kv.Watch(request_).read()

    assert failed.value.code() is status
    for word in words:
        assert word in str(failed.value.details())


@pytest.mark.parametrize(
    ("call", "request_", "words"),
    [
        ("CreateNamespace", admin_pb2.NamespaceRequest(name=""), "1 to 64"),
        ("CreateNamespace", admin_pb2.NamespaceRequest(name="a/b"), "'a/b'"),
        ("CreateNamespace", admin_pb2.NamespaceRequest(name="x" * 65), "1 to 64"),
        ("CreateNamespace", admin_pb2.NamespaceRequest(name="_mine"), "own"),
        ("DeleteNamespace", admin_pb2.NamespaceRequest(name="default"), "default"),
        ("SetLink", admin_pb2.SetLinkRequest(peer="mars"), "'mars' is no peer"),
    ],
)
async def test_wrong_admin_call_is_refused(
    road: Road, call: str, request_: Message, words: str
) -> None:
    """Names and links that cannot be."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await getattr(road.admin, call)(request_)

    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(failed.value.details())


async def test_digest_of_an_unknown_namespace_is_refused(road: Road) -> None:
    """As every other operation there."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await road.admin.Digest(admin_pb2.DigestRequest(namespace="nowhere"))

    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_links_are_not_harmed_where_fault_injection_is_off(fleet: Fleet) -> None:
    """A production node refuses to be cut off, and says which setting is why."""
    node = fleet.add("alone", fault_injection=False)
    await node.start()
    async with grpc.aio.insecure_channel(node.endpoint) as channel:
        admin = admin_pb2_grpc.AdminStub(channel)

        with pytest.raises(grpc.aio.AioRpcError, match="fault_injection") as failed:
            await admin.SetLink(admin_pb2.SetLinkRequest(peer="b", blocked=True))

    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_refused_writes_leave_no_trace(road: Road) -> None:
    """After all the wrong requests, only what was good is there."""
    for make in CASES.values():
        await road.ask(_operation(make().request, 1))

    listing = await road.kv.List(pb.ListRequest())

    assert listing.complete
    keys = {item.key for item in listing.items}
    assert keys <= {b"good", b"high", b"other", b"page"}
