"""
What JavaScript's objects, maps and arrays are to code that was written for Pyodide.

There, an object that JavaScript returns is a proxy: its fields are attributes, and
`to_py()` makes Python's own of it.  Here they are Python's own already, and have these
two beside; so `row.name`, `row["name"]` and `row.to_py()["name"]` are the same.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Fields(dict[str, Any]):
    """A dict whose entries are attributes, too, save those that dicts have anyway."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- what was stored
        """Return an entry."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_py(self) -> dict[str, Any]:
        """Return an ordinary dict."""
        return dict(self)


class Listed(list[T]):
    """A list, as `to_py` of an array would give it."""

    def to_py(self) -> list[T]:
        """Return an ordinary list."""
        return list(self)


class Rows(Iterable[T]):
    """An iterator of JavaScript's: for loops, `next()`, `toArray()`."""

    def __init__(self, rows: Iterable[T]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> "Rows[T]":
        return self

    def __next__(self) -> T:
        return next(self._rows)

    def next(self) -> Fields:
        """Return the next one, or that there is none, as JavaScript says it."""
        for each in self._rows:
            return Fields(done=False, value=each)
        return Fields(done=True, value=None)

    def toArray(self) -> Listed[T]:
        """Return those that are left."""
        return Listed(self._rows)


def as_js(value: Any) -> Any:  # noqa: ANN401 -- what was stored
    """Return *value*, its dicts and lists with what proxies have, all the way in."""
    match value:
        case dict():
            return Fields((key, as_js(each)) for key, each in value.items())
        case list():
            return Listed(map(as_js, value))
        case _:
            return value
