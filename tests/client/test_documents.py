"""Documents travel as differences, both ways."""

from pycrdt import Doc, Text

from kvnode.client import Client
from tests.client.fake_server import FakeNode


def _text(document: "Doc[Text]") -> Text:
    return document.get("t", type=Text)


async def test_saved_document_loads_elsewhere(client: Client) -> None:
    """An absent one is empty."""
    document = client.document("page")
    ours = await document.load()
    _text(ours).insert(0, "hello")

    await document.save(ours)
    theirs = await client.document("page").load()

    assert str(_text(theirs)) == "hello"


async def test_save_sends_only_what_the_node_lacks(
    node: FakeNode, client: Client
) -> None:
    """A small edit of a large document is a small message."""
    document = client.document("page")
    ours: Doc[Text] = Doc()
    _text(ours).insert(0, "x" * 10_000)
    await document.save(ours)
    _text(ours).insert(0, "y")

    await document.save(ours)

    first, second = (len(one.document.update) for one in node.operations)
    assert first > 10_000
    assert second < 100
    assert str(_text(await client.document("page").load())).startswith("yx")


async def test_save_of_nothing_new_sends_nothing(
    node: FakeNode, client: Client
) -> None:
    """Not even a message."""
    document = client.document("page")
    ours: Doc[Text] = Doc()
    _text(ours).insert(0, "x")
    await document.save(ours)

    await document.save(ours)

    assert len(node.operations) == 1


async def test_sync_brings_both_sides_together(client: Client) -> None:
    """Concurrent edits of two writers are in both."""
    left, right = client.document("page"), client.document("page")
    ours, theirs = await left.load(), await right.load()
    _text(ours).insert(0, "a")
    _text(theirs).insert(0, "b")

    await left.sync(ours)
    await right.sync(theirs)
    await left.sync(ours)

    assert str(_text(ours)) == str(_text(theirs))
    assert sorted(str(_text(ours))) == ["a", "b"]


async def test_edit_made_during_a_sync_is_sent_by_the_next(client: Client) -> None:
    """What changed while the request was under way is not at the node."""
    document = client.document("page")
    ours: Doc[Text] = Doc()
    request = document.exchange.sync_request(ours)
    reply = await document.send(request)
    _text(ours).insert(0, "late")
    document.exchange.synced(ours, reply)

    await document.save(ours)

    assert str(_text(await client.document("page").load())) == "late"
