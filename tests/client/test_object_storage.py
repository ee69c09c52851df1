"""The map that needs no class: thin calls of `Storage`."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from kvnode.client import Client, StorageHandle, StoredItem, StoredValue, Transacted
from kvnode.errors import IndeterminateError, InvalidArgumentError, PeerProtocolError
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from tests.api.objects_server import ServedObjects, served_objects

Ask = Callable[[StorageHandle], Awaitable[object]]

ROW: Value = {"value": [1], "version": 3}
STORED = StoredValue([1], 3)


@pytest.fixture
async def served() -> AsyncIterator[ServedObjects]:
    """Fake objects behind a real server."""
    async with served_objects() as served:
        yield served


@pytest.fixture
async def storage(served: ServedObjects) -> AsyncIterator[StorageHandle]:
    """A map of them."""
    async with Client(served.address) as client:
        yield client.storage("cart")


@pytest.mark.parametrize(
    ("ask", "method", "arguments", "named", "answer", "result"),
    [
        (lambda s: s.get("k"), "get", ["k"], {}, ROW, STORED),
        (lambda s: s.get("k"), "get", ["k"], {}, None, None),
        (
            lambda s: s.get_many(("a", "b")),
            "get_many",
            [["a", "b"]],
            {},
            {"a": ROW},
            {"a": STORED},
        ),
        (lambda s: s.put("k", b"v"), "put", ["k", b"v"], {}, 4, 4),
        (lambda s: s.put_many({"k": 1}), "put_many", [{"k": 1}], {}, 4, 4),
        (lambda s: s.delete("k"), "delete", ["k"], {}, True, True),
        (lambda s: s.delete_many({"k": 1}), "delete_many", [["k"]], {}, 1, 1),
        (
            lambda s: s.list("p", end="q", limit=2),
            "list",
            [],
            {"prefix": "p", "start": None, "end": "q", "reverse": False, "limit": 2},
            [["pa", b"x", 3]],
            [StoredItem("pa", b"x", 3)],
        ),
        (
            lambda s: s.transaction([{"if": "k", "version": 0}, {"put": "k"}]),
            "transaction",
            [[{"if": "k", "version": 0}, {"put": "k"}]],
            {},
            {"applied": True, "version": 5, "seen": {"k": None}, "got": {"l": ROW}},
            Transacted(True, 5, {"k": None}, {"l": STORED}),  # noqa: FBT003
        ),
    ],
)
async def test_method_is_one_call_of_storage(
    *,
    served: ServedObjects,
    storage: StorageHandle,
    ask: Ask,
    method: str,
    arguments: list[Value],
    named: dict[str, Value],
    answer: Value,
    result: object,
) -> None:
    """What goes there, and what is made of what comes back."""
    served.objects.answer = lambda _: answer

    found = await ask(storage)

    (call,) = served.objects.calls
    assert call.target == ObjectId.from_name("Storage", "cart")
    assert (call.method, call.arguments, call.named) == (method, arguments, named)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.get("k"),
        lambda s: s.get_many(["k"]),
        lambda s: s.put("k", 1),
        lambda s: s.list(),
        lambda s: s.transaction([]),
    ],
)
@pytest.mark.parametrize("answer", ["x", {"k": 1}, [[1]]], ids=repr)
async def test_answer_of_another_kind_is_the_nodes_fault(
    served: ServedObjects, storage: StorageHandle, ask: Ask, answer: Value
) -> None:
    """It must not pass for what is stored."""
    served.objects.answer = lambda _: answer

    with pytest.raises(PeerProtocolError, match="Storage answered"):
        await ask(storage)


@pytest.mark.parametrize(
    "ask", [lambda s: s.get("k"), lambda s: s.get_many(["k"]), lambda s: s.list()]
)
async def test_reads_are_tried_again_whatever_happened(
    served: ServedObjects, storage: StorageHandle, ask: Ask
) -> None:
    """They do no harm twice, whether the lead or the stream was lost."""
    answers = {"get": ROW, "get_many": {}, "list": []}
    served.objects.answer = lambda call: answers[call.method]
    served.objects.failures.append(IndeterminateError("the lead was lost"))
    await ask(storage)

    served.servicer.cut_after = 0
    await ask(storage.options(deadline=4.0))

    assert len(served.objects.finished) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.put("k", 1),
        lambda s: s.put_many({"k": 1}),
        lambda s: s.delete("k"),
        lambda s: s.delete_many(["k"]),
        lambda s: s.transaction([{"get": "k"}]),
    ],
)
async def test_changes_are_not_tried_again_once_in_doubt(
    served: ServedObjects, storage: StorageHandle, ask: Ask
) -> None:
    """Unless they have a key."""
    served.objects.answer = lambda call: (
        {"applied": True, "version": 1, "seen": {}, "got": {}}
        if call.method == "transaction"
        else 1
    )
    lost = IndeterminateError("the lead was lost")
    served.objects.failures.extend([lost, lost, None])
    with pytest.raises(IndeterminateError, match="lead was lost"):
        await ask(storage)

    await ask(storage.options(idempotency_key="k"))

    assert [call.idempotency_key for call in served.objects.calls] == ["", "k", "k"]


async def test_map_needs_a_name(served: ServedObjects) -> None:
    """There is no map for everybody."""
    async with Client(served.address) as client:
        with pytest.raises(InvalidArgumentError, match="give one of them"):
            client.storage("")
