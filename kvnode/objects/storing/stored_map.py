"""
What an object can do with its keys: the part that transactions have as well.

Every method answers on the spot and awaits nothing, so that no other event of the
object comes in between (the input gate).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, overload

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value, decode_value, encode_value
from kvnode.objects.storing.keys import Kind, end_of, object_prefix
from kvnode.objects.storing.overlay import Overlay

KEY_BYTES_MAX: Final = 2048  # as in a Durable Object
KEYS_MAX: Final = 128  # in one call, as in a Durable Object
LIST_MAX: Final = 10_000
"""Rows that a list without a limit returns at most: it would hold up all others."""


class StoredMap:
    """Keys and values of one object."""

    def __init__(self, overlay: Overlay, body: bytes) -> None:
        """Read and stage in *overlay*, for the object of *body*."""
        self._overlay = overlay
        self._body = body
        self._prefix = object_prefix(body, Kind.STORED)

    async def get(self, key: str | Iterable[str], default: Value = None) -> Any:  # noqa: ANN401 -- what was stored
        """
        Return the value of a key, or of those of several keys that have one.

        Raises:
            InvalidArgumentError: A key is empty or too long, or there are too many.
        """
        if isinstance(key, str):
            found = self._overlay.get(self._key(key))
            return default if found is None else decode_value(found)
        values: dict[str, Value] = {}
        for each in sorted(_several(key)):
            found = self._overlay.get(self._key(each))
            if found is not None:
                values[each] = decode_value(found)
        return values

    @overload
    async def put(self, key: str, value: Value) -> None: ...
    @overload
    async def put(self, key: Mapping[str, Value]) -> None: ...
    async def put(self, key: str | Mapping[str, Value], value: Value = None) -> None:
        """
        Store a value, or several; no need to wait for its being durable.

        What leaves the object waits for that (the output gate).

        Raises:
            InvalidArgumentError: A key or value breaks a limit, or cannot be stored;
                nothing was.
            OverloadedError: Too much waits to be committed; nothing was stored.
        """
        if isinstance(key, str):
            self._stage((self._put(key, value),))
        else:
            _several(key)
            self._stage(self._puts(key))

    async def change(
        self, puts: Mapping[str, Value], deletes: Iterable[str] = ()
    ) -> None:
        """
        Store some values and delete some keys, any number of them, in one entry.

        Raises:
            InvalidArgumentError: A key or value breaks a limit, or cannot be stored, or
                all of it is too much for an entry; nothing was changed.
            OverloadedError: Too much waits to be committed; nothing was changed.
        """
        gone = [Change(ChangeKind.DELETE, self._key(name)) for name in deletes]
        self._stage([*self._puts(puts), *gone])

    def _puts(self, rows: Mapping[str, Value]) -> Sequence[Change]:
        return [self._put(name, value) for name, value in rows.items()]

    def _put(self, name: str, value: Value) -> Change:
        data = encode_value(value, "the value of %r", name)
        return Change(ChangeKind.PUT, self._key(name), data)

    @overload
    async def delete(self, key: str) -> bool: ...
    @overload
    async def delete(self, key: Iterable[str]) -> int: ...
    async def delete(self, key: str | Iterable[str]) -> bool | int:
        """
        Delete a key and tell whether it was there; or several, and tell how many were.

        Raises:
            InvalidArgumentError: A key is empty or too long, or there are too many.
            OverloadedError: Too much waits to be committed; nothing was deleted.
        """
        names = [key] if isinstance(key, str) else list(dict.fromkeys(_several(key)))
        there = [
            raw for raw in map(self._key, names) if self._overlay.get(raw) is not None
        ]
        self._stage([Change(ChangeKind.DELETE, raw) for raw in there])
        return bool(there) if isinstance(key, str) else len(there)

    def _stage(self, changes: Sequence[Change]) -> None:
        self._overlay.stage(changes)

    def _key(self, key: str) -> bytes:
        raw = key.encode()
        if not 0 < len(raw) <= KEY_BYTES_MAX:
            msg = f"a key has {len(raw)} bytes; it takes 1 to {KEY_BYTES_MAX}"
            raise InvalidArgumentError(msg)
        return self._prefix + raw

    async def list(  # noqa: PLR0913 -- each is named at the call
        self,
        *,
        prefix: str = "",
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """
        Return keys and values in the order of the keys' bytes.

        Args:
            prefix: What the keys begin with.
            start: The first key of interest, included.
            start_after: The same, not included.
            end: Behind the last one of interest.
            reverse: From the last to the first.
            limit: How many at most; LIST_MAX if not given.

        Raises:
            InvalidArgumentError: The limit is not positive or too large, or both
                `start` and `start_after` are given.
        """
        if start is not None and start_after is not None:
            msg = "give start or start_after, not both"
            raise InvalidArgumentError(msg)
        wanted = LIST_MAX if limit is None else limit
        if not 0 < wanted <= LIST_MAX:
            msg = f"limit is {limit}; it may be 1 to {LIST_MAX}"
            raise InvalidArgumentError(msg)
        within = self._prefix + prefix.encode()
        first, behind = within, end_of(within)
        if start is not None:
            first = max(first, self._prefix + start.encode())
        if start_after is not None:
            first = max(first, self._prefix + start_after.encode() + b"\0")
        if end is not None:
            behind = min(behind, self._prefix + end.encode())
        if first >= behind:
            return {}
        rows = self._overlay.scan(first, behind, reverse=reverse, limit=wanted)
        skipped = len(self._prefix)
        return {raw[skipped:].decode(): decode_value(value) for raw, value in rows}


def _several(keys: Iterable[str]) -> list[str]:
    several = list(keys)
    if len(several) > KEYS_MAX:
        msg = f"{len(several)} keys are given; at most {KEYS_MAX} can be at once"
        raise InvalidArgumentError(msg)
    return several
