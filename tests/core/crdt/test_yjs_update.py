"""Reading Yjs updates without applying them, against the Yjs library as the twin."""

import pycrdt
import pytest

from kvnode.core.crdt.yjs_nesting import nesting_depth
from kvnode.core.crdt.yjs_update import (
    Block,
    normalised,
    read_state_vector,
    read_update,
)
from tests.strategies import YJS_UPDATES

WHOLE = pycrdt.merge_updates(*YJS_UPDATES)
ROOT = b"\x01\x01m"


@pytest.mark.parametrize("update", YJS_UPDATES)
def test_operations_read_are_those_that_the_library_counts(update: bytes) -> None:
    """An update without gaps at its start reaches as far as its state vector."""
    vector = read_state_vector(pycrdt.get_state(update))

    reached = {
        client: ranges[0][1]
        for client, ranges in read_update(update).operations.items()
        if ranges[0][0] == 0
    }

    assert reached == vector


def test_all_operations_together_have_no_gaps() -> None:
    """The merge of every update is read to the last operation of each client."""
    vector = read_state_vector(pycrdt.get_state(WHOLE))

    ranges = read_update(WHOLE).operations

    assert ranges == {client: [(0, end)] for client, end in sorted(vector.items())}


@pytest.mark.parametrize(
    ("content", "length"),
    [
        pytest.param(b"\x01" + ROOT + b"\x05", 5, id="deleted"),
        pytest.param(b"\x03" + ROOT + b"\x03abc", 1, id="binary"),
        pytest.param(b"\x04" + ROOT + b"\x07a\xc3\xa9\xf0\x9f\x98\x80", 4, id="text"),
        pytest.param(b"\x05" + ROOT + b"\x04null", 1, id="embedded object"),
        pytest.param(b"\x06" + ROOT + b"\x01b\x04true", 1, id="format"),
        pytest.param(b"\x07" + ROOT + b"\x01", 1, id="map"),
        pytest.param(b"\x07" + ROOT + b"\x03\x01p", 1, id="XML element"),
        pytest.param(b"\x08" + ROOT + b"\x03\x7e\x7d\xc1\x02\x77\x01a", 3, id="any"),
        pytest.param(
            b"\x08" + ROOT + b"\x02\x76\x01\x01k\x75\x01\x78\x74\x02xy", 2, id="nested"
        ),
        pytest.param(b"\x00\x06", 6, id="collected"),
    ],
)
def test_every_content_is_measured_as_the_library_does(
    content: bytes, length: int
) -> None:
    """A wrong length would shift the id of all that follows in the block list."""
    update = b"\x01\x01\x01\x00" + content + b"\x00"

    assert read_update(update).blocks == [
        Block(1, 0, length, makes_type=content[0] == 7)
    ]
    assert read_state_vector(pycrdt.get_state(update)) == {1: length}


def test_ranges_are_fused_and_sorted() -> None:
    """Sets of operations compare as values, however they were listed."""
    ranges = {2: [(5, 7), (0, 3), (3, 4), (6, 6)], 1: [(9, 9)]}

    assert normalised(ranges) == {2: [(0, 4), (5, 7)]}


def test_a_type_next_to_another_is_as_deep_as_that() -> None:
    """Neighbours name each other and not their parent."""
    blocks = [
        Block(1, 0, 1, makes_type=True),  # in a root
        Block(1, 1, 3, parent=(1, 0)),  # three plain values in it
        Block(2, 0, 1, link=(1, 2), makes_type=True),  # a type between them
        Block(2, 1, 1, link=(2, 0), makes_type=True),  # and another
        Block(2, 2, 1, parent=(2, 1), makes_type=True),
    ]

    assert nesting_depth(blocks, depth_max=10) == 3
    assert nesting_depth(blocks[:3], depth_max=10) == 2
    assert nesting_depth(blocks, depth_max=1) == 2, "that it is too deep is enough"


def test_a_type_whose_neighbours_have_not_arrived_counts_as_one_of_a_root() -> None:
    """It is measured again with the update that brings them."""
    missing = Block(1, 5, 1, link=(9, 9), makes_type=True)
    beyond = Block(1, 7, 1, link=(1, 6), makes_type=True)
    before = Block(2, 1, 1, link=(2, 0), makes_type=True)

    assert nesting_depth([missing, beyond, before], depth_max=10) == 1
    assert nesting_depth([], depth_max=10) == 0


def test_circles_end() -> None:
    """Hostile blocks that hang on each other do not hang the reader."""
    neighbours = [
        Block(1, 0, 1, link=(2, 0), makes_type=True),
        Block(2, 0, 1, link=(1, 0), makes_type=True),
    ]
    parents = [
        Block(1, 0, 1, parent=(2, 0), makes_type=True),
        Block(2, 0, 1, parent=(1, 0), makes_type=True),
    ]

    assert nesting_depth(neighbours, depth_max=10) == 1
    assert nesting_depth(parents, depth_max=10) == 11
