"""Values that are many, each with a number: what is large is kept once."""

from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Numbered(Generic[ItemT]):
    """Values, each with a number of its own."""

    def __init__(self) -> None:
        self._values: list[ItemT] = []
        self._numbers: dict[ItemT, int] = {}

    def number(self, value: ItemT) -> int:
        """Return the number of *value*, the same for equal ones."""
        number = self._numbers.setdefault(value, len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number

    def value(self, number: int) -> ItemT:
        """Return the value that has *number*."""
        return self._values[number]
