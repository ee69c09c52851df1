"""
Handles on objects: values with methods, each led by one node at a time.

    cart = client.object("Cart", "cart-42")
    total = await cart.add("apple", count=3)

A handle is a name and the way to the nodes; it caches nothing.  Arguments and results
are None, bool, int, float, str, bytes, list, dict, set and datetime; tuples come back
as lists.

A call that ends with an INDETERMINATE error may have happened.  One with an
idempotency key is tried again by itself, and by anybody who uses the key again, and
happens once (`options`).
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self

from kvnode._pb import objects_pb2
from kvnode.client.arguments import deadline_seconds
from kvnode.client.dispatcher import server_millis
from kvnode.client.object_alarms import due_of, set_alarm_request
from kvnode.client.object_dispatcher import (
    ALARM,
    BOOKMARK,
    LOCATE,
    RESTORE,
    SET_ALARM,
    ObjectDispatcher,
    request_part,
)
from kvnode.client.object_location import Location
from kvnode.client.object_points import Restored, bookmark_request, restored_of
from kvnode.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    PeerProtocolError,
)
from kvnode.fetching import FETCH, Request, Response
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.object_values import Value, decode_value, encode_value

METHODS_MAX: Final = 100
"""Whose requests a handle keeps ready; a class has no more, but names are anybody's."""


class ObjectHandle:
    """
    An object; every attribute that is not its own is a method of the object.

    Methods whose names are those of this class, such as `set_alarm` or `restore`, or
    begin with `_`, are called by `call`.
    """

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        dispatcher: Callable[[], ObjectDispatcher],
        target: objects_pb2.ObjectTarget,
        *,
        deadline: float,
        idempotency_key: str = "",
        location_hint: str = "",
        writes: bool = True,
    ) -> None:
        """
        Call *target*.

        Args:
            dispatcher: Returns the road to the nodes; called within its loop.
            target: Which object.
            deadline: Seconds that a call may take in all.
            idempotency_key: Of its calls; empty for none.
            location_hint: Of its calls; empty for none.
            writes: Whether its calls change anything; if not, they are tried again
                whatever has happened.
        """
        self._dispatcher = dispatcher
        self._target = target
        self._deadline = deadline_seconds(deadline)
        self._idempotency_key = idempotency_key
        self._location_hint = location_hint
        self._writes = writes
        self._which = target.SerializeToString(deterministic=True)
        self._begun: dict[str, bytes] = {}  # requests of methods, without arguments

    def __getattr__(self, method: str) -> "Method":
        if method.startswith("_"):
            raise AttributeError(method)
        found = Method(self, method)
        # Found at once from the third time on.  Most handles call once or twice, and go
        # with their last user if nothing that they hold refers to them.
        if method in self._begun and len(self.__dict__) < METHODS_MAX:
            self.__dict__[method] = found
        return found

    def __repr__(self) -> str:
        target = self._target
        which = repr(target.name) if target.name else f"id={target.id!r}"
        return f"<object {target.class_name} {which}>"

    def options(
        self,
        *,
        idempotency_key: str = "",
        location_hint: str = "",
        deadline: float | None = None,
    ) -> Self:
        """
        Return a handle on the same object whose calls have these options.

        Args:
            idempotency_key: Of calls of the object with the same key within 24 hours
                one happens, and all get its result; at most 256 bytes.
            location_hint: The region in which the object is to live, if a call is the
                first that is heard of it; one that has a home stays there.
            deadline: Seconds that a call may take in all; None for that of before.

        Raises:
            InvalidArgumentError: *deadline* is out of range.
        """
        return type(self)(
            self._dispatcher,
            self._target,
            deadline=self._deadline if deadline is None else deadline,
            idempotency_key=idempotency_key or self._idempotency_key,
            location_hint=location_hint or self._location_hint,
            writes=self._writes,
        )

    async def call(self, method: str, /, *arguments: Value, **named: Value) -> Any:  # noqa: ANN401 -- what the method returns
        """
        Call a method by its name, and return its result.

        Raises:
            ObjectRaisedError: The method raised.
            KvError: It could not be called, or no result came; `outcome` says whether
                it may have happened.
        """
        try:
            request = self._request_of(method, arguments, named)
        except UnicodeEncodeError as error:
            msg = f"the call of {method!r} holds text that has no UTF-8 form: {error}"
            raise InvalidArgumentError(msg) from error
        result = await self._dispatcher().call(
            request,
            self._which,
            writes=self._writes,
            repeatable=not self._writes or bool(self._idempotency_key),
            deadline=self._deadline,
        )
        try:
            return decode_value(result.cbor)
        except CorruptRecordError as error:
            msg = f"the result of {method} cannot be read: {error}"
            raise PeerProtocolError(msg) from error

    async def fetch(self, request: Request) -> Response:
        """
        Let the object answer *request* by its `fetch`.

        Raises:
            ObjectRaisedError: It raised, rather than answering with an error.
            KvError: See `call`.
        """
        return Response.of_peer(await self.call(FETCH, request.as_value()))

    async def locate(self) -> Location:
        """
        Return where the object lives; that does not place it.

        Raises:
            KvError: No answer came.
        """
        request = objects_pb2.LocateRequest(
            target=self._target, deadline_ms=server_millis(self._deadline)
        )
        reply = await self._dispatcher().unary_call(
            LOCATE, request, writes=False, deadline=self._deadline
        )
        return Location(reply.shard, reply.region, reply.leader, reply.settled)

    # -- its alarm -------------------------------------------------------------------

    async def alarm(self) -> datetime | None:
        """
        Return when the object's alarm rings, in UTC; None if no alarm is set.

        One that is past is about to ring, and while it does there is none, unless the
        object or somebody else sets it again.  One that has failed is set to when it is
        tried again.  To look does not place the object.

        Raises:
            KvError: No answer came.
        """
        request = objects_pb2.AlarmRequest(
            target=self._target, deadline_ms=server_millis(self._deadline)
        )
        reply = await self._dispatcher().unary_call(
            ALARM, request, writes=False, deadline=self._deadline
        )
        return due_of(reply)

    async def set_alarm(
        self, when: datetime | timedelta | int | None
    ) -> datetime | None:
        """
        Let the object's alarm ring at *when*, in place of when it would have.

        Args:
            when: With a time zone, or in ms since 1970; or so long from now, by the
                clock of this machine.  What is past, such as 0, means now, by the clock
                of the node that leads.  None: not at all; an alarm that rings just now
                goes on, and is not tried again.

        Returns:
            When it rings, in UTC; None if it does not.

        Raises:
            InvalidArgumentError: The class has no `alarm`, or that is no time; nothing
                was changed.
            KvError: No answer came; `outcome` says whether it may have been set.
        """
        request = set_alarm_request(
            self._target,
            when,
            location_hint=self._location_hint,
            deadline_ms=server_millis(self._deadline),
        )
        reply = await self._dispatcher().unary_call(
            SET_ALARM, request, writes=True, deadline=self._deadline
        )
        return due_of(reply)

    # -- points in time --------------------------------------------------------------

    async def bookmark(self) -> str:
        """
        Return the name of the object's state as it is now, to `restore` it.

        Raises:
            KvError: No answer came.
        """
        return await self._bookmark(None)

    async def bookmark_at(self, when: datetime | int) -> str:
        """
        Return the name of the object's state as it was at *when*.

        Args:
            when: With a time zone, or in ms since 1970; by the clocks of the nodes that
                have led.

        Raises:
            InvalidArgumentError: It is in the future, or further back than is kept.
            KvError: No answer came.
        """
        return await self._bookmark(when)

    async def _bookmark(self, when: datetime | int | None) -> str:
        request = bookmark_request(self._target, when, server_millis(self._deadline))
        reply = await self._dispatcher().unary_call(
            BOOKMARK, request, writes=False, deadline=self._deadline
        )
        return reply.bookmark

    async def restore(self, bookmark: str) -> Restored:
        """
        Make the object what it was at a bookmark: its keys, SQL database, and alarm.

        Calls of it that are under way fail, and are told whether they may have
        happened.  What calls with idempotency keys have returned stays: sent again,
        they do not happen again.

        Raises:
            InvalidArgumentError: It is no bookmark of this object, or names what is not
                kept any more; nothing was changed.
            KvError: No answer came; `outcome` says whether it may have been restored.
        """
        request = objects_pb2.RestoreRequest(
            target=self._target,
            bookmark=bookmark,
            deadline_ms=server_millis(self._deadline),
        )
        reply = await self._dispatcher().unary_call(
            RESTORE, request, writes=True, deadline=self._deadline
        )
        return restored_of(reply)

    def _request_of(
        self, method: str, arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> bytes:
        """Return a request, complete but for its deadline; see `request_part`."""
        request = self._begun.get(method) or self._begin(method)
        if not arguments and not named:
            return request
        given = objects_pb2.CallRequest()
        for place, argument in enumerate(arguments, start=1):
            _set(given.arguments.add(), argument, f"argument {place} of {method}")
        for name, argument in named.items():
            _set(given.named[name], argument, f"argument {name!r} of {method}")
        return request + request_part(given.SerializeToString())

    def _begin(self, method: str) -> bytes:
        """Return what all calls of a method have in common."""
        if len(self._begun) >= METHODS_MAX:
            self._begun.clear()
        begun = objects_pb2.CallRequest(
            target=self._target,
            method=method,
            idempotency_key=self._idempotency_key,
            location_hint=self._location_hint,
            result_form=objects_pb2.RESULT_FORM_CBOR,
        )
        request = self._begun[method] = request_part(begun.SerializeToString())
        return request


class Method:
    """A method of an object, to be called."""

    __slots__ = ("_handle", "_name")

    def __init__(self, handle: ObjectHandle, name: str) -> None:
        self._handle = handle
        self._name = name

    def __call__(self, *arguments: Value, **named: Value) -> Coroutine[Any, Any, Any]:
        """Call it; see `ObjectHandle.call`."""
        return self._handle.call(self._name, *arguments, **named)


def target_of(class_name: str, name: str, id_: str) -> objects_pb2.ObjectTarget:
    """
    Return which object is meant.

    Raises:
        InvalidArgumentError: Neither name nor id is given, or both are.
    """
    if bool(name) == bool(id_):
        msg = f"an object of class {class_name} has a name or an id: give one of them"
        raise InvalidArgumentError(msg)
    try:
        if id_:
            return objects_pb2.ObjectTarget(class_name=class_name, id=id_)
        return objects_pb2.ObjectTarget(class_name=class_name, name=name)
    except UnicodeEncodeError as error:
        msg = f"an object's name must have a UTF-8 form: {error}"
        raise InvalidArgumentError(msg) from error


def _set(message: objects_pb2.ObjectValue, argument: Value, subject: str) -> None:
    """Let *message* say *argument*."""
    if isinstance(argument, bytes):
        message.raw = argument
    else:
        message.cbor = encode_value(argument, subject, bytes_max=CALL_BYTES_MAX)
