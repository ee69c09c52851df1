"""Pulling large values: in windows, a few at once, and never mixed up."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.replication import fetch
from kvnode.core.replication.fetch import (
    FETCHES_MAX,
    RECORD_BYTES_MAX,
    SILENCE_MAX,
    Fetches,
    serve,
)
from kvnode.core.replication.messages import FetchChunk, FetchRequest
from kvnode.errors import PeerProtocolError
from kvnode.types import Dot, EntryKey, Millis
from tests.core.replication.entries import A, B, at

CHUNK = 8
WINDOW = 3
KEY = at(b"k")
NOW = Millis(1000)


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "CHUNK_BYTES", CHUNK)
        patch.setattr(fetch, "FETCH_WINDOW_CHUNKS", WINDOW)
        yield


def started(key: EntryKey = KEY) -> tuple[Fetches, FetchRequest]:
    """Return fetches with one pull from A under way, and its request."""
    fetches = Fetches()
    assert fetches.want(A, key, Dot(A, 1))
    [(peer, request)] = fetches.start(NOW)
    assert peer == A
    return fetches, request


def pulled(
    fetches: Fetches, request: FetchRequest, dot: Dot, record: bytes
) -> tuple[EntryKey, bytes]:
    """Serve *request* and those that follow until the record is here."""
    requests = 1
    while True:
        chunks = serve(request, dot, record)
        assert len(chunks) <= WINDOW
        assert all(len(chunk.data) <= CHUNK for chunk in chunks)
        answers = [fetches.chunk(A, chunk, NOW) for chunk in chunks]
        assert all(answer is None for answer in answers[:-1])
        if not isinstance(answers[-1], FetchRequest):
            assert answers[-1] is not None, "the pull hangs"
            assert requests == max(1, -(-len(record) // (CHUNK * WINDOW)))
            return answers[-1]
        request = answers[-1]
        requests += 1


@given(record=st.binary(max_size=CHUNK * WINDOW * 3 + 1))
def test_record_arrives_as_it_was_in_as_few_windows_as_it_fills(record: bytes) -> None:
    """Whatever its size, the borders of chunks and windows included."""
    fetches, request = started()

    assert pulled(fetches, request, Dot(A, 1), record) == (KEY, record)


@given(
    old=st.binary(min_size=CHUNK * WINDOW + 1, max_size=CHUNK * WINDOW * 3),
    new=st.binary(min_size=1, max_size=CHUNK * WINDOW * 3),
)
def test_superseded_record_starts_over(old: bytes, new: bytes) -> None:
    """What came of the old one is thrown away, not joined to the new one."""
    fetches, request = started()
    *_, answer = [
        fetches.chunk(A, chunk, NOW) for chunk in serve(request, Dot(A, 1), old)
    ]
    assert isinstance(answer, FetchRequest)

    # A server that lost the old record answers with the beginning of the new one.
    assert serve(answer, Dot(A, 2), new)[0].offset == 0
    assert pulled(fetches, answer, Dot(A, 2), new) == (KEY, new)


def test_record_that_changed_under_its_dot_starts_over() -> None:
    """A CRDT's newest dot says nothing of its other contributions (seed 20832)."""
    fetches, request = started()
    *_, answer = [
        fetches.chunk(A, c, NOW) for c in serve(request, Dot(A, 1), bytes(30))
    ]
    assert isinstance(answer, FetchRequest)

    changed = b"another state" * 3
    from_zero = answer._replace(offset=0)

    assert pulled(fetches, from_zero, Dot(A, 1), changed) == (KEY, changed)


@given(lost=st.integers(0, WINDOW - 1), record=st.binary(min_size=60, max_size=90))
def test_silent_pull_goes_on_from_where_it_stopped(lost: int, record: bytes) -> None:
    """The peer forgot the rest of a window when its turn failed."""
    fetches, request = started()
    for chunk in serve(request, Dot(A, 1), record)[:lost]:
        fetches.chunk(A, chunk, NOW)

    assert fetches.repeat(Millis(NOW + SILENCE_MAX)) == []
    [(peer, again)] = fetches.repeat(Millis(NOW + SILENCE_MAX + 1))

    assert (peer, again.offset) == (A, lost * CHUNK)
    result: object = again
    while isinstance(result, FetchRequest):
        for chunk in serve(result, Dot(A, 1), record):
            result = fetches.chunk(A, chunk, NOW)
    assert result == (KEY, record)


def test_few_pulls_run_at_once_and_the_rest_wait_in_order() -> None:
    """Memory is bounded by FETCHES_MAX values, whatever is announced."""
    fetches = Fetches()
    keys = [at(b"%d" % n) for n in range(FETCHES_MAX + 2)]
    for key in keys:
        fetches.want(A, key, Dot(A, 1))

    requests = [request for _, request in fetches.start(NOW)]
    assert [request.key for request in requests] == keys[:FETCHES_MAX]
    assert fetches.start(NOW) == []

    pulled(fetches, requests[0], Dot(A, 1), b"record")
    assert [r.key for _, r in fetches.start(NOW)] == [keys[FETCHES_MAX]]


def test_wanting_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is pulled after another delta."""
    monkeypatch.setattr(fetch, "WANTED_MAX", 2)
    fetches = Fetches()

    wanted = [fetches.want(A, at(b"%d" % n), Dot(A, 1)) for n in range(4)]

    assert wanted == [True, True, False, False]
    assert fetches.want(A, at(b"0"), Dot(A, 9)), "it is being pulled already"


def test_numbers_are_not_used_again_after_giving_up() -> None:
    """Late chunks of one value must not be stored under another key."""
    fetches, request = started(at(b"first"))
    fetches.forget()
    fetches.want(A, at(b"second"), Dot(A, 2))
    fetches.start(NOW)

    late = serve(request, Dot(A, 1), b"of the first key")

    assert [fetches.chunk(A, chunk, NOW) for chunk in late] == [None] * len(late)


def test_chunk_from_another_peer_is_ignored() -> None:
    """Numbers are this node's own: a peer could guess another's."""
    fetches, request = started()

    assert fetches.chunk(B, serve(request, Dot(A, 1), b"x")[0], NOW) is None


def test_lost_connection_gives_up_its_pulls_alone() -> None:
    """They come again with the delta after the next connection."""
    fetches = Fetches()
    fetches.want(A, KEY, Dot(A, 1))
    fetches.want(B, KEY, Dot(A, 1))

    fetches.drop_of(A)

    assert [peer for peer, _ in fetches.start(NOW)] == [B]
    assert fetches.want(A, KEY, Dot(A, 1))
    assert [peer for peer, _ in fetches.start(NOW)] == [A]


def test_record_larger_than_any_value_is_refused() -> None:
    """A peer cannot make us hold more than a value's worth."""
    fetches, request = started()
    chunk = FetchChunk(request.fetch, Dot(A, 1), 0, RECORD_BYTES_MAX + 1, b"x")

    with pytest.raises(PeerProtocolError, match=str(RECORD_BYTES_MAX)):
        fetches.chunk(A, chunk, NOW)
