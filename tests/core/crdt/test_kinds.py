"""What clients read of each kind, and how damage shows."""

import json

import pycrdt
import pytest

from kvnode.core.crdt import (
    Document,
    ObservedRemoveSet,
    PnCounter,
    fingerprint,
    join,
    readable,
)
from kvnode.core.versions.merge import Join
from kvnode.core.versions.version import CRDT_KINDS, Kind
from kvnode.errors import CorruptRecordError
from kvnode.types import Dot
from tests.strategies import REPLICAS

A = REPLICAS[0]
AS_JOIN: Join = join


def test_a_counter_reads_as_its_decimal_sum() -> None:
    """With its sign."""
    assert readable(Kind.COUNTER, PnCounter().add(A, -42).encode()) == b"-42"


def test_a_set_reads_as_json_list_of_base64_members_in_order() -> None:
    """Members are bytes; JSON has none."""
    state = ObservedRemoveSet().update(Dot(A, 1), add=[b"\xff\x00", b"a"], remove=())

    assert json.loads(readable(Kind.SET, state.encode())) == ["YQ==", "/wA="]


def test_a_document_reads_as_json_object_of_its_roots() -> None:
    """Text as a string."""
    client = pycrdt.Doc[pycrdt.Text](client_id=1)
    client.get("title", type=pycrdt.Text).insert(0, "né")
    state = Document().apply(client.get_update())

    assert readable(Kind.DOCUMENT, state.encode()) == '{"title":"né"}'.encode()


def test_a_register_reads_as_it_is() -> None:
    """Bytes in, bytes out."""
    assert readable(Kind.REGISTER, b"\x00\x01") == b"\x00\x01"


@pytest.mark.parametrize("kind", sorted(CRDT_KINDS), ids=lambda kind: kind.name)
def test_a_damaged_state_is_reported_and_not_merged(kind: Kind) -> None:
    """Neither side of a join may be damaged, nor what is read."""
    good = {
        Kind.COUNTER: PnCounter().encode(),
        Kind.SET: ObservedRemoveSet().encode(),
        Kind.DOCUMENT: Document().encode(),
    }[kind]
    for bad in (b"", b"\x01", b"\x63" + good[1:], b"\x01\xff\xff\xff"):
        with pytest.raises(CorruptRecordError):
            AS_JOIN(kind, good, bad)
        with pytest.raises(CorruptRecordError):
            AS_JOIN(kind, bad, good)
        with pytest.raises(CorruptRecordError):
            readable(kind, bad)


@pytest.mark.parametrize("kind", sorted(CRDT_KINDS), ids=lambda kind: kind.name)
def test_equal_bytes_are_joined_without_being_read(kind: Kind) -> None:
    """The fast path of a repeated delivery: even damage passes through."""
    assert join(kind, b"damaged", b"damaged") == b"damaged"


def test_fingerprints_of_registers_tell_values_apart() -> None:
    """The function serves every kind."""
    assert fingerprint(Kind.REGISTER, b"a") != fingerprint(Kind.REGISTER, b"b")
    assert len(fingerprint(Kind.TOMBSTONE, b"")) == 32


def test_a_document_that_does_not_parse_has_no_fingerprint() -> None:
    """A digest must not take damage for content."""
    with pytest.raises(CorruptRecordError):
        fingerprint(Kind.DOCUMENT, b"\x01\xff\xff\xff")
