"""HTTP on a port: what comes in pieces, too slowly, too large, or is no HTTP at all."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import pytest

from kvnode.api.objects_port import ObjectsPort
from kvnode.errors import ConfigError
from kvnode.fetching import Request, Response
from kvnode.http import server as server_module
from kvnode.http.server import HttpServer, Patience, bound_socket
from kvnode.limits import (
    HTTP_BODY_MILLIS_MAX,
    HTTP_HEADER_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_LINE_BYTES_MAX,
)
from kvnode.object_limits import CALL_BYTES_MAX
from tests.api.objects_server import FakeObjects
from tests.http.asking import now

PATIENT = Patience(idle_seconds=30.0, body_seconds=30.0, grace_seconds=5.0)
ADD = "POST /v1/objects/Counter/c/call/increment HTTP/1.1\r\nHost: x\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Line:
    """A connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, text: str | bytes) -> None:
        """Send some bytes."""
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def answer(self) -> tuple[int, str, bytes]:
        """Return status, header and body of the next answer; status 0 at the end."""
        async with asyncio.timeout(10):
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return 0, "", b""
            header = raw.decode().lower()
            length = int(header.partition("content-length: ")[2].split("\r\n")[0] or 0)
            return int(header.split()[1]), header, await self.reader.readexactly(length)

    async def ended(self) -> bool:
        """Tell whether the server has nothing more to say, once that is known."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


@dataclass
class Listening:
    """A server, and lines to it."""

    server: HttpServer

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Connect."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    async def status(self, text: str | bytes) -> int:
        """Return the status of the answer to *text*."""
        async with self.line() as line:
            line.send(text)
            return (await line.answer())[0]


@asynccontextmanager
async def listening(
    objects: ObjectsPort, patience: Patience = PATIENT
) -> AsyncIterator[Listening]:
    """Yield a server of *objects*."""
    server = HttpServer(
        bound_socket("127.0.0.1:0"),
        objects,
        serves=lambda: True,
        now=now,
        patience=patience,
    )
    await server.start()
    try:
        yield Listening(server)
    finally:
        await server.close()


def _with_body(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{ADD}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _chunked(*chunks: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return f"{ADD}Transfer-Encoding: chunked\r\n\r\n".encode() + parts


@pytest.fixture
def objects() -> FakeObjects:
    """Objects that note what is asked of them."""
    return FakeObjects()


@pytest.fixture
async def served(objects: FakeObjects) -> AsyncIterator[Listening]:
    """A server of them."""
    async with listening(objects) as found:
        yield found


async def test_requests_of_one_connection_are_answered_in_turn(
    served: Listening,
) -> None:
    """Bodies in one piece, in chunks, and when they are asked for."""
    async with served.line() as line:
        line.send(_with_body(b"[1]") + _chunked(b"[", b"2]", b""))
        assert (await line.answer())[2] == b'{"result":1}\n'
        assert (await line.answer())[2] == b'{"result":3}\n'

        line.send(f"{ADD}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await line.answer())[0] == 100
        line.send("[4]")
        assert (await line.answer())[2] == b'{"result":7}\n'


async def test_path_is_taken_as_it_stands_on_the_wire(
    served: Listening, objects: FakeObjects
) -> None:
    """No server or library in between decodes it, or tidies it up."""
    path = "/v1/objects/Counter/a%2F..%2Fb%252F%C3%BC+/call/add"

    assert await served.status(f"POST {path} HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    assert objects.calls[0].target.name == "a/../b%2Fü+"


async def test_body_reaches_an_object_as_it_was_sent(
    served: Listening, objects: FakeObjects
) -> None:
    """Packed bodies are the object's to unpack; headers may be UTF-8 or Latin-1."""
    objects.answer = lambda _: Response(200, (("x-who", "ü"),), b"\xff").as_value()
    packed = gzip.compress(b"hello")
    head = (
        f"PUT /v1/objects/Counter/c/fetch HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip"
        f"\r\nContent-Length: {len(packed)}\r\nX-A: "
    )
    async with served.line() as line:
        line.send(head.encode() + "ü".encode() + b"\r\nX-B: \xfc\r\n\r\n" + packed)
        _, header, body = await line.answer()

    (argument,) = objects.calls[0].arguments
    request = Request.from_value(argument)
    assert request.body == packed
    assert (request.header("x-a"), request.header("x-b")) == ("ü", "ü")
    assert "x-who: ü" in header
    assert body == b"\xff"


async def test_answer_to_head_has_no_body(served: Listening) -> None:
    """What follows is the next answer."""
    async with served.line() as line:
        line.send(HEALTH.replace(b"GET", b"HEAD"))
        reader = line.reader
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        line.send(HEALTH)
        assert (await line.answer())[2] == b'{"status":"serving"}\n'


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (f"{ADD}Content-Length: {CALL_BYTES_MAX + 1}\r\n\r\n".encode(), 413),
        (_chunked(b"1" * CALL_BYTES_MAX, b"1"), 413),
        (f"{ADD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), 400),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"no HTTP\r\n\r\n", 400),
        (b"GET /" + b"x" * HTTP_LINE_BYTES_MAX + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * HTTP_HEADER_BYTES_MAX + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * (HTTP_HEADERS_MAX + 1) + b"\r\n", 400),
    ],
)
async def test_request_that_cannot_be_taken_is_answered(
    served: Listening, objects: FakeObjects, raw: bytes, status: int
) -> None:
    """In JSON, without a page of traceback in the log."""
    async with served.line() as line:
        line.send(raw)
        found, header, body = await line.answer()

    assert found == status
    assert "content-type: application/json" in header
    assert json.loads(body).keys() <= {"error", "status"}
    assert objects.calls == []


async def test_longest_name_and_key_fit_into_a_line(
    served: Listening, objects: FakeObjects
) -> None:
    """With every byte of them encoded."""
    name, key = "%C3%BC" * 512, "%C3%BC" * 1023
    path = f"/v1/objects/Storage/{name}/storage/keys/{key}"

    assert await served.status(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    assert len(objects.calls) == 1


async def test_body_that_does_not_come_is_not_waited_for(objects: FakeObjects) -> None:
    """A client that is slow, or gone, takes up room."""
    hasty = PATIENT._replace(body_seconds=0.01, grace_seconds=0.01)
    async with listening(objects, hasty) as served:
        assert await served.status(f"{ADD}Content-Length: 3\r\n\r\n[") == 408
    assert objects.calls == []


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost"])
async def test_connection_without_a_whole_header_ends(
    objects: FakeObjects, begun: bytes
) -> None:
    """An idle one, and one that sends a header byte by byte for ever."""
    async with (
        listening(objects, PATIENT._replace(idle_seconds=0.02)) as served,
        served.line() as line,
    ):
        line.send(begun)
        assert await line.ended()


async def test_client_that_goes_does_not_stop_its_call(
    served: Listening, objects: FakeObjects
) -> None:
    """As over gRPC: what has begun comes to its end."""
    objects.hold["add"], ended = asyncio.Event(), asyncio.Event()
    objects.answer = lambda _: ended.set()
    async with served.line() as line:
        line.send(_with_body(b"[1]").replace(b"increment", b"add"))
        await objects.began.wait()
    objects.hold["add"].set()

    async with asyncio.timeout(5):
        await ended.wait()


async def test_more_connections_than_there_may_be_are_cut_off(
    served: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there go on."""
    monkeypatch.setattr(server_module, "HTTP_CONNECTIONS_MAX", 1)
    async with served.line() as first:
        first.send(HEALTH)
        assert (await first.answer())[0] == 200
        async with served.line() as second:
            assert await second.ended()
        first.send(HEALTH)
        assert (await first.answer())[0] == 200


async def test_requests_beyond_the_room_are_told_to_come_again(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for health, which tells of the node and not of its load."""
    monkeypatch.setattr(server_module, "HTTP_REQUESTS_MAX", 1)
    objects.hold["increment"] = asyncio.Event()
    async with listening(objects) as served, served.line() as first:
        first.send(_with_body(b"[1]"))
        await objects.began.wait()

        assert await served.status(_with_body(b"[1]")) == 503
        assert await served.status(HEALTH) == 200

        objects.hold["increment"].set()
        assert (await first.answer())[0] == 200
        assert await served.status(_with_body(b"[1]")) == 200


async def test_server_that_leaves_answers_what_has_come(objects: FakeObjects) -> None:
    """Health says so at once; a call under way ends, and its connection with it."""
    objects.hold["increment"] = asyncio.Event()
    async with listening(objects) as served, served.line() as line:
        line.send(_with_body(b"[1]"))
        await objects.began.wait()
        served.server.leave()
        assert await served.status(HEALTH) == 503

        ending = asyncio.create_task(served.server.close())
        await asyncio.sleep(0)
        objects.hold["increment"].set()
        status, header, _ = await line.answer()
        await ending

        assert (status, "connection: close" in header) == (200, True)
        assert await line.ended()


def test_client_that_reads_nothing_is_cut_off_by_the_kernel() -> None:
    """Its answer would else be kept for as long as it stays."""
    with closing(bound_socket("127.0.0.1:0")) as listening_socket:
        option = listening_socket.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
        )
    assert option == HTTP_BODY_MILLIS_MAX


async def test_address_that_is_taken_is_told() -> None:
    """By the setting's name."""
    with closing(bound_socket("127.0.0.1:0")) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"http: cannot listen on .*:{port}: Addr"
        ):
            bound_socket(f"127.0.0.1:{port}")
