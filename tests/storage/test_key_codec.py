"""Tests of kvnode.storage.key_codec; order over whole stores is in contract."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import StoreFullError
from kvnode.limits import KEY_BYTES_MAX
from kvnode.storage.key_codec import (
    HEAD_BYTES,
    LMDB_KEY_BYTES_MAX,
    NAMESPACES_MAX,
    NamespaceTable,
    encode_head_id,
    is_long,
    split,
)
from kvnode.types import Namespace

long_keys = st.binary(min_size=510, max_size=KEY_BYTES_MAX)


@given(key=st.binary(min_size=1, max_size=KEY_BYTES_MAX))
def test_every_legal_key_fits_an_lmdb_key(key: bytes) -> None:
    """Whole if it is short, in two parts if it is long."""
    prefix = b"\xff\xff"
    if is_long(key):
        head, tail = split(prefix, key)
        assert head + tail == prefix + key
        assert len(head) == len(prefix) + HEAD_BYTES
        assert 1 <= len(encode_head_id(2**32 - 1) + tail) <= LMDB_KEY_BYTES_MAX
    else:
        assert len(prefix + key) <= LMDB_KEY_BYTES_MAX


@given(a=long_keys, b=long_keys)
def test_split_keys_sort_as_whole_ones(a: bytes, b: bytes) -> None:
    """By head, then by tail, is by key: no head begins another."""
    assert (split(b"", a) < split(b"", b)) == (a < b)


def test_longest_short_key_is_not_split() -> None:
    """The border is where LMDB's limit puts it, less the number."""
    assert not is_long(bytes(509))
    assert is_long(bytes(510))


def test_namespaces_are_numbered_by_first_use_and_found_again() -> None:
    """A table read from disk gives the numbers that it gave before."""
    table = NamespaceTable((Namespace("a"),))

    assert table.intern(Namespace("b")) == b"\x00\x02"
    assert table.intern(Namespace("a")) == b"\x00\x01"
    assert table.find(Namespace("c")) is None
    assert table.name(b"\x00\x02") == "b"
    assert NamespaceTable(tuple(table.names)).find(Namespace("b")) == b"\x00\x02"
    for unknown in (b"\x00\x00", b"\x00\x03"):
        with pytest.raises(IndexError):
            table.name(unknown)


def test_namespace_past_the_limit_is_refused_by_name() -> None:
    """Two bytes number so many and no more."""
    table = NamespaceTable(tuple(Namespace(str(n)) for n in range(NAMESPACES_MAX)))

    with pytest.raises(StoreFullError, match=r"'straw'.*65535"):
        table.intern(Namespace("straw"))

    assert table.intern(Namespace("65534")) == b"\xff\xff"
