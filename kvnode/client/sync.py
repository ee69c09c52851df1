"""
The synchronous client: the same methods, for threads.

    with SyncClient("127.0.0.1:7400") as client:
        client.put("flags/new-ui", "on")

It runs the asynchronous client in a thread of its own.  Any number of threads may
share one; what they call at the same time shares frames.  Methods are made from
the asynchronous ones, so their arguments, results and errors are the same.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from kvnode.client.client import DEADLINE_SECONDS, Client
from kvnode.client.documents import DocumentHandle
from kvnode.client.handles import CounterHandle, SetHandle
from kvnode.client.loop_thread import LoopThread
from kvnode.client.object_storage import StorageHandle
from kvnode.client.objects import ObjectHandle
from kvnode.client.session import Session
from kvnode.client.store import Store
from kvnode.client.values import Key
from kvnode.errors import SessionLostError
from kvnode.types import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from pycrdt import Doc

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Blocking:
    """Something asynchronous, and the thread that it lives in."""

    def __init__(self, thread: LoopThread, inner: object) -> None:
        self._thread = thread
        # Any: each subclass makes its methods from those of what it wraps.
        self._inner: Any = inner


def _blocking(
    method: Callable[Concatenate[Any, Arguments], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Any, Arguments], Result]:
    """Make a method that returns what the coroutine of *method* returns."""

    @wraps(method)
    def call(
        self: Blocking, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return self._thread.run(method(self._inner, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Any, Arguments], AsyncIterator[Result]],
) -> Callable[Concatenate[Any, Arguments], Iterator[Result]]:
    """Make a method that yields what *method* yields."""

    @wraps(method)
    def call(
        self: Blocking, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Iterator[Result]:
        return self._thread.iterate(method(self._inner, *args, **kwargs))

    return call


class SyncCounterHandle(Blocking):
    """A counter; see CounterHandle."""

    increment = _blocking(CounterHandle.increment)
    value = _blocking(CounterHandle.value)


class SyncSetHandle(Blocking):
    """A set; see SetHandle."""

    add = _blocking(SetHandle.add)
    remove = _blocking(SetHandle.remove)
    members = _blocking(SetHandle.members)
    size = _blocking(SetHandle.size)


class SyncDocumentHandle:
    """
    A document; see DocumentHandle.

    pycrdt documents stay in the calling thread, where pycrdt wants them.
    """

    def __init__(self, thread: LoopThread, handle: DocumentHandle) -> None:
        self._thread = thread
        self._handle = handle

    def load(
        self,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> "Doc[Any]":
        """Return a new pycrdt document with all that the node has."""
        exchange = self._handle.exchange
        reply = self._thread.run(
            self._handle.send(
                exchange.load_request(),
                stale_ok=stale_ok,
                max_staleness=max_staleness,
                deadline=deadline,
            )
        )
        return exchange.loaded(reply)

    def save(
        self,
        document: "Doc[Any]",
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Send what the node lacks of *document*; nothing if it lacks nothing."""
        exchange = self._handle.exchange
        request = exchange.save_request(document)
        if request is not None:
            self._thread.run(
                self._handle.send(
                    request, w=w, w_each_region=w_each_region, deadline=deadline
                )
            )
            exchange.saved()

    def sync(
        self,
        document: "Doc[Any]",
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Send what the node lacks and apply what *document* lacks, in one trip."""
        exchange = self._handle.exchange
        reply = self._thread.run(
            self._handle.send(
                exchange.sync_request(document),
                w=w,
                w_each_region=w_each_region,
                deadline=deadline,
            )
        )
        exchange.synced(document, reply)


class SyncOptions(Blocking):
    """A handle whose calls have options."""

    def options(
        self,
        *,
        idempotency_key: str = "",
        location_hint: str = "",
        deadline: float | None = None,
    ) -> Self:
        """Return a handle on the same whose calls have these options."""
        inner = self._inner.options(
            idempotency_key=idempotency_key,
            location_hint=location_hint,
            deadline=deadline,
        )
        return type(self)(self._thread, inner)


class SyncObjectHandle(SyncOptions):
    """An object; see ObjectHandle."""

    call = _blocking(ObjectHandle.call)
    fetch = _blocking(ObjectHandle.fetch)
    bookmark = _blocking(ObjectHandle.bookmark)
    bookmark_at = _blocking(ObjectHandle.bookmark_at)
    restore = _blocking(ObjectHandle.restore)
    locate = _blocking(ObjectHandle.locate)
    alarm = _blocking(ObjectHandle.alarm)
    set_alarm = _blocking(ObjectHandle.set_alarm)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self.call, method)

    def __repr__(self) -> str:
        return repr(self._inner)


class SyncStorageHandle(SyncOptions):
    """A map with strong consistency; see StorageHandle."""

    get = _blocking(StorageHandle.get)
    get_many = _blocking(StorageHandle.get_many)
    put = _blocking(StorageHandle.put)
    put_many = _blocking(StorageHandle.put_many)
    delete = _blocking(StorageHandle.delete)
    delete_many = _blocking(StorageHandle.delete_many)
    list = _blocking(StorageHandle.list)
    transaction = _blocking(StorageHandle.transaction)
    locate = _blocking(StorageHandle.locate)


class SyncStore(Blocking):
    """The data methods; see kvnode.client.store."""

    get = _blocking(Store.get)
    put = _blocking(Store.put)
    delete = _blocking(Store.delete)
    list = _blocking(Store.list)
    scan = _iterating(Store.scan)
    batch = _blocking(Store.batch)
    conflicts = _blocking(Store.conflicts)

    def counter(self, key: Key) -> SyncCounterHandle:
        """Return a handle on the counter under *key*; nothing is sent yet."""
        return SyncCounterHandle(self._thread, self._inner.counter(key))

    def set(self, key: Key) -> SyncSetHandle:
        """Return a handle on the set under *key*; nothing is sent yet."""
        return SyncSetHandle(self._thread, self._inner.set(key))

    def document(self, key: Key) -> SyncDocumentHandle:
        """Return a handle on the document under *key*; nothing is sent yet."""
        return SyncDocumentHandle(self._thread, self._inner.document(key))


class SyncSession(SyncStore):
    """The data methods, with a token; made by `SyncClient.session`."""

    def __init__(self, thread: LoopThread, session: Session) -> None:
        super().__init__(thread, session)
        self._session = session

    @property
    def token(self) -> bytes:
        """What the session has seen so far; at most a few KiB."""
        return self._session.token

    def accept_loss(self, error: SessionLostError) -> None:
        """
        Go on without what *error* says is lost, and with all else that was seen.

        As `Session.accept_loss`.
        """

        async def accept() -> None:  # in the loop, where replies change the token
            self._session.accept_loss(error)

        self._thread.run(accept())


class SyncClient(SyncStore):
    """
    Speaks to one of several nodes, from any number of threads.

    `with` closes it; the arguments are those of `Client`.

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    status = _blocking(Client.status)
    digest = _blocking(Client.digest)
    repair = _blocking(Client.repair)
    namespaces = _blocking(Client.namespaces)
    create_namespace = _blocking(Client.create_namespace)
    delete_namespace = _blocking(Client.delete_namespace)
    remove_member = _blocking(Client.remove_member)
    leave = _blocking(Client.leave)
    lag = _blocking(Client.lag)
    set_link = _blocking(Client.set_link)
    set_clock = _blocking(Client.set_clock)
    objects_status = _blocking(Client.objects_status)
    shards = _blocking(Client.shards)
    move_shard = _blocking(Client.move_shard)
    lead_shard = _blocking(Client.lead_shard)
    replace_voter = _blocking(Client.replace_voter)
    backup = _iterating(Client.backup)
    watch = _iterating(Client.watch)

    def __init__(
        self,
        *addresses: str,
        namespace: str = DEFAULT_NAMESPACE,
        deadline: float = DEADLINE_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
        direct: bool | None = None,
    ) -> None:
        client = Client(
            *addresses,
            namespace=namespace,
            deadline=deadline,
            credentials=credentials,
            direct=direct,
        )
        super().__init__(LoopThread(), client)
        self._client = client
        self._thread.run(client.open())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread; calls under way fail."""
        self._thread.close(self._client.close())

    def session(self, token: bytes = b"") -> SyncSession:
        """
        Return a session that has seen what *token* stands for, or nothing yet.

        Raises:
            InvalidArgumentError: *token* is no session token.
        """
        return SyncSession(self._thread, self._client.session(token))

    def object(
        self,
        class_name: str,
        name: str = "",
        *,
        id: str = "",  # noqa: A002 -- as in Client
        location_hint: str = "",
    ) -> SyncObjectHandle:
        """Return a handle on an object; see `Client.object`."""
        inner = self._client.object(
            class_name, name, id=id, location_hint=location_hint
        )
        return SyncObjectHandle(self._thread, inner)

    def storage(self, name: str, *, location_hint: str = "") -> SyncStorageHandle:
        """Return a handle on a map with strong consistency; see `Client.storage`."""
        inner = self._client.storage(name, location_hint=location_hint)
        return SyncStorageHandle(self._thread, inner)
