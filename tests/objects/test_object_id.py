"""Ids: the same for the same name, never those of another class, and read back."""

from collections import Counter
from secrets import token_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError
from kvnode.objects.object_id import NAME_BYTES_MAX, ObjectId

NAMES = st.text(min_size=1, max_size=50).filter(lambda text: text.isprintable())


@given(NAMES, NAMES)
def test_id_is_that_of_the_name_and_of_no_other(one: str, other: str) -> None:
    """Equal if and only if the names are."""
    ids = ObjectId.from_name("Cart", one), ObjectId.from_name("Cart", other)

    assert (ids[0] == ids[1]) == (one == other)


@given(NAMES)
def test_text_of_an_id_is_read_back_for_its_class_alone(name: str) -> None:
    """An id of another class would be a new, empty object."""
    id_ = ObjectId.from_name("Cart", name)

    assert ObjectId.parse("Cart", str(id_)).raw == id_.raw
    assert len(str(id_)) == 64
    with pytest.raises(InvalidArgumentError, match="not the id of an object of class"):
        ObjectId.parse("Counter", str(id_))


def test_drawn_id_is_nobody_elses() -> None:
    """Not even that of a name, whatever is drawn."""
    drawn = ObjectId.drawn("Cart", token_bytes)
    assert drawn.body[0] & 0x80
    assert not ObjectId.from_name("Cart", "x").body[0] & 0x80
    assert ObjectId.parse("Cart", str(drawn)) == drawn


@pytest.mark.parametrize("name", ["", "x" * (NAME_BYTES_MAX + 1)])
def test_name_has_its_length(name: str) -> None:
    """The error says what may be."""
    with pytest.raises(InvalidArgumentError, match="takes 1 to 1024"):
        ObjectId.from_name("Cart", name)


@pytest.mark.parametrize("class_name", ["", "2x", "a-b", "a b", "x" * 65])
def test_class_has_a_name(class_name: str) -> None:
    """One that could stand in a program."""
    with pytest.raises(InvalidArgumentError, match="no name of a class"):
        ObjectId.from_name(class_name, "x")


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_what_is_no_id_is_refused(text: str) -> None:
    """With how one looks."""
    with pytest.raises(InvalidArgumentError, match="64 hexadecimal digits"):
        ObjectId.parse("Cart", text)


def test_shards_get_about_as_many_objects() -> None:
    """None has more than a third above its share."""
    found = Counter(ObjectId.from_name("Cart", f"{n}").shard(16) for n in range(16_000))

    assert set(found) == set(range(16))
    assert max(found.values()) < 1333
