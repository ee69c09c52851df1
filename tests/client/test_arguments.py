"""Checks of arguments name what is wrong and the limit."""

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import kv_pb2
from kvnode.client import Client, Delete, Get, Put
from kvnode.client import arguments as checks
from kvnode.client.batch import fill_batch
from kvnode.errors import InvalidArgumentError


@given(text=st.text(min_size=1, max_size=128))
def test_str_key_is_its_utf8(text: str) -> None:
    """A str and its UTF-8 bytes are the same key."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        with pytest.raises(InvalidArgumentError, match="UTF-8"):
            checks.key_bytes(text)
    else:
        assert checks.key_bytes(text) == checks.key_bytes(text.encode())


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: checks.key_bytes(b""), "1 to 512"),
        (lambda: checks.key_bytes(bytes(513)), "512 bytes, not 513"),
        (lambda: checks.key_bytes("é" * 300), "not 600"),
        (lambda: checks.key_bytes(cast("str", 7)), "str or bytes, not int"),
        (lambda: checks.prefix_bytes(bytes(513)), "at most 512"),
        (lambda: checks.member_bytes(b""), "member of a set"),
        (lambda: checks.value_bytes(bytes(26_214_401)), "26214400"),
        (lambda: checks.value_bytes(cast("str", None)), "str or bytes"),
        (lambda: checks.metadata_text("x" * 1023), "1024 bytes of JSON, not 1025"),
        (lambda: checks.metadata_text({"a": float("nan")}), "JSON"),
        (lambda: checks.metadata_text(cast("str", {1, 2})), "JSON"),
        (lambda: checks.millis(-1.0, "ttl"), "ttl is -1.0 s"),
        (lambda: checks.millis(0.0001, "ttl"), "0.001"),
        (lambda: checks.millis(float("nan"), "ttl"), "nan"),
        (lambda: checks.deadline_seconds(float("inf")), "deadline is inf"),
        (lambda: checks.set_expiry(kv_pb2.PutRequest(), 1, 2), "two ways"),
        (lambda: checks.page_limit(1001), "1 to 1000"),
        (lambda: checks.counter_delta(2**62 + 1), "at most"),
        (
            lambda: checks.set_write_options(
                kv_pb2.Options(), w=0, w_each_region=False
            ),
            "w is 0",
        ),
        (
            lambda: checks.set_write_options(kv_pb2.Options(), w=2, w_each_region=True),
            "exclude",
        ),
        (lambda: fill_batch(kv_pb2.BatchRequest(), [], namespace=""), "1 to 10000"),
        (
            lambda: fill_batch(
                kv_pb2.BatchRequest(), [Delete("k", if_version="")], namespace=""
            ),
            "if_absent",
        ),
        (
            lambda: fill_batch(
                kv_pb2.BatchRequest(),
                [Put("k", bytes(25_000_000))] * 4 + [Get("k")],
                namespace="",
            ),
            "100000000",
        ),
        (Client, "host:port"),
        (lambda: Client("a:1", deadline=0), "deadline is 0"),
    ],
)
def test_bad_argument_is_refused_by_name(
    check: Callable[[], object], message: str
) -> None:
    """The message says what was wrong and what the limit is."""
    with pytest.raises(InvalidArgumentError, match=message):
        check()
