"""Objects over HTTP: from real Workers, at any node, and through its restart."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.processes import HOST, free_ports
from kvnode.objects.object_id import ObjectId
from tests.system.nodes import Fleet, ServedNode
from tests.system.workerd_process import workerd

pytestmark = pytest.mark.system

EXAMPLE = Path(__file__).parents[2] / "examples" / "workerd"
WORKER = Path(__file__).with_name("objects_worker.js")


class Answer(NamedTuple):
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 -- whatever was said
        """Return what the body says."""
        return json.loads(self.body)


async def _ask(
    port: int, method: str, path: str, body: bytes = b"", *, key: str = ""
) -> Answer:
    """Ask who listens on *port*, in a thread; with *key* it happens once."""
    headers = {"idempotency-key": key} if key else {}

    def ask() -> Answer:
        connection = HTTPConnection(HOST, port, timeout=20.0)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def _node(fleet: Fleet, objects: str) -> tuple[ServedNode, int]:
    """Return a node, and the port of its HTTP."""
    (port,) = free_ports(["http"], None).values()
    node = fleet.add("node", objects=[objects], http=f"{HOST}:{port}")
    await node.start()
    return node, port


@asynccontextmanager
async def _worker(
    directory: Path, node_port: int, script: Path, class_name: str = "Counted"
) -> AsyncIterator[int]:
    """Run the example's configuration with *script*; yield where it listens."""
    (port,) = free_ports(["worker"], None).values()
    shutil.copytree(EXAMPLE, directory)
    shutil.copy(script, directory / "worker.js")
    config = directory / "config.capnp"
    text = config.read_text(encoding="utf-8").replace('"Counter"', f'"{class_name}"')
    for wanted, found in ((f"{HOST}:7480", node_port), (f"{HOST}:8080", port)):
        assert wanted in text
        text = text.replace(wanted, f"{HOST}:{found}")
    config.write_text(text, encoding="utf-8")
    async with workerd(directory, port):
        yield port


async def _scenario(port: int, name: str) -> Any:  # noqa: ANN401 -- whatever it tells
    answer = await _ask(port, "GET", f"/{name}")
    assert answer.status == 200, answer.body
    return answer.json()


async def test_worker_calls_objects_as_it_would_durable_objects(
    fleet: Fleet, tmp_path: Path
) -> None:
    """In parallel, by strange names, by ids, with bytes, with errors, and by fetch."""
    _, node_port = await _node(fleet, "tests.system.shop:Counted")
    async with _worker(tmp_path / "worker", node_port, WORKER) as port:
        assert await _scenario(port, "parallel") == {
            "replies": list(range(1, 21)),
            "value": 20,
        }
        names = await _scenario(port, "names")
        assert list(names.values()) == list(range(1, len(names) + 1))
        assert await _scenario(port, "once") == [1, 1]
        assert await _scenario(port, "values") == {
            "echoed": [None, True, 1.5, "ü", [1], {"a": {"b": 2}}],
            "isBytes": True,
            "bytes": [0, 255],
        }
        _check_ids(await _scenario(port, "ids"))
        _check_errors(await _scenario(port, "errors"))
        _check_fetched(await _scenario(port, "fetched"))


def _check_ids(told: Mapping[str, Any]) -> None:
    assert told["digits"] == str(ObjectId.from_name("Counted", "named"))
    assert (told["byDigits"], told["again"], told["direct"]) == (3, 4, 5)
    assert told["equal"]
    assert "await id.resolved()" in told["unresolved"]["message"]
    assert "64 hexadecimal digits" in told["malformed"]["message"]
    assert "not the id of an object of class" in told["foreign"]["message"]
    assert "use an id" in told["dots"]["message"]


def _check_errors(told: Mapping[str, Any]) -> None:
    assert told["raised"] == {
        "name": "ValueError",
        "message": "no apples",
        "retryable": False,
        "overloaded": False,
        "remote": True,
        "maybeHappened": True,
        "durableObjectReset": False,
    }
    assert told["ended"] == {
        "name": "ObjectEndedError",
        "message": "the Counted has ended itself",
        "retryable": True,
        "overloaded": False,
        "remote": False,
        "maybeHappened": False,
        "durableObjectReset": True,
    }
    assert "has no method 'nothing'" in told["unknown"]["message"]
    assert not told["unknown"]["maybeHappened"]
    assert (told["late"]["name"], told["late"]["maybeHappened"]) == (
        "DeadlineError",
        True,
    )


def _check_fetched(told: Mapping[str, Any]) -> None:
    assert (told["status"], told["header"]) == (201, "ü")
    assert told["seen"] == {
        "method": "PUT",
        "url": "https://shop.example/a%2Fb/?x=1&y=+",
        "who": "ann",
        "body": [0, 255],
    }
    assert told["moved"] == [302, "https://else.example/"]
    assert (told["raised"]["name"], told["raised"]["message"]) == (
        "LookupError",
        "gone",
    )
    assert told["head"]["name"] == "LookupError"
    assert "WebSockets" in told["socket"]["message"]


async def test_worker_places_objects_in_a_region(fleet: Fleet, tmp_path: Path) -> None:
    """As it would by the location hint of a namespace."""
    (node_port,) = free_ports(["http"], None).values()
    node = fleet.add(
        "node",
        objects=["tests.system.shop:Counted"],
        http=f"{HOST}:{node_port}",
        region="europe",
    )
    await node.start()
    async with _worker(tmp_path / "worker", node_port, WORKER) as port:
        told = await _scenario(port, "placed")
    assert (told["value"], told["again"]) == (1, 2)
    assert "there are europe" in told["nowhere"]["message"]
    found = await _ask(node_port, "GET", "/v1/objects/Counted/near/location")
    assert found.json()["result"]["region"] == "europe"


async def test_worker_goes_on_when_its_node_is_back(
    fleet: Fleet, tmp_path: Path
) -> None:
    """What it was answered is there, and what it was not is told to be open."""
    node, node_port = await _node(fleet, "tests.system.shop:Counted")
    async with _worker(tmp_path / "worker", node_port, WORKER) as port:
        assert (await _scenario(port, "incremented"))["failed"] is None
        await node.kill()
        failed = (await _scenario(port, "incremented"))["failed"]
        await node.start()

        assert failed["maybeHappened"]
        assert (await _scenario(port, "incremented"))["failed"] is None
        assert await _scenario(port, "lasting") == 2


async def test_example_counts_visits(fleet: Fleet, tmp_path: Path) -> None:
    """As its first lines say."""
    _, node_port = await _node(fleet, "examples.counter:Counter")
    example = EXAMPLE / "worker.js"
    async with _worker(tmp_path / "w", node_port, example, "Counter") as port:
        assert (await _ask(port, "POST", "/a%2Fb", b"5")).body == b"5\n"
        assert (await _ask(port, "GET", "/a%2Fb")).body == b"5\n"
    by_fetch = await _ask(node_port, "POST", "/v1/objects/Counter/a%2Fb/fetch/", b"2")
    assert by_fetch.body == b"7\n"


async def test_every_node_takes_requests_for_all_objects(fleet: Fleet) -> None:
    """It sends them on to the one that leads, and the answer is the same."""
    names = ("a", "b", "c")
    ports = free_ports(names, None)
    nodes = fleet.add_peers(
        *names,
        objects=["tests.system.shop:Counted", "examples.cart:Cart"],
        objects_voters=list(names),
    )
    for node in nodes:
        node.settings["http"] = f"{HOST}:{ports[node.name]}"
    await fleet.start(nodes)

    for number, port in enumerate([*ports.values()] * 4, start=1):
        path = "/v1/objects/Counted/c/call/incr"
        # A lead may go to another node while the machine is busy, and the call with it.
        answer = await _ask(port, "POST", path, b"[1]", key=f"k{number}")
        assert answer.json() == {"result": number}
    alarm = "/v1/objects/Cart/c/alarm"
    set_ = await _ask(ports["a"], "PUT", alarm, b'{"in_ms": 60000}')
    assert set_.status == 200, set_.body
    for port in ports.values():
        assert (await _ask(port, "GET", alarm)).json() == set_.json()
    large = b"x" * (1024 * 1024 - 4096)
    for port in ports.values():
        answer = await _ask(port, "PUT", "/v1/objects/Counted/c/fetch/length", large)
        assert (answer.status, answer.body) == (200, str(len(large)).encode())


async def test_node_that_stops_says_so_and_answers_what_it_has_taken(
    fleet: Fleet,
) -> None:
    """A balancer that asks for its health sends nobody there any more."""
    node, port = await _node(fleet, "tests.system.shop:Counted")
    assert (await _ask(port, "GET", "/healthz")).json() == {"status": "serving"}
    path = "/v1/objects/Counted/c/call/wait"
    waiting = asyncio.create_task(_ask(port, "POST", path, b"[1.0]"))
    await asyncio.sleep(0.3)  # until it has reached the node

    assert await node.stop() == 0

    assert (await waiting).json() == {"result": None}
    assert "Traceback" not in node.log


async def test_port_that_is_taken_is_told_before_the_node_starts(
    fleet: Fleet,
) -> None:
    """As any setting that is wrong."""
    _, port = await _node(fleet, "tests.system.shop:Counted")
    second = fleet.add("second", http=f"{HOST}:{port}")
    second.spawn()
    await second.ended()

    assert f"http: cannot listen on {HOST}:{port}: Address already in use" in second.log
    assert "Traceback" not in second.log
