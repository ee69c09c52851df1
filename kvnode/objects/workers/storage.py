"""`ctx.storage` under Cloudflare's names."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from inspect import isawaitable
from typing import Any, ClassVar, Final, TypeVar

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value
from kvnode.objects.storing.object_storage import ObjectStorage, Transaction
from kvnode.objects.storing.stored_map import StoredMap
from kvnode.objects.workers.js_values import Fields, Rows, as_js
from kvnode.objects.workers.names import Answer, Facade, at_once, not_there, options
from kvnode.objects.workers.sql import WorkersSql

T = TypeVar("T")

_LIST_OPTIONS: Final = {
    "prefix": "prefix",
    "start": "start",
    "startAfter": "start_after",
    "end": "end",
    "reverse": "reverse",
    "limit": "limit",
}


class _Keys(Facade):
    """Keys and values: what storage and transactions have both."""

    def _map(self) -> StoredMap:
        """Return where they are."""
        raise NotImplementedError

    def get(
        self,
        key: str | Iterable[str],
        given: Mapping[str, Any] | None = None,
        **named: object,
    ) -> Answer[Any]:
        """Return the value of a key, None if there is none; or of several, as a map."""
        options(f"{self._called}.get", given, named)
        return Answer(as_js(at_once(self._map().get(key))))

    def put(
        self,
        key: str | Mapping[str, Value],
        value: Value = None,
        given: Mapping[str, Any] | None = None,
        **named: object,
    ) -> Answer[None]:
        """Store a value; or several, given as a map, with the options after it."""
        if isinstance(key, str):
            options(f"{self._called}.put", given, named)
            return Answer(at_once(self._map().put(key, value)))
        if value is not None and not isinstance(value, Mapping):
            msg = f"{self._called}.put(entries, options): options are {value!r}"
            raise InvalidArgumentError(msg)
        options(f"{self._called}.put", value, named)
        return Answer(at_once(self._map().put(key)))

    def delete(
        self,
        key: str | Iterable[str],
        given: Mapping[str, Any] | None = None,
        **named: object,
    ) -> Answer[bool | int]:
        """Delete a key and tell whether it was there; or several, and how many were."""
        options(f"{self._called}.delete", given, named)
        if isinstance(key, str):
            return Answer(at_once(self._map().delete(key)))
        return Answer(at_once(self._map().delete(key)))

    def list(
        self, given: Mapping[str, Any] | None = None, **named: object
    ) -> Answer[Fields]:
        """Return keys and values in the order of the keys' bytes."""
        asked = options(f"{self._called}.list", given, named, known=_LIST_OPTIONS)
        return Answer(as_js(at_once(self._map().list(**asked))))


class WorkersTransaction(_Keys):
    """What `transaction` passes on; of use until that ends or is rolled back."""

    _called: ClassVar[str] = "txn"

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._is_over = False

    def _map(self) -> StoredMap:
        self._check_not_over()
        if self._transaction.is_rolled_back:
            msg = "the transaction was rolled back"
            raise InvalidArgumentError(msg)
        return self._transaction

    def _check_not_over(self) -> None:
        if self._is_over:
            msg = "the transaction is over"
            raise InvalidArgumentError(msg)

    def rollback(self) -> None:
        """Store nothing of the transaction; nothing more can be done with it."""
        self._check_not_over()
        self._transaction.rollback()

    def end(self) -> None:
        """Refuse all that comes after."""
        self._is_over = True


class SyncKeys(Facade):
    """`ctx.storage.kv`: the same keys, without promises."""

    _called: ClassVar[str] = "ctx.storage.kv"

    def __init__(self, storage: "WorkersStorage") -> None:
        self._storage = storage

    def get(self, key: str) -> Any:  # noqa: ANN401 -- what was stored
        """Return the value of a key, None if there is none."""
        return at_once(_waited(self._storage.get(key)))

    def put(self, key: str, value: Value) -> None:
        """Store a value."""
        self._storage.put(key, value)

    def delete(self, key: str) -> bool:
        """Delete a key; tell whether it was there."""
        return bool(at_once(_waited(self._storage.delete(key))))

    def list(
        self, given: Mapping[str, Any] | None = None, **named: object
    ) -> Rows[list[Any]]:
        """Return pairs of key and value; options as for `ctx.storage.list`."""
        found = at_once(_waited(self._storage.list(given, **named)))
        return Rows([key, value] for key, value in found.items())


class WorkersStorage(_Keys):
    """
    The storage of one object.

    Attributes:
        sql: Its SQL database.
        kv: Its keys without promises.
    """

    _called: ClassVar[str] = "ctx.storage"

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._transaction: WorkersTransaction | None = None
        self.sql = WorkersSql(storage.sql)
        self.kv = SyncKeys(self)

    def _map(self) -> StoredMap:
        """Return the transaction that runs, to which there all belongs meanwhile."""
        if self._transaction is not None:
            return self._transaction._map()
        return self._storage

    def deleteAll(
        self, given: Mapping[str, Any] | None = None, **named: object
    ) -> Answer[None]:
        """Delete all that the object has stored, and its alarm."""
        options("ctx.storage.deleteAll", given, named)
        self._check_no_transaction("deleteAll")
        return Answer(at_once(self._storage.delete_all()))

    async def sync(self) -> None:
        """Return once all that was written is durable on a majority."""
        await self._storage.sync()

    async def transaction(
        self, closure: Callable[[WorkersTransaction], Awaitable[T] | T]
    ) -> T:
        """Run *closure* while nothing else of the object runs; see ObjectStorage."""
        self._check_no_transaction("transaction")

        async def work(transaction: Transaction) -> T:
            self._transaction = made = WorkersTransaction(transaction)
            try:
                result = closure(made)
                return await result if isawaitable(result) else result
            finally:
                self._transaction = None
                made.end()

        return await self._storage.transaction(work)

    def transactionSync(self, closure: Callable[[], T]) -> T:
        """Run *closure*, which awaits nothing, as one; see ObjectStorage."""
        return self._storage.transaction_sync(closure)

    # -- the alarm ---------------------------------------------------------------

    def getAlarm(
        self, given: Mapping[str, Any] | None = None, **named: object
    ) -> Answer[int | None]:
        """Return when the alarm is due, in ms since 1970; None while it runs."""
        options("ctx.storage.getAlarm", given, named)
        return Answer(at_once(self._storage.get_alarm()))

    def setAlarm(
        self,
        when: datetime | float,
        given: Mapping[str, Any] | None = None,
        **named: object,
    ) -> Answer[None]:
        """Let `alarm` run at *when*, in ms since 1970; in the past means at once."""
        options("ctx.storage.setAlarm", given, named)
        self._check_no_transaction("setAlarm")
        due = int(when) if isinstance(when, float) else when
        return Answer(at_once(self._storage.set_alarm(due)))

    def deleteAlarm(
        self, given: Mapping[str, Any] | None = None, **named: object
    ) -> Answer[None]:
        """Let no alarm run."""
        options("ctx.storage.deleteAlarm", given, named)
        self._check_no_transaction("deleteAlarm")
        return Answer(at_once(self._storage.delete_alarm()))

    def _check_no_transaction(self, call: str) -> None:
        if self._transaction is not None:
            msg = not_there(f"ctx.storage.{call} while a transaction runs")
            raise InvalidArgumentError(msg)


def _waited(answer: Answer[T]) -> Coroutine[Any, Any, T]:
    async def wait() -> T:
        return await answer

    return wait()
