"""A dict whose keys can also be walked in order from any point on."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bytes, int)
Value = TypeVar("Value")


class SortedMap(Generic[Key, Value]):
    """
    A dict and the sorted list of its keys.

    Lookups cost what a dict's do, a new key a binary search and a block move.
    """

    __slots__ = ("_keys", "_values")

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._values: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: Key) -> Value | None:
        """Return what is under *key*."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Put *value* under *key*, new or not."""
        if key not in self._values:
            self._keys.insert(bisect_left(self._keys, key), key)
        self._values[key] = value

    def discard(self, key: Key) -> None:
        """Remove *key* if it is there."""
        if key in self._values:
            del self._values[key]
            del self._keys[bisect_left(self._keys, key)]

    def items_from(self, start: Key) -> Iterator[tuple[Key, Value]]:
        """Yield (key, value) with key >= *start*, ascending."""
        values = self._values
        for i in range(bisect_left(self._keys, start), len(self._keys)):
            key = self._keys[i]
            yield key, values[key]

    def copy(self) -> "SortedMap[Key, Value]":
        """Return a map of its own with the same items."""
        twin: SortedMap[Key, Value] = SortedMap()
        twin._keys = self._keys.copy()
        twin._values = self._values.copy()
        return twin
