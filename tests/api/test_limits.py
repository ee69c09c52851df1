"""Every limit is kept, one beyond it is refused, and the message names it."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.api.limits import (
    DEADLINE_MILLIS_DEFAULT,
    DEADLINE_MILLIS_MAX,
    REPLICAS_MAX,
    checked_amount,
    checked_deadline,
    checked_key,
    checked_members,
    checked_metadata,
    checked_namespace,
    checked_page_size,
    checked_patience,
    checked_prefix,
    checked_replicas,
    checked_update,
    checked_value,
)
from kvnode.core.node.commands import Replicas
from kvnode.core.versions.version import NEVER
from kvnode.errors import InvalidArgumentError
from kvnode.limits import (
    COUNTER_ABS_MAX,
    DOCUMENT_BYTES_MAX,
    KEY_BYTES_MAX,
    LIST_PAGE_MAX,
    METADATA_BYTES_MAX,
    NAMESPACE_CHARS_MAX,
    SET_MEMBER_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from kvnode.types import EntryKey, Millis, Namespace

NOW = Millis(1_700_000_000_000)
FAR = 1 << 48


def _members(size: int) -> object:
    return checked_members([b"a", b"m" * size])


def _metadata(size: int) -> object:
    return checked_metadata('"' + "x" * (size - 2) + '"')


@pytest.mark.parametrize(
    ("check", "largest"),
    [
        (lambda n: checked_key("", b"k" * n), KEY_BYTES_MAX),
        (lambda n: checked_namespace("n" * n), NAMESPACE_CHARS_MAX),
        (lambda n: checked_value(bytes(n)), VALUE_BYTES_MAX),
        (_metadata, METADATA_BYTES_MAX),
        (checked_page_size, LIST_PAGE_MAX),
        (lambda n: checked_prefix(b"k" * n), KEY_BYTES_MAX),
        (lambda n: checked_prefix(b"k" * n, "cursor"), KEY_BYTES_MAX),
        (checked_amount, COUNTER_ABS_MAX),
        (lambda n: checked_amount(-n), COUNTER_ABS_MAX),
        (_members, SET_MEMBER_BYTES_MAX),
        (lambda n: checked_update(bytes(n)), DOCUMENT_BYTES_MAX),
        (checked_patience, DEADLINE_MILLIS_MAX),
        (
            lambda n: checked_replicas(n, each_region=False, patience=Millis(1)),
            REPLICAS_MAX,
        ),
    ],
)
def test_largest_is_taken_and_one_more_refused_by_name(
    check: Callable[[int], object], largest: int
) -> None:
    """The message has the limit, since the caller sees nothing else."""
    check(largest)

    with pytest.raises(InvalidArgumentError, match=str(largest)):
        check(largest + 1)


def test_key_is_not_empty_and_its_namespace_may_be() -> None:
    """An empty namespace is the default one."""
    assert checked_key("", b"k") == EntryKey(Namespace("default"), b"k")
    assert checked_key("n", b"\x00") == EntryKey(Namespace("n"), b"\x00")
    with pytest.raises(InvalidArgumentError, match="1 to 512"):
        checked_key("n", b"")


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "a\x00", "\uff11"])
def test_namespace_of_other_characters_is_refused(name: str) -> None:
    """The characters are those of paths and host names."""
    with pytest.raises(InvalidArgumentError, match="a-z A-Z 0-9"):
        checked_namespace(name)


def test_namespace_with_underscore_first_is_ours() -> None:
    """Users may neither make nor delete it."""
    assert checked_namespace("a_b.C-9") == "a_b.C-9"
    with pytest.raises(InvalidArgumentError, match="kvnode's own"):
        checked_namespace("_system")


def test_message_about_a_long_name_is_short() -> None:
    """It travels in the metadata of a reply, which holds a few KiB."""
    with pytest.raises(InvalidArgumentError) as caught:
        checked_namespace("n" * 10**6)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["{", "nonsense", "{'a':1}", "NaN", "[Infinity]", "-Infinity", "[1,]"]
)
def test_metadata_that_is_no_json_is_refused(text: str) -> None:
    """Python alone takes NaN and Infinity; other readers would choke."""
    with pytest.raises(InvalidArgumentError, match="not JSON"):
        checked_metadata(text)


def test_metadata_nested_too_deeply_is_refused_and_not_a_crash() -> None:
    """A thousand brackets fit into the limit and not onto the stack."""
    with pytest.raises(InvalidArgumentError, match="not JSON"):
        checked_metadata("[" * METADATA_BYTES_MAX)
    with pytest.raises(InvalidArgumentError, match="metadata"):
        checked_metadata("[" * 512 + "]" * 513)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_metadata_is_kept_as_it_is(value: object) -> None:
    """Whatever JSON the caller wrote, blanks and all."""
    text = json.dumps(value, indent=1)
    if len(text.encode()) <= METADATA_BYTES_MAX:
        assert checked_metadata(text) == text


def test_metadata_is_measured_in_bytes() -> None:
    """Not in characters."""
    with pytest.raises(InvalidArgumentError, match="1026 bytes"):
        checked_metadata('"' + "é" * 512 + '"')


@given(
    ttl=st.integers(0, 2**64 - 1) | st.just(0),
    expires=st.integers(0, 2**64 - 1) | st.just(0),
)
def test_deadline_is_absolute_later_than_now_and_fits(ttl: int, expires: int) -> None:
    """Whatever was asked for: what comes out can be stored, or it is refused."""
    try:
        deadline = checked_deadline(ttl, expires, NOW)
    except InvalidArgumentError:
        assert (ttl and expires) or ttl + NOW >= FAR or expires <= NOW or expires >= FAR
    else:
        assert not (ttl and expires)
        assert deadline == (NOW + ttl if ttl else expires or NEVER)
        assert deadline == NEVER or NOW < deadline < FAR


def test_shortest_span_is_one_millisecond() -> None:
    """The HTTP API's minute is its own rule."""
    assert checked_deadline(1, 0, NOW) == NOW + 1
    assert checked_deadline(0, NOW + 1, NOW) == NOW + 1
    with pytest.raises(InvalidArgumentError, match="not after now"):
        checked_deadline(0, NOW, NOW)


def test_what_is_not_given_has_its_default() -> None:
    """Zero is what protobuf sends for nothing."""
    assert checked_page_size(0) == LIST_PAGE_MAX
    assert checked_patience(0) == DEADLINE_MILLIS_DEFAULT
    assert checked_metadata("") == ""
    assert checked_prefix(b"") == b""


def test_set_member_is_not_empty() -> None:
    """An empty one could not be told from none."""
    with pytest.raises(InvalidArgumentError, match="1 to 512"):
        checked_members([b"a", b""])


def test_replicas_and_regions_exclude_each_other() -> None:
    """S4: one of the two."""
    patience = Millis(9)
    assert checked_replicas(3, each_region=False, patience=patience) == Replicas(
        3, each_region=False, patience=patience
    )
    assert checked_replicas(0, each_region=True, patience=patience) == Replicas(
        1, each_region=True, patience=patience
    )
    with pytest.raises(InvalidArgumentError, match="not both"):
        checked_replicas(2, each_region=True, patience=patience)
