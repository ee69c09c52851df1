"""
Operations of histories as calls of methods of objects; a key is an object.

One client for two worlds, like `jepsen_like.adapters.kvnode_client`.

| f | argument | calls | result |
| --- | --- | --- | --- |
| `read`, `write` | nothing; value | the same | value or None; nothing |
| `cas` | (expected, new) | `swap` | True or False |
| `add`, `value` | amount; nothing | the same | nothing; the sum |
| `txn` | micro-operations ("r", "w", "append"; place; value) | `transact` | the same |
| `transfer` | (source, target, amount) | the same | nothing |
| `insert` | element | `remind` | nothing |
| `members` | nothing, or `settled` | `remembered` | the elements |
| `bookmark` | name | no method: a bookmark is asked for | nothing |
| `restore` | (name, undo) | no method: it is restored | nothing |

Additions have idempotency keys: whoever sends them again until they are answered must
not add twice, and each other one is sent once more when it has been answered.

Names of points are those of the plan; what objects call them is kept here, for all
clients of a run.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Final, Protocol, TypeAlias

from jepsen_like.adapters.kvnode_values import wrong
from jepsen_like.history.operation import Key
from jepsen_like.history.operation import Value as Told
from jepsen_like.system import Answer, FailedError, IndeterminateError
from kvnode.errors import KvError, ObjectRaisedError, Outcome
from kvnode.object_values import Value

CLASS: Final = "Trial"
SERVED: Final = f"jepsen_like.adapters.trial_object:{CLASS}"
"""What nodes are told to serve."""

HINTED_SHARE: Final = 0.5
"""Of the seeds: in these calls name a region, and the first settles where it lives."""

ALARM_MILLIS_MAX: Final = 800
"""Alarms are due so late at most: longer than some faults take, shorter than runs."""

_REFUSALS: Final = frozenset({"NoFundsError", "OpenRemindersError"})
"""What methods raise that have done nothing."""

_READS: Final = frozenset({"read", "value", "members", "bookmark"})
"""A bookmark that nobody was told is as if it had never been."""

Points: TypeAlias = MutableMapping[tuple[str, str], str]
"""Bookmarks, by the object's name and the plan's name; of a run, as many as it asks."""


class TrialObjects(Protocol):
    """The objects of class `Trial`, by their names."""

    async def call(
        self, name: str, method: str, *arguments: Value, idempotency_key: str = ""
    ) -> Value:
        """
        Return a method's result; with a key it is sent again if it is in doubt.

        Raises:
            KvError: `outcome` says whether it may have happened.
        """

    async def bookmark(self, name: str) -> str:
        """
        Return the bookmark of the present.

        Raises:
            KvError: No answer came.
        """

    async def restore(self, name: str, bookmark: str) -> str:
        """
        Restore an object, and return the bookmark that undoes it.

        Raises:
            KvError: `outcome` says whether it may have happened.
        """


class ObjectsClient:
    """One process at one node; a `jepsen_like.system.Client`."""

    def __init__(
        self,
        objects: TrialObjects,
        process: str,
        points: Points,
        *,
        now: Callable[[], int],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Make a client.

        Args:
            objects: As they are reached through the node.
            process: What its idempotency keys begin with; another for each client.
            points: Shared by all clients of a run, as names of points are.
            now: Returns true time, in ms since 1970.
            close: Lets go of the connection.
        """
        self._call = objects.call
        self._objects = objects
        self._process = process
        self._points = points
        self._now = now
        self._close = close
        self._additions = 0

    async def invoke(self, f: str, key: Key, argument: Told) -> Answer:
        """
        Perform one operation; see the module's table.

        Raises:
            FailedError: It did not happen.
            IndeterminateError: It may have happened.
            ValueError: There is no such operation, or its argument is another's.
        """
        try:
            return Answer(_told(await self._ask(f, str(key), argument)))
        except KvError as error:
            said = f"{type(error).__name__}: {error}"
            if _has_not_happened(error) or f in _READS:
                raise FailedError(said) from error
            raise IndeterminateError(said) from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self._close()

    async def _ask(self, f: str, name: str, argument: Told) -> Value:  # noqa: PLR0911 -- a table
        match f, argument:
            case (("read" | "value"), None):
                return await self._call(name, f)
            case "write", value:
                return await self._call(name, "write", _sent(value))
            case "cas", (expected, new):
                return await self._call(name, "swap", _sent(expected), _sent(new))
            case "add", int(amount):
                await self._add(name, amount)
                return None
            case "txn", tuple(steps):
                return await self._call(name, "transact", _sent(steps))
            case "transfer", (str(source), str(target), int(amount)):
                return await self._call(name, "transfer", source, target, amount)
            case "insert", int(element):
                due = self._now() + element * 37 % ALARM_MILLIS_MAX
                return await self._call(name, "remind", element, due)
            case "members", (None | "settled"):
                at = ["end"] if argument else []
                return await self._call(name, "remembered", *at)
            case (("bookmark" | "restore"), _):
                await self._ask_of_points(f, name, argument)
                return None
            case _:
                raise wrong(argument, f)

    async def _ask_of_points(self, f: str, name: str, argument: Told) -> None:
        match f, argument:
            case "bookmark", str(point):
                self._points[name, point] = await self._objects.bookmark(name)
            case "restore", (str(point), str(undo)):
                bookmark = self._points.get((name, point))
                if bookmark is None:
                    msg = f"{point} stands for nothing: no bookmark was told"
                    raise FailedError(msg)
                self._points[name, undo] = await self._objects.restore(name, bookmark)
            case _:
                raise wrong(argument, f)

    async def _add(self, name: str, amount: int) -> None:
        self._additions += 1
        key = f"{self._process} {self._additions}"
        await self._call(name, "add", amount, idempotency_key=key)
        if self._additions % 2 == 0:
            try:
                await self._call(name, "add", amount, idempotency_key=key)
            except KvError:
                return  # it has happened all the same


def _has_not_happened(error: KvError) -> bool:
    if isinstance(error, ObjectRaisedError):
        return error.type_name in _REFUSALS
    return error.outcome is Outcome.FAILED


def _sent(value: Told) -> Value:
    """Return what a history has as objects take it."""
    return list(map(_sent, value)) if isinstance(value, tuple) else value


def _told(value: Value) -> Told:
    """
    Return what objects give as histories have it.

    Raises:
        TypeError: Histories have no such values.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(_told, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"no history has {value!r}"
    raise TypeError(msg)
