"""Pages: in order, complete only at the end, however many entries are hidden."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode._pb import kv_pb2 as pb
from kvnode.api import reads
from kvnode.types import Millis
from tests.api.services import Api, running_api
from tests.runtime.nodes import NOW

keys = st.binary(min_size=1, max_size=3)


async def _all_pages(api: Api, request: pb.ListRequest) -> list[pb.ListReply]:
    pages = [await api.list(request)]
    while not pages[-1].complete:
        assert pages[-1].cursor, "a page that is not the last says where to go on"
        request.cursor = pages[-1].cursor
        pages.append(await api.list(request))
        assert len(pages) < 100, "pages come to an end"
    return pages


async def _check(
    stored: dict[bytes, bool], prefix: bytes, limit: int, rows_max: int
) -> None:
    async with running_api() as api:
        for key, deleted in stored.items():
            await api.write(key)
            if deleted:
                await api.ask(pb.DeleteRequest(key=key))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reads, "LIST_ROWS_MAX", rows_max)
            request = pb.ListRequest(prefix=prefix, limit=limit)
            pages = await _all_pages(api, request)
        found = [item.key for page in pages for item in page.items]
        assert found == sorted(
            k for k, deleted in stored.items() if not deleted and k.startswith(prefix)
        )
        assert all(len(page.items) <= (limit or 1000) for page in pages)


@settings(max_examples=60, deadline=None)
@given(
    stored=st.dictionaries(keys, st.booleans(), max_size=12),
    prefix=st.binary(max_size=2),
    limit=st.integers(0, 4),
    rows_max=st.integers(1, 5),
)
def test_pages_together_are_exactly_the_live_keys(
    stored: dict[bytes, bool], prefix: bytes, limit: int, rows_max: int
) -> None:
    """Whatever the page size, and wherever the deleted ones lie."""
    asyncio.run(_check(stored, prefix, limit, rows_max))


async def test_page_may_be_empty_and_not_the_last(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`complete` is the only end test: deleted keys make a page short."""
    for n in range(9):
        await api.write(b"%d" % n)
        if n < 8:
            await api.ask(pb.DeleteRequest(key=b"%d" % n))
    monkeypatch.setattr(reads, "LIST_ROWS_MAX", 4)

    pages = await _all_pages(api, pb.ListRequest())

    assert [len(page.items) for page in pages] == [0, 0, 1]
    assert [page.complete for page in pages] == [False, False, True]


async def test_page_ends_early_when_its_values_are_large(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one item at least, however large; without values size is no matter."""
    for n in range(4):
        await api.write(b"%d" % n, bytes(100))
    monkeypatch.setattr(reads, "LIST_BYTES_MAX", 150)

    pages = await _all_pages(api, pb.ListRequest(with_values=True))
    assert [len(page.items) for page in pages] == [2, 2]
    monkeypatch.setattr(reads, "LIST_BYTES_MAX", 1)
    pages = await _all_pages(api, pb.ListRequest(with_values=True))
    assert [len(page.items) for page in pages] == [1, 1, 1, 1]
    pages = await _all_pages(api, pb.ListRequest())
    assert [len(page.items) for page in pages] == [4]


async def test_items_say_what_a_get_would(api: Api) -> None:
    """Except for the value, unless that is asked for."""
    await api.put(pb.PutRequest(key=b"a", value=b"v", metadata="1", ttl_ms=1000))
    await api.ask(pb.CounterRequest(key=b"n", delta=5))

    without = await api.list(pb.ListRequest())
    page = await api.list(pb.ListRequest(with_values=True))

    assert [item.value for item in without.items] == [b"", b""]
    assert [item.value for item in page.items] == [b"v", b"5"]
    for item in page.items:
        got = await api.get(item.key)
        assert (item.metadata, item.expires_at_ms) == (got.metadata, got.expires_at_ms)
        assert (item.version, item.type) == (got.version, got.type)


async def test_full_page_that_is_the_last_is_complete(api: Api) -> None:
    """Exactly as many keys as the limit: no empty page follows."""
    for n in range(2):
        await api.write(b"%d" % n)
    page = await api.list(pb.ListRequest(limit=2))
    assert page.complete
    assert page.cursor == b""


async def test_expired_entries_are_hidden_and_do_not_end_a_page(api: Api) -> None:
    """Like deleted ones."""
    await api.put(pb.PutRequest(key=b"a", ttl_ms=1))
    await api.write(b"b")
    api.node.clock.now = Millis(NOW + 1)

    page = await api.list(pb.ListRequest(limit=1))

    assert [item.key for item in page.items] == [b"b"]
    assert page.complete


async def test_cursor_outside_of_the_prefix_is_harmless(api: Api) -> None:
    """Made up by a client: it can skip keys, and nothing else."""
    for key in (b"a", b"p1", b"p2", b"z"):
        await api.write(key)
    before = await api.list(pb.ListRequest(prefix=b"p", cursor=b"a"))
    behind = await api.list(pb.ListRequest(prefix=b"p", cursor=b"z"))

    assert [item.key for item in before.items] == [b"p1", b"p2"]
    assert not behind.items
    assert behind.complete
